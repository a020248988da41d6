//! The rights of roles, and their order.

use super::{
    super::{Config, Right, Rights},
    meant,
};
use crate::drivers::Commands;

/// The rights that role `a` has beyond those of role `b`.
fn beyond(config: &Config, a: &str, b: &str) -> Vec<Right> {
    let of = |role: &str| Rights::of(&config.roles[role], config.roles[role].driver);
    of(a).beyond(&of(b))
}

#[test]
fn a_role_has_more_rights_by_what_it_may_run_use_read_and_where() {
    let config = meant(
        "[roles.reader]\nallowed_tools = [\"Read\"]\ncwd = \"web\"\n\
         [roles.tester]\nallowed_tools = [\"Read\", \"Bash(npm test:*)\"]\ncwd = \"web\"\nenv_from = [\"NPM_TOKEN\"]\n\
         [roles.thinker]\ndriver = \"codex\"\ncwd = \"web\"",
    );
    assert_eq!(beyond(&config, "reader", "tester"), []);
    assert_eq!(
        beyond(&config, "tester", "reader"),
        [Right::Commands(Commands::Listed), Right::Tool("Bash(npm test:*)".into()), Right::Secret("NPM_TOKEN".into())]
    );
    assert_eq!(beyond(&config, "reader", "shell"), [], "a shell may do all of it");
    assert_eq!(
        beyond(&config, "shell", "reader"),
        [Right::Commands(Commands::Any), Right::Folder(config.root.clone())],
        "and works in the folder above"
    );
    assert_eq!(beyond(&config, "tester", "shell"), [Right::Secret("NPM_TOKEN".into())]);
    let (some, sandboxed) = (beyond(&config, "tester", "thinker"), beyond(&config, "thinker", "tester"));
    assert!(some.contains(&Right::Commands(Commands::Listed)), "{some:?}");
    assert_eq!(sandboxed, [Right::Commands(Commands::Sandboxed)], "neither has all that the other has");
}
