//! Budgets while agent programs work: what they report counts at once, and at the limit of its task a program ends.

use serde_json::{Value, json};

use super::headless::*;
use crate::common::World;

fn usd(usage: &Value) -> f64 {
    usage["cost_usd"].as_f64().unwrap()
}

#[test]
fn a_program_that_reports_the_limit_of_its_task_is_ended_and_the_task_waits_for_more() {
    let step = r#"{"type":"step_start","sessionID":"ses_1","part":{"type":"step-start"}}"#;
    let paid = r#"{"type":"step_finish","sessionID":"ses_1","part":{"type":"step-finish","reason":"tool-calls","cost":0.25,"tokens":{"input":100,"output":10,"reasoning":0,"cache":{"read":0,"write":0}}}}"#;
    let tables = "[roles.o]\ndriver = \"opencode\"\nmax_task_cost_usd = 0.6\nmax_cost_usd_per_day = 100\n";
    let world = World::builder().tables(tables).build();
    let (go, steps) = (world.file("go"), [step, paid].map(say).concat());
    // It would go on for ever.
    let script = format!(
        "cat > /dev/null\n{steps}until [ -e '{}' ]; do sleep 0.05; done\nwhile :; do\n{steps}sleep 0.2\ndone",
        go.display()
    );
    world.program("opencode", &script);
    world.start();
    let task = world.delegate("o", "work");
    world.wait_until("what it has reported counts while it runs", || {
        let shown = world.show(&task);
        shown["state"] == "running" && usd(&shown["usage"]) == 0.25
    });
    let rows = world.orch_json(&["budget", "show", "role:o"]);
    let row = &rows["budgets"][0];
    // A tenth of the cap of the task is expected at first, and used by now.
    assert_eq!((&row["spent_usd"], &row["spent_tokens"]), (&json!(0.25), &json!(110)), "{row:#}");
    std::fs::write(&go, "").unwrap();
    let held = world.wait_for(&task, "held");
    assert_eq!((&held["code"], &held["failures"]), (&json!("over_budget"), &json!(0)), "{held:#}");
    assert!(usd(&held["usage"]) >= 0.6 && held["usage"]["estimated_usd"].is_null(), "{held:#}");
    reason(&held, &["of 0.60 that a task of role o may use"]);
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains(&format!("orch approve {task} --budget +")), "{why}");
    world.orch(&["cancel", &task]).ok();
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_ends_at_a_price_is_started_with_what_its_task_has_left() {
    let over = r#"{"type":"result","subtype":"error_max_budget_usd","is_error":true,"total_cost_usd":0.52,"usage":{"input_tokens":10,"output_tokens":5},"terminal_reason":"budget_exhausted","session_id":"SESSION","permission_denials":[]}"#;
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\"\nmax_cost_usd = 3\n").build();
    let script = format!(
        "echo \"$@\" >> '{}'\ncat > /dev/null\n{}exit 1",
        world.file("args").display(),
        [INIT, over].map(say).concat()
    );
    world.program("claude", &script);
    world.start();
    let own = world.orch_json(&["delegate", "--role", "c", "--max-cost", "0.5", "work"]);
    let id = own["id"].as_str().unwrap();
    let held = world.wait_for(id, "held");
    assert_eq!((&held["code"], usd(&held["usage"])), (&json!("over_budget"), 0.52), "{held:#}");
    assert!(world.lines("args")[0].contains("--max-budget-usd 0.5 "), "{:?}", world.lines("args"));
    let other = world.delegate("c", "more");
    world.wait_for(&other, "failed");
    assert!(world.lines("args")[1].contains("--max-budget-usd 3 "), "{:?}", world.lines("args"));
    world.stop_and_check_nothing_left();
}

#[test]
fn an_agent_that_is_cancelled_before_it_tells_its_price_is_not_free() {
    let said = r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"hm"}],"usage":{"input_tokens":900,"output_tokens":100}}}"#;
    let done = r#"{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":0.5,"usage":{"input_tokens":900,"output_tokens":100},"session_id":"SESSION","permission_denials":[]}"#;
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\"\nmax = 1\n").build();
    let waits = world.file("waits");
    let script = format!(
        "[ \"$1\" = --version ] && exit 0\ncat > /dev/null\n{}[ -e '{}' ] && {{ {}exit 0; }}\ntouch '{}'\nsleep 1000",
        [INIT, said].map(say).concat(),
        world.file("first").display(),
        say(done),
        waits.display()
    );
    world.program("claude", &script);
    std::fs::write(world.file("first"), "").unwrap();
    world.start();
    let first = world.delegate("c", "work");
    world.wait_for(&first, "succeeded");
    std::fs::remove_file(world.file("first")).unwrap();
    let second = world.delegate("c", "more");
    world.wait_until("it works", || waits.exists());
    world.orch(&["cancel", &second]).ok();
    let cancelled = world.wait_for(&second, "cancelled");
    let usage = &cancelled["usage"];
    assert_eq!(
        (usd(usage), &usage["estimated_usd"], &usage["input_tokens"]),
        (0.5, &json!(0.5), &json!(900)),
        "{usage}"
    );
    let page = world.orch(&["costs", "--by", "role"]).ok();
    assert!(page.contains("1.00") && page.contains("0.50 USD of it are an estimate"), "{page}");
    let doctor = world.orch(&["doctor"]).stdout;
    assert!(doctor.contains("the stored structures agree"), "{doctor}");
    world.stop_and_check_nothing_left();
}
