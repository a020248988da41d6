//! A model service that says nothing: the program uses a little processor time for its timers, and counts as hung all the
//! same.

use std::time::Instant;

use serde_json::json;

use super::fleet::{Fleet, RETRY_FOR};
use crate::model_server::{Answer, when};

/// The first request gets no answer; the attempt is given up, and the next one gets one.
fn assert_given_up(program: &'static str, keys: &str) {
    // The others ask for something of their own as well, such as a title.
    let hangs = if program == "opencode" { 1 } else { 2 };
    let rules = vec![
        when("This is attempt 2").answer(Answer::text("Now it is done.")),
        when("begin it").times(hangs).answer(Answer::Hang),
        when("").answer(Answer::text("Now it is done.")),
    ];
    let tables = format!("[roles.h]\ndriver = \"{program}\"\nmax = 1\nstall_timeout = \"8s\"\n{keys}");
    let Some(fleet) = Fleet::started(&[program], &tables, rules) else { return };
    let task = fleet.world.delegate("h", "begin it");
    // Two starts, of which each may take half a minute on a loaded machine.
    fleet
        .world
        .wait_until_within(3 * RETRY_FOR, "the task has succeeded", || fleet.world.show(&task)["state"] == "succeeded");
    let task = fleet.world.show(&task);
    let attempts = task["attempts"].as_array().expect("attempts");
    assert_eq!(attempts[0]["cause"], "lost", "{task:#}");
    assert!(attempts[0]["reason"].to_string().contains("hung"), "{task:#}");
    assert_eq!((&task["failures"], &task["lost"]), (&json!(0), &json!(1)), "{task:#}");
    fleet.stop();
}

#[test]
fn a_claude_whose_service_says_nothing_is_given_up() {
    assert_given_up("claude", "");
}

#[test]
fn a_codex_whose_service_says_nothing_is_given_up() {
    assert_given_up("codex", "permission_mode = \"bypass\"");
}

#[test]
fn an_opencode_whose_service_says_nothing_is_given_up() {
    assert_given_up("opencode", "model = \"scripted/model-1\"");
}

#[test]
fn a_gemini_whose_service_says_nothing_is_given_up() {
    assert_given_up("gemini", "model = \"gemini-2.5-pro\"");
}

/// Status names such a program within a minute, long before it is given up.
fn assert_quiet(program: &'static str, keys: &str) {
    let rules = vec![when("begin it").answer(Answer::Hang), when("").answer(Answer::text("A title"))];
    let tables = format!("[roles.h]\ndriver = \"{program}\"\nmax = 1\n{keys}");
    let Some(fleet) = Fleet::started(&[program], &tables, rules) else { return };
    let task = fleet.world.delegate("h", "begin it");
    fleet.wait_until("its service is asked", || fleet.model.times_asked("begin it") > 0);
    let asked = Instant::now();
    // What the program itself does after its request may last on a loaded machine.
    fleet.world.wait_until_within(2 * RETRY_FOR, "status calls it quiet", || {
        fleet.world.orch(&["status"]).stdout.contains(" quiet ")
    });
    println!("{program}: called quiet {:.1} s after the request", asked.elapsed().as_secs_f64());
    assert!(fleet.world.orch(&["show", "h-1"]).stdout.contains("no event, no output, no work"));
    fleet.world.orch(&["cancel", &task]).ok();
    fleet.wait_for(&task, "cancelled");
    fleet.stop();
}

#[test]
fn a_claude_whose_service_says_nothing_is_called_quiet() {
    assert_quiet("claude", "");
}

#[test]
fn a_codex_whose_service_says_nothing_is_called_quiet() {
    assert_quiet("codex", "permission_mode = \"bypass\"");
}
