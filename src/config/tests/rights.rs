//! The rights of roles, and their order.

use super::{
    super::{Config, Reach, Right, Rights, reach},
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
         [roles.thinker]\ndriver = \"codex\"\npermission_mode = \"read-only\"\ncwd = \"web\"",
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

/// What a configuration's roles reach and lack, in sentences.
fn reached(text: &str) -> Vec<String> {
    let config = meant(text);
    let rights = config.roles.iter().map(|(name, role)| (name.clone(), Rights::of(role, role.driver))).collect();
    reach(&config.roles, &rights).iter().map(Reach::sentence).collect()
}

#[test]
fn a_right_that_is_reached_by_a_chain_is_named_with_the_chain() {
    assert_eq!(reached(""), Vec::<String>::new(), "a delegation by rights passes none on");
    let chain = reached(
        "[roles.reader]\ndriver = \"gemini\"\n[roles.opus]\ndriver = \"claude\"\n\
         [roles.tester]\ndriver = \"claude\"\ndelegates_to = [\"shell\"]\n",
    );
    for sentence in [
        "role tester may not run any command, and reaches it by delegates_to: tester -> shell",
        "role reader may not run any command, and reaches it by delegates_to: reader -> tester -> shell",
    ] {
        assert!(chain.iter().any(|one| one == sentence), "{sentence}: {chain:#?}");
    }
    assert!(!chain.iter().any(|one| one.starts_with("role shell")), "{chain:#?}");
    let listed = reached(
        "[roles.a]\ndriver = \"claude\"\ndelegates_to = [\"b\"]\n[roles.b]\ndriver = \"claude\"\n\
         env_from = [\"KEY\"]\ndelegates_to = [\"c\"]\n[roles.c]\ndriver = \"codex\"\npermission_mode = \"read-only\"\n[roles.opus]\ndriver = \"claude\"",
    );
    let from_a: Vec<&String> = listed.iter().filter(|one| one.starts_with("role a ")).collect();
    assert_eq!(
        from_a,
        [
            "role a may not read the variable KEY, and reaches it by delegates_to: a -> b",
            "role a may not run commands in its program's own sandbox, and reaches it by delegates_to: a -> b -> c",
        ]
    );
}

#[test]
fn what_changes_files_or_spends_more_is_a_right() {
    let config = meant(
        "[roles.reader]\ndriver = \"claude\"\nmax_task_cost_usd = 1.0\n\
         [roles.writer]\ndriver = \"claude\"\npermission_mode = \"acceptEdits\"\nmax_task_cost_usd = 2.0\n\
         [roles.free]\ndriver = \"claude\"\n[roles.other]\ndriver = \"codex\"",
    );
    assert_eq!(
        beyond(&config, "writer", "reader"),
        [Right::Edits, Right::Spending("up to 2 US dollars per task".into())]
    );
    assert_eq!(beyond(&config, "reader", "writer"), []);
    assert_eq!(beyond(&config, "free", "reader"), [Right::Spending("US dollars per task without a limit".into())]);
    assert_eq!(beyond(&config, "free", "shell"), [], "a shell may start any program");
    assert_eq!(beyond(&config, "free", "other"), [], "codex reports no money that could be limited");
}

#[test]
fn what_leaves_a_sandbox_or_inherits_more_is_a_right() {
    let config = meant(
        "[roles.boxed]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nnetwork = \"none\"\n\
         [roles.web]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nnetwork = [\"example.org:443\"]\n\
         [roles.all]\ndriver = \"shell\"\ninherit_env = \"all\"",
    );
    let said = |a, b| beyond(&config, a, b).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said("web", "boxed"), ["reach example.org:443"]);
    assert_eq!(said("boxed", "web"), Vec::<String>::new());
    let outside = said("shell", "boxed");
    for right in ["run outside a sandbox", "reach any host", "read the environment of orch start, without its secrets"]
    {
        assert!(outside.iter().any(|one| one == right), "{right}: {outside:?}");
    }
    let config = meant(
        "[roles.some]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nsandbox_read = [\"/opt/a\"]\n\
         [roles.more]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nsandbox_read = [\"/opt/a/b\", \"/opt/c\"]",
    );
    let sees = |a, b| beyond(&config, a, b).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(sees("more", "some"), ["read /opt/c"]);
    assert_eq!(sees("some", "more"), ["read /opt/a"]);
    assert_eq!(sees("some", "shell"), Vec::<String>::new(), "a shell without a sandbox reads everything");
    assert_eq!(said("all", "shell"), ["read the whole environment of orch start"]);
    assert_eq!(said("boxed", "shell"), Vec::<String>::new());
}
