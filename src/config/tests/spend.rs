//! What may be used, and who is told.

use super::{
    super::{Budget, Role},
    error, meant,
};

#[test]
fn what_may_be_used_is_there_where_it_is_written() {
    let config = meant(
        "[limits]\nmax_tokens_per_day = 7\n[supervisor]\nnotify_command = [\"tell\", \"me\"]\n\
         [roles.tool]\ncommand = [\"x\"]\nmax_task_cost_usd = 2\nmax_task_tokens = 9\nmax_cost_usd_per_day = 10.5",
    );
    let budget = |cost_usd, tokens| Budget { cost_usd, tokens };
    let tool = &config.roles["tool"];
    assert_eq!((tool.task_budget, tool.day_budget), (budget(Some(2.0), Some(9)), budget(Some(10.5), None)));
    assert_eq!((config.day_budget, config.roles["shell"].task_budget), (budget(None, Some(7)), budget(None, None)));
    assert_eq!(config.supervisor.notify_command, ["tell", "me"]);
    let account = |role: &Role| role.account(role.driver);
    assert_eq!((account(tool), account(&config.roles["sonnet"])), ("role tool".into(), "claude".into()));
}

#[test]
fn what_may_be_used_is_an_amount_and_who_is_told_a_program() {
    let cases = [
        (
            "[limits]\nmax_cost_usd_per_day = 0",
            "sessions.toml:2: limits.max_cost_usd_per_day must be a number of at least 0.001, not 0",
        ),
        (
            "[roles.shell]\nmax_task_tokens = 0",
            "sessions.toml:2: roles.shell.max_task_tokens must be a whole number from 1 to 4294967295, not 0",
        ),
        (
            "[supervisor]\nnotify_command = []",
            "sessions.toml:2: supervisor.notify_command must start with the program to run; remove the key to run none",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text).message, expected, "of:\n{text}");
    }
}
