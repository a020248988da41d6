use std::{collections::BTreeSet, ffi::OsString, time::Duration};

use super::*;
use crate::{cli::errors, ops::StateFilter};

fn words(line: &[&str]) -> Vec<OsString> {
    std::iter::once("orch").chain(line.iter().copied()).map(OsString::from).collect()
}

fn verb(line: &[&str]) -> Verb {
    parse(&words(line), 80).unwrap_or_else(|e| panic!("{line:?}: {e}")).verb
}

#[test]
fn clap_accepts_the_declarations() {
    command(80).debug_assert();
}

#[test]
fn every_visible_verb_is_in_one_group() {
    let command = Cli::command();
    let visible: BTreeSet<&str> =
        command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name()).collect();
    let grouped: Vec<&str> = listing::GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    assert_eq!(grouped.len(), visible.len());
    assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), visible);
}

#[test]
fn every_verb_and_flag_says_what_it_is_for() {
    for sub in Cli::command().get_subcommands() {
        assert!(sub.get_about().is_some(), "{}", sub.get_name());
        for arg in sub.get_arguments() {
            assert!(arg.get_help().is_some(), "{} {}", sub.get_name(), arg.get_id());
        }
    }
}

#[test]
fn what_follows_the_options_is_broken_for_the_terminal_alone() {
    fn check(command: &clap::Command) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in text.split("\n\n") {
            let mut lines = paragraph.lines();
            match lines.next().unwrap_or_default() {
                "Examples:" | "Example:" => assert!(lines.all(|line| line.starts_with("  ")), "{paragraph}"),
                first => assert_eq!(lines.count(), 0, "{} is broken after '{first}'", command.get_name()),
            }
        }
        command.get_subcommands().for_each(check);
    }
    Cli::command().get_subcommands().for_each(check);
}

#[test]
fn every_option_of_delegate_is_parsed() {
    let line = "delegate --role shell --priority high --timeout 1h30m --retries 0 --after t-7k2m9qx4hz --after \
                t-3v8n1c5ydw --context [1] --artifact a --artifact b --key k --label x=1 --label y=a=b --cwd . --wait -";
    let Verb::Delegate(d) = verb(&line.split_whitespace().collect::<Vec<_>>()) else { panic!("not delegate") };
    assert_eq!(d.text, ["-"]);
    assert_eq!((d.task.role.as_deref(), d.task.priority), (Some("shell"), Some(crate::model::task::Priority::High)));
    assert_eq!((d.task.timeout, d.task.retries), (Some(Duration::from_secs(5400)), Some(0)));
    assert_eq!((d.task.after.len(), d.task.artifacts), (2, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(d.label, [("x".to_owned(), "1".to_owned()), ("y".to_owned(), "a=b".to_owned())]);
    assert_eq!(
        (d.task.context.clone(), d.task.key.as_deref(), d.wait),
        (Some(serde_json::json!([1])), Some("k"), true)
    );
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let Verb::Delegate(d) = verb(&["delegate", "--", "--wait is a flag"]) else { panic!("not delegate") };
    assert_eq!((d.text, d.wait), (vec!["--wait is a flag".to_owned()], false));
}

#[test]
fn numbers_have_their_defaults() {
    let Verb::Logs(logs) = verb(&["logs", "-f"]) else { panic!("not logs") };
    assert_eq!((logs.lines, logs.follow, logs.target), (50, true, None));
    let Verb::Events(events) = verb(&["events"]) else { panic!("not events") };
    assert_eq!((events.lines, events.follow), (20, false));
    let Verb::Scale(scale) = verb(&["scale", "sonnet", "auto"]) else { panic!("not scale") };
    assert_eq!(scale.n, None);
    let Verb::Scale(scale) = verb(&["scale", "sonnet", "3"]) else { panic!("not scale") };
    assert_eq!(scale.n, Some(3));
    let Verb::Tasks(tasks) = verb(&["tasks", "--state", "held"]) else { panic!("not tasks") };
    assert_eq!((tasks.state, tasks.last), (vec![StateFilter::Held], 50));
    let Verb::Tasks(tasks) = verb(&["tasks", "--state", "waiting,asks", "--label", "a=b", "--label", "c"]) else {
        panic!("not tasks")
    };
    assert_eq!(tasks.state, [StateFilter::Waiting, StateFilter::Asks]);
    assert_eq!(tasks.label, [("a".into(), Some("b".into())), ("c".into(), None)]);
}

#[test]
fn every_verb_is_parsed() {
    for line in [
        "init --force",
        "start --attach",
        "stop --drain --timeout 5m",
        "status --watch",
        "attach",
        "attach sonnet-1",
        "wait t-7k2m9qx4hz t-3v8n1c5ydw --any --timeout 1s",
        "result t-7k2m9qx4hz",
        "tasks --state failed --role r --parent t-7k2m9qx4hz --tree",
        "tasks --label a=b --label c --grep x|y --since 2h -n 5",
        "tasks --all",
        "ls",
        "ps",
        "log sonnet-1",
        "top",
        "complete -- orch show t-",
        "show sonnet-1",
        "why t-7k2m9qx4hz",
        "cancel t-7k2m9qx4hz t-3v8n1c5ydw",
        "retry t-7k2m9qx4hz",
        "prune --older 7d --state failed --dry-run",
        "logs sonnet-1 --task t-7k2m9qx4hz -n 3 -f --grep a|b",
        "events -f -n 3",
        "agents",
        "spawn sonnet",
        "kill sonnet-1",
        "scale sonnet 0",
        "pause",
        "pause sonnet",
        "drain",
        "dismiss",
        "resume sonnet",
        "doctor",
        "completions zsh",
        "man",
        "man /a/man1",
        "supervise --daemon",
        "run-agent /a/launch.json",
        "run-sandboxed --report 3 -- sh /bin/sh -c true",
        "console",
        "mcp",
        "agents --json --config /a/sessions.toml",
        "--json --config /a/sessions.toml agents",
    ] {
        verb(&line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn usage_errors_have_a_hint() {
    for (line, message, hint) in [
        ("stauts", "there is no verb 'stauts'", "did you mean 'status'?"),
        ("run tests", "there is no verb 'run'", "orch delegate 'TEXT'"),
        ("add x", "there is no verb 'add'", "orch delegate 'TEXT'"),
        ("quit", "there is no verb 'quit'", "orch stop"),
        ("status --josn", "unexpected argument '--josn' found", "did you mean '--json'?"),
        ("tasks --state runing", "invalid value 'runing' for '--state <S,...>'", "did you mean 'running'?"),
        ("result", "were not provided: <TASK|PLAN|AGENT>", "Usage: orch result <TASK|PLAN|AGENT>"),
        ("wait t-7k2m9qx4hz --timeout 90", "'90' is not a duration", "--help"),
        ("delegate x --label y", "'y' is not a label: write KEY=VALUE", "--help"),
        ("scale sonnet few", "'few' is neither a number of agents (0, 1, 2...) nor 'auto'", "--help"),
        ("scale sonnet -1", "'-1' is neither a number of agents (0, 1, 2...) nor 'auto'", "--help"),
        ("delegate --retries -1 x", "'-1' is not a number (0, 1, 2...)", "--help"),
        ("logs -n -5", "'-5' is not a number", "--help"),
        ("events -n x", "'x' is not a number", "--help"),
        ("attach --nope", "unexpected argument '--nope' found", "Usage: orch attach [OPTIONS] [TASK|AGENT]"),
        ("--json", "no verb was given", "orch --help"),
    ] {
        let complaint = parse(&words(&line.split(' ').collect::<Vec<_>>()), 80).unwrap_err();
        let error = errors::usage(&complaint);
        assert!(error.message.contains(message), "{line}: {}", error.message);
        assert!(error.hint.as_ref().is_some_and(|h| h.contains(hint)), "{line}: {:?}", error.hint);
        assert!(!error.message.contains('\n'), "{line}: {}", error.message);
    }
}

#[test]
fn json_is_recognised_where_words_do_not_parse() {
    assert!(errors::wants_json(&words(&["stauts", "--json"])));
    assert!(!errors::wants_json(&words(&["delegate", "--", "--json"])));
}
