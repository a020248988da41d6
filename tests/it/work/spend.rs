//! Usage that programs report, budgets, and rate limits that suspend a role.

use serde_json::json;

use super::{delegated, done, each, text};
use crate::common::{World, refused};

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

#[test]
fn a_task_with_a_budget_of_its_own_is_held_and_goes_on_when_a_person_allows_it_more() {
    let world = World::started("[roles.shell.retry]\nbase = \"10ms\"");
    let id = delegated(&world, &["--max-cost", "0.5", &uses("0.6", "[ $ORCH_ATTEMPT = 2 ]")]);
    let held = world.wait_for(&id, "held");
    assert_eq!((&held["code"], &held["max_cost_usd"]), (&json!("over_budget"), &json!(0.5)));
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains(&format!("orch approve {id} --budget +0.5")) && why.contains("0.60 USD of 0.50"), "{why}");
    let row = &world.orch_json(&["budget", "show", &id])["budgets"][0];
    assert_eq!((&row["cap_usd"], &row["spent_usd"], &row["state"]), (&json!(0.5), &json!(0.6), &json!("held")));
    refused(world.orch(&["approve", &id, "--budget", "+0.1"]), 6, &["at least 0.01 USD more", "orch approve"]);
    let allowed = world.orch_json(&["approve", &id, "--budget", "+5"]);
    assert_eq!((&allowed["from"], &allowed["state"]), (&json!("held"), &json!("ready")));
    world.wait_for(&id, "succeeded");
    for (words, code) in [
        (&["approve", &id, "--budget", "five"][..], 2),
        (&["budget", "set", "rolle:shell", "--cost", "5"], 2),
        (&["budget", "set", "role:nobody", "--cost", "5"], 2),
        (&["budget", "set", "day"], 2),
        (&["budget", "set", "day", "--cost", "-1"], 2),
        (&["budget", "set", &id, "--cost", "5"], 6),
        (&["delegate", "--max-cost", "0", "true"], 2),
    ] {
        world.orch(words).ended(code);
    }
}

#[test]
fn a_person_raises_the_budget_of_a_role_and_its_tasks_start() {
    let world = World::started("[roles.shell]\nmax_cost_usd_per_day = 0.5");
    done(&world, &[&uses("0.5", "true")]);
    let id = delegated(&world, &["echo later"]);
    world.orch_json(&["budget", "set", "role:shell", "--cost", "+1"]);
    world.wait_for(&id, "succeeded");
    let page = world.orch(&["budget"]).ok();
    assert!(page.contains("role:shell") && page.contains("1.50 USD") && page.contains("1.00 USD"), "{page}");
    let back = world.orch_json(&["budget", "set", "role:shell", "--default"]);
    assert_eq!(back["budget"]["cap_usd"], json!(0.5));
    let doctor = world.orch(&["doctor"]).stdout;
    assert!(doctor.contains("the stored structures agree"), "{doctor}");
}

#[test]
fn a_task_that_waits_is_changed() {
    let world = World::started("");
    world.orch(&["pause"]).ok();
    let id = delegated(&world, &["--label", "a=b", "echo wrong"]);
    let edited = world.orch_json(&["edit", &id, "--text", "echo right", "--priority", "high", "--label", "a="]);
    assert_eq!(edited["changed"], json!(["text", "priority", "label"]));
    world.orch(&["edit", &id]).ended(2);
    world.orch(&["edit", &id, "--role", "nobody"]).ended(2);
    refused(world.orch(&["edit", &id, "--text", " "]), 2, &["orch edit t-", "--text 'run the tests'"]);
    world.orch(&["edit", &id, "--after", &id]).ended(1);
    world.orch(&["resume"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!((text(&task["result"]["text"]).trim(), &task["priority"]), ("right", &json!("high")));
    assert_eq!(task["labels"], json!({}));
    world.orch(&["edit", &id, "--text", "x"]).ended(6);
}

#[test]
fn a_role_asks_a_person_before_its_tasks_and_after_them() {
    let world =
        World::started("[roles.shell]\napproval = \"before\"\n[roles.tool]\ndriver = \"shell\"\napproval = \"after\"");
    let before = delegated(&world, &["echo hello"]);
    let after = delegated(&world, &["--role", "tool", "echo result"]);
    world.wait_for(&after, "held");
    assert_eq!(world.show(&before)["attempts"], json!([]));
    let waits = world.orch_json(&["approvals"]);
    assert_eq!(each(&waits, "kind"), [&json!("approval"), &json!("approval")]);
    let page = world.orch(&["approvals"]).ok();
    for part in [&format!("orch approve {before}#1"), "run any command", "| echo hello", "    | result\n", "cost:"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    world.orch(&["approve", &before]).ok();
    world.wait_for(&before, "succeeded");
    world.orch(&["deny", &after, "once more"]).ok();
    world.wait_until("it has run again", || each(&world.show(&after)["attempts"], "next").len() == 2);
    let again = world.wait_for(&after, "held");
    assert_eq!(again["questions"][0]["answer"], "denied: once more");
    world.orch(&["approve", &format!("{after}#2")]).ok();
    world.wait_for(&after, "succeeded");
    assert_eq!(world.orch(&["approvals"]).ok(), "nothing waits for approval\n");
    let own = delegated(&world, &["--approval", "none", "echo at once"]);
    world.wait_for(&own, "succeeded");
    let denied = delegated(&world, &["echo never"]);
    world.orch(&["deny", &denied, "not today"]).ok();
    let ended = world.wait_for(&denied, "cancelled");
    assert!(text(&ended["reason"]).contains("not today"), "{ended:#}");
}
