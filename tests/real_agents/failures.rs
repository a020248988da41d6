//! What goes wrong with `claude`: the service, and its own death.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::kill9,
    fleet::{Fleet, SONNET},
    model_server::{Answer, tool, when},
};

#[test]
fn an_overloaded_service_is_asked_again_by_claude_itself() {
    let rules = vec![
        when("say hello").times(2).answer(Answer::overloaded()),
        when("say hello").answer(Answer::text("hello at last")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "orch need not know: {task:#}");
    assert_eq!(fleet.model.times_asked("say hello"), 3);
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
fn a_key_that_is_refused_waits_for_a_person() {
    let refused = Answer::error(401, "authentication_error", "invalid x-api-key");
    // By itself it would ask ten times, over some minutes.
    let soon = format!("{SONNET}\nenv = {{ CLAUDE_CODE_MAX_RETRIES = \"1\" }}");
    let Some(fleet) = Fleet::started(&["claude"], &soon, vec![when("").answer(refused)]) else { return };
    let task = fleet.world.delegate("sonnet", "say hello");
    let held = fleet.wait_for(&task, "held");
    assert_eq!(held["attempts"][0]["cause"], "needs_person", "{held:#}");
    fleet.stop();
}

/// A Bash command of claude's is in a session of its own, and outlives a claude that is killed.
#[test]
fn a_killed_claude_leaves_no_command_behind_and_the_next_attempt_goes_on_with_its_conversation() {
    let sleep = "echo begun > begun; sleep 2718";
    let rules = vec![
        when("This is attempt 2").answer(Answer::text("done in the second attempt")),
        when("do the work").step(0).answer(tool("Bash", json!({"command": sleep, "timeout": 600_000}))),
    ];
    let may_run = format!("{SONNET}\nallowed_tools = [\"Bash\"]");
    let Some(fleet) = Fleet::started(&["claude"], &may_run, rules) else { return };
    let task = fleet.world.delegate("sonnet", "do the work");
    fleet.wait_until("its command runs", || fleet.world.project.join("begun").exists());
    let commands =
        || -> Vec<_> { fleet.world.processes().into_iter().filter(|p| p.command.contains("sleep 2718")).collect() };
    fleet.wait_until("it can be seen", || !commands().is_empty());
    let [claude] = &fleet.processes_of("claude")[..] else { panic!("{:#?}", fleet.world.processes()) };
    kill9(claude.pid);

    let done = fleet.wait_for(&task, "succeeded");
    let attempts = done["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("lost")), "{done:#}");
    assert_eq!(done["lost"], 1);
    assert_eq!(commands(), [], "the killed program's command");
    let session = |attempt: u32| {
        let path = fleet.world.home.join(format!("runs/{task}/{attempt}/session.json"));
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        written["session"].as_str().unwrap().to_owned()
    };
    assert_eq!(session(1), session(2));
    let asked = fleet.model.asked();
    let texts = &asked.last().unwrap().texts;
    assert!(texts.iter().any(|text| text.trim() == "do the work"), "it has the first attempt before it: {texts:#?}");
    fleet.stop();
}
