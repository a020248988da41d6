//! Usage that programs report, budgets, and rate limits that suspend a role.

use serde_json::json;

use super::{delegated, done, each, text};
use crate::common::World;

/// Returns a script that reports usage with this cost, and then runs `then`.
fn uses(cost_usd: &str, then: &str) -> String {
    let usage = format!("{{\"usage\": {{\"input_tokens\": 1000, \"output_tokens\": 20, \"cost_usd\": {cost_usd}}}}}");
    format!("echo '{usage}' > \"$ORCH_RESULT\"; {then}")
}

#[test]
fn usage_is_shown_by_task_role_and_day() {
    let world = World::started("[roles.shell.retry]\nbase = \"10ms\"");
    let task = done(&world, &["--retries", "1", &uses("0.25", "[ $ORCH_ATTEMPT = 2 ]")]);
    assert_eq!(each(&task["attempts"], "usage").iter().map(|u| &u["cost_usd"]).collect::<Vec<_>>(), [0.25, 0.25]);
    assert_eq!(task["usage"], json!({"input_tokens": 2000, "output_tokens": 40, "cost_usd": 0.5}));
    let by_role = world.orch_json(&["costs"]);
    assert_eq!(by_role["rows"], json!([{"name": "shell", "input_tokens": 2000, "output_tokens": 40, "cost_usd": 0.5}]));
    let by_task = world.orch_json(&["costs", "--by", "task", "--since", "1d"]);
    assert_eq!(each(&by_task["rows"], "name"), [&task["id"]]);
    assert_eq!(world.status()["usage_today"]["cost_usd"], json!(0.5));
    let page = world.orch(&["costs", "--by", "day"]).ok();
    assert!(page.contains("2000") && page.contains("0.50"), "{page}");
    assert!(world.orch(&["status"]).ok().contains("2000 tokens in, 40 out, 0.50 USD"));
}

#[test]
fn a_role_over_its_daily_budget_keeps_its_tasks_ready_and_reports_until_when() {
    let world = World::started("[roles.shell]\nmax_cost_usd_per_day = 0.5");
    done(&world, &[&uses("0.5", "true")]);
    let id = delegated(&world, &["echo later"]);
    world.wait_until("status reports it", || {
        let status = world.status();
        each(&status["attention"], "what").iter().any(|w| w.as_str().unwrap().contains("role shell starts nothing for"))
    });
    assert_eq!(world.show(&id)["state"], "ready");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("Role shell starts nothing for") && why.contains("0.50 USD of 0.50"), "{why}");
}

#[test]
fn a_task_over_its_budget_is_held_until_a_person_retries_it() {
    let world = World::started("[roles.shell]\nmax_task_cost_usd = 0.5\n[roles.shell.retry]\nbase = \"10ms\"");
    let id = delegated(&world, &[&uses("0.5", "[ $ORCH_ATTEMPT = 2 ]")]);
    let held = world.wait_for(&id, "held");
    assert!(text(&held["reason"]).contains("0.50 USD of 0.50"), "{held:#}");
    world.orch(&["retry", &id]).ok();
    world.wait_for(&id, "succeeded");
}

#[test]
fn a_rate_limit_suspends_the_role_until_it_ends() {
    let world = World::started("");
    let limited = "echo '{\"cause\": \"rate_limited\", \"retry_after_ms\": 4000}' > \"$ORCH_RESULT\"; exit 1";
    let first = delegated(&world, &[&format!("[ $ORCH_ATTEMPT = 2 ] || {{ {limited}; }}")]);
    world.wait_until("the task is delayed by the limit", || world.show(&first)["state"] == "delayed");
    let due = super::ms(&world.show(&first)["due_at"]);
    let other = delegated(&world, &["echo other"]);
    let why = world.orch(&["why", &other]).ok();
    assert!(why.contains("Role shell starts nothing for"), "{why}");
    let task = world.wait_for(&other, "succeeded");
    assert!(super::ms(&task["attempts"][0]["started_at"]) >= due, "{task:#}");
    world.wait_for(&first, "succeeded");
}
