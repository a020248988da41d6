//! Plans from end to end: what a person types about one.

use serde_json::{Value, json};

use super::text;
use crate::common::{World, gate};

/// Writes a plan and submits it; its id.
#[track_caller]
fn submitted(world: &World, plan: &str) -> String {
    std::fs::write(world.project.join("plan.toml"), plan).expect("a plan");
    text(&world.orch_json(&["plan", "plan.toml"])["id"])
}

#[track_caller]
fn states(world: &World, plan: &str) -> Vec<(String, String)> {
    let shown = world.orch_json(&["show", plan]);
    let tasks = shown["tasks"].as_array().expect("tasks");
    tasks.iter().map(|task| (text(&task["key"]), text(&task["state"]))).collect()
}

#[test]
fn the_id_of_a_plan_stands_wherever_that_of_a_task_may() {
    let world = World::started("");
    let go = gate(&world.file("go"));
    let plan = format!(
        "name = 'both'\n[tasks.one]\ntext = \"\"\"{go}; echo first\"\"\"\n[tasks.two]\nafter = 'one'\ntext = 'echo second'\n"
    );
    let id = submitted(&world, &plan);
    let early = world.orch(&["wait", &id, "--timeout", "100ms"]).ended(5);
    assert!(early.stderr.contains(&format!("{id} (running)")), "{early:#?}");
    let one = text(&world.orch_json(&["show", "both/one"])["id"]);
    world.wait_for(&one, "running");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("1 task is at work: one (shell-1)."), "{why}");
    assert_eq!(world.orch(&["result", &id]).ended(1).stdout, "");
    let misused = world.orch(&["attach", &id]);
    assert!(misused.code != 0 && misused.stderr.contains("plan"), "{misused:#?}");
    world.touch("go");

    let waited = world.orch(&["wait", "both", &one]).ok();
    assert!(waited.contains(&format!("{id} succeeded in")) && waited.contains("both, 2 of 2 tasks done"), "{waited}");
    let waited = world.orch_json(&["wait", &id]);
    assert_eq!((&waited[0]["id"], &waited[0]["state"]), (&json!(id), &json!("succeeded")));
    assert_eq!(world.orch(&["result", &id]).ok(), "second\n");
    assert_eq!(world.orch_json(&["result", &id])["two"]["text"], "second\n");
    let logs = world.orch(&["logs", &id]).ok();
    assert!(logs.contains("| first") && logs.contains("| second"), "{logs}");
    assert!(world.orch(&["logs", "both/two"]).ok().contains("| second"));
    let listed = world.orch_json(&["tasks", "--plan", "both"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed:#}");
    assert!(world.orch(&["why", "both"]).ok().contains("It succeeded in"));
    let unknown = world.orch(&["show", "both/tow"]).ended(2);
    assert!(unknown.stderr.contains("did you mean two?"), "{unknown:#?}");
    for (words, code) in [(["wait", "p-0000000000"], 2), (["show", "p-0000000000"], 2), (["why", "p-0000000000"], 2)] {
        let refused = world.orch(&words).ended(code);
        assert!(refused.stderr.contains("there is no plan p-0000000000"), "{refused:#?}");
    }
    let after = world.orch(&["delegate", "--role", "shell", "--after", &id, "--wait", "cat \"$ORCH_CONTEXT\""]).ok();
    assert!(after.contains("second"), "it has the results of the plan's last tasks: {after}");
    let costs = world.orch_json(&["costs", "--by", "plan"]);
    assert_eq!(costs["rows"], json!([]), "scripts report no usage");
}

#[test]
fn a_plan_that_failed_is_retried_and_one_that_runs_cancelled_by_its_id() {
    let world = World::started("[roles.shell.retry]\nretries = 0");
    let plan = "name = 'x'\n[tasks.a]\ntext = 'test -e fixed'\n[tasks.b]\nafter = 'a'\ntext = 'true'\n[tasks.c]\ntext = 'true'\n";
    let id = submitted(&world, plan);
    let waited = world.orch(&["wait", &id]).ended(1);
    assert!(waited.stdout.contains(&format!("{id} failed in")), "{waited:#?}");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("a (t-") && why.contains("is failed") && why.contains("orch retry p-"), "{why}");
    std::fs::write(world.project.join("fixed"), "").expect("a file");
    let retried = world.orch_json(&["retry", &id]);
    assert_eq!(retried[0]["tasks"], json!(["a", "b"]), "{retried:#}");
    world.orch(&["wait", &id]).ok();
    let again = world.orch_json(&["plan", "retry", &id, "--downstream", "a"]);
    assert_eq!(again["tasks"], json!(["a", "b"]), "what has succeeded, because it is named");
    world.orch(&["wait", &id]).ok();
    let only: Value = world.orch_json(&["plan", "retry", &id, "--only", "c"]);
    assert_eq!(only["tasks"], json!(["c"]));
    world.orch(&["wait", &id]).ok();
    let unknown = world.orch(&["plan", "retry", &id, "--only", "d"]).ended(2);
    assert!(unknown.stderr.contains(&format!("plan {id} has no task d")), "{unknown:#?}");

    let gated = format!(
        "name = 'y'\n[tasks.z]\ntext = \"\"\"{}\"\"\"\n[tasks.a]\nafter = 'z'\ntext = 'true'\n",
        gate(&world.file("go"))
    );
    let id = submitted(&world, &gated);
    world.orch(&["cancel", &id]).ok();
    assert!(world.orch(&["wait", &id]).ended(1).stdout.contains("cancelled"));
    let cancelled = ["z", "a"].map(|key| (key.to_owned(), "cancelled".to_owned()));
    assert_eq!(states(&world, &id), cancelled);
    world.touch("go");
    let retried = world.orch_json(&["plan", "retry", &id]);
    assert_eq!(retried["tasks"], json!(["z", "a"]), "each after what it comes after, whatever they are called");
    world.orch(&["wait", &id]).ok();
}

#[test]
fn a_failure_that_its_plan_made_up_for_needs_no_person() {
    let world = World::started("[roles.shell.retry]\nretries = 0");
    let plan = "name = 'x'\n[tasks.a]\ntext = 'false'\n[tasks.b]\nafter = [{ task = 'a', when = 'failed' }]\ntext = 'true'\n\
                [tasks.c]\nafter = 'a'\non_failure = 'skip'\ntext = 'true'\n";
    let id = submitted(&world, plan);
    world.orch(&["wait", &id]).ok();
    let attention = world.orch_json(&["status"])["attention"].clone();
    let failed = attention.as_array().expect("a list").iter().filter(|one| one["kind"] == "failed").count();
    assert_eq!(failed, 0, "{attention:#}");
    let skipped = world.orch_json(&["show", "x/c"]);
    let reason = text(&skipped["reason"]);
    assert!(reason.starts_with("it is not needed, because a (t-"), "{reason}");
}

#[test]
fn an_agent_submits_a_plan_of_subtasks_once_and_waits_for_it() {
    let world = World::started("[roles.shell.retry]\nretries = 1");
    let plan = "name = 'inner'\n[tasks.a]\ntext = 'echo x >> ran; echo done'\n";
    std::fs::write(world.project.join("inner.toml"), plan).expect("a plan");
    let script = "id=$(orch plan inner.toml) && orch wait $id && echo $id >> ids && test $(wc -l < ids) = 2";
    let task = super::done(&world, &[script]);
    assert_eq!(task["state"], "succeeded", "{task:#}");
    let ids = world.lines("project/ids");
    assert_eq!((ids.len(), ids[0] == ids[1]), (2, true), "the second attempt finds the plan of the first: {ids:?}");
    assert_eq!(world.lines("project/ran"), ["x"]);
    assert_eq!(task["children"].as_array().map(Vec::len), Some(1));
}
