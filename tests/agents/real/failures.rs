//! Failures of `claude`: its service fails, or the program dies.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::fleet::{Fleet, SONNET};
use crate::{
    common::{Process, kill9},
    model_server::{Answer, tool, when},
};

#[test]
fn an_overloaded_service_is_asked_again_by_claude_itself() {
    let rules = vec![
        when("say hello").times(3).answer(Answer::overloaded()),
        when("say hello").answer(Answer::text("hello at last")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.world.delegate("sonnet", "say hello");
    let retrying = || fleet.world.agent("sonnet-1")["retrying"].clone();
    fleet.wait_until("it is said", || !retrying().is_null());
    assert_eq!((&retrying()["of"], &retrying()["why"]), (&json!(10), &json!("overloaded (529)")));
    let task = fleet.wait_for(&task, "succeeded");
    assert!(retrying().is_null());
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "nothing failed: {task:#}");
    assert_eq!(fleet.model.times_asked("say hello"), 4);
    let log = fleet.world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("529"), "a person sees why it takes long: {log}");
    fleet.stop();
}

#[test]
fn a_stream_that_is_cut_is_asked_again_by_claude_itself() {
    let rules = vec![
        when("say hello").times(1).answer(Answer::Cut("hel".to_owned())),
        when("say hello").answer(Answer::text("hello, whole")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("hello, whole"), "{task:#}");
    assert!(fleet.model.times_asked("say hello") >= 2);
    fleet.stop();
}

#[test]
fn a_service_that_fails_for_longer_than_claude_tries_is_tried_again_by_orch() {
    let broken = Answer::error(500, "api_error", "Internal server error");
    let rules =
        vec![when("say hello").times(1).answer(broken.no_retry()), when("").answer(Answer::text("hello at last"))];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("transient")), "{task:#}");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("hello at last"));
    fleet.stop();
}

#[test]
fn a_usage_limit_delays_the_task_and_costs_it_no_retry() {
    let limit = Answer::error(429, "rate_limit_error", "This request would exceed your limit. Try again in 1s.");
    let rules = vec![
        when("say hello").times(1).answer(limit.no_retry()),
        when("").answer(Answer::text("hello after the limit")),
    ];
    let no_retries = format!("{SONNET}\n[roles.sonnet.retry]\nretries = 0");
    let Some(fleet) = Fleet::started(&["claude"], &no_retries, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("rate_limited")), "{task:#}");
    fleet.stop();
}

#[test]
fn a_model_that_never_answers_does_not_hold_up_its_task() {
    let rules = vec![
        when("say hello").times(1).answer(Answer::Hang),
        when("say hello").answer(Answer::text("hello from the next attempt")),
    ];
    let soon = format!("{SONNET}\nstall_timeout = \"8s\"");
    let Some(fleet) = Fleet::started(&["claude"], &soon, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("lost")), "{task:#}");
    assert!(attempts[0]["reason"].as_str().unwrap().contains("hung"), "{task:#}");
    fleet.stop();
}

/// From the first refusal on: `orch status` says that somebody must log in.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_key_that_is_refused_is_seen_at_once_and_waits_for_a_person() {
    let refused = Answer::error(401, "authentication_error", "invalid x-api-key");
    // By itself claude asks ten times more, over some minutes.
    let Some(fleet) = Fleet::started(&["claude"], SONNET, vec![when("").answer(refused)]) else { return };
    let task = fleet.world.delegate("sonnet", "say hello");
    let mut seen_at = None;
    fleet.wait_until("status says that somebody must log in", || {
        let attention = fleet.world.status()["attention"].to_string();
        seen_at = Some(Instant::now());
        attention.contains("asks for login") || attention.contains("claude asks to log in")
    });
    let held = fleet.wait_for(&task, "held");
    assert_eq!(held["attempts"][0]["cause"], "needs_person", "{held:#}");
    let requests = fleet.model.requests();
    let asked: Vec<_> = requests.iter().filter(|request| request.asked.is_some()).collect();
    assert!(asked.len() <= 3, "what can only fail is not tried on: {}", asked.len());
    let late = seen_at.unwrap().duration_since(asked[0].at);
    println!("a key is refused → seen in orch status    {late:?}");
    assert!(late < SEEN_WITHIN, "{late:?}");
    fleet.stop();
}

/// A command that claude runs in a session of its own, so that it outlives a claude that is killed; where the world sees it.
const COMMAND: &str = "sleep 2718";

/// A claude in the middle of its task: its command runs.
fn at_work() -> Option<(Fleet, String)> {
    let command = json!({"command": format!("echo begun > begun; {COMMAND}"), "timeout": 600_000});
    let rules = vec![
        when("do the work").step(0).times(1).answer(tool("Bash", command)),
        when("do the work").answer(Answer::text("done in the second attempt")),
    ];
    let may_run = format!("{SONNET}\nallowed_tools = [\"Bash\"]");
    let fleet = Fleet::started(&["claude"], &may_run, rules)?;
    let task = fleet.world.delegate("sonnet", "do the work");
    fleet.wait_until("its command runs", || fleet.world.project.join("begun").exists() && !commands(&fleet).is_empty());
    Some((fleet, task))
}

fn commands(fleet: &Fleet) -> Vec<Process> {
    fleet.world.processes().into_iter().filter(|p| p.command.contains(COMMAND)).collect()
}

#[test]
fn a_killed_claude_leaves_no_command_behind_and_the_next_attempt_goes_on_with_its_conversation() {
    let Some((fleet, task)) = at_work() else { return };
    let [claude] = &fleet.processes_of("claude")[..] else { panic!("{:#?}", fleet.world.processes()) };
    let sockets = fleet.world.home.join(format!("runs/{task}/1/tmp/cc-socks"));
    assert_eq!(fs::read_dir(&sockets).map(Iterator::count).unwrap_or_default(), 1, "{}", sockets.display());
    kill9(claude.pid);
    let done = fleet.wait_for(&task, "succeeded");
    let attempts = done["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("lost")), "{done:#}");
    assert_eq!(done["lost"], 1);
    assert_eq!(commands(&fleet), [], "the killed program's command");
    // Nor its sockets and outputs: of the one that was killed, and of the one that ended by itself.
    for attempt in ["1", "2"] {
        let run = fleet.world.home.join("runs").join(&task).join(attempt);
        assert!(run.join("mcp.json").exists() && !run.join("tmp").exists(), "{}", run.display());
    }
    assert!(!fleet.world.file("tmp/cc-socks").exists());
    let session = |attempt: u32| {
        let path = fleet.world.home.join(format!("runs/{task}/{attempt}/session.json"));
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        written["session"].as_str().unwrap().to_owned()
    };
    assert_eq!(session(1), session(2));
    let texts = fleet.model.asked().pop().unwrap().texts;
    assert!(texts.iter().any(|text| text.trim() == "do the work"), "the first attempt is before it: {texts:#?}");
    assert!(texts.last().unwrap().contains("This is attempt 2"), "{texts:#?}");
    fleet.stop();
}

#[test]
fn a_killed_runner_leaves_neither_claude_nor_its_command_and_its_task_is_done() {
    let Some((fleet, task)) = at_work() else { return };
    let before = [fleet.processes_of("claude"), commands(&fleet)].concat();
    kill9(fleet.world.runner_pid("sonnet-1"));
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!((&done["lost"], done["attempts"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{done:#}");
    fleet.wait_until("what the dead one ran has ended", || !before.iter().any(Process::is_alive));
    fleet.stop();
}
