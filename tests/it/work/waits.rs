//! `orch wait` and `orch result`.

use serde_json::json;

use super::{delegated, done, each};
use crate::common::{World, gate};

#[test]
fn wait_is_for_all_or_for_any() {
    let world = World::started("");
    let slow = delegated(&world, &[&gate(&world.file("go"))]);
    let quick = delegated(&world, &["echo quick"]);
    let any = world.orch_json(&["wait", "--any", &slow, &quick]);
    assert_eq!(each(&any, "id"), [&json!(quick)]);
    assert_eq!(any[0]["result"]["text"], "quick\n");

    let mut all = world.orch_started(&["wait", "--json", &slow, &quick, &slow]);
    assert!(!all.has_ended());
    world.touch("go");
    let all = all.end().ended(0).json();
    assert_eq!(each(&all, "id"), [&json!(slow), &json!(quick)], "each task once, in the order of the arguments");
}

#[test]
fn a_wait_that_times_out_reports_the_open_tasks() {
    let world = World::started("");
    let slow = delegated(&world, &[&gate(&world.file("go"))]);
    let done = delegated(&world, &["true"]);
    world.wait_for(&done, "succeeded");
    let late = world.orch(&["wait", "--timeout", "150ms", &slow, &done]).ended(5);
    assert!(late.stderr.contains(&slow) && !late.stderr.contains(&done) && late.stdout.is_empty(), "{late:#?}");
    let late = world.orch(&["wait", "--timeout", "0s", "--json", &slow]).ended(5).json();
    assert_eq!(late["error"]["kind"], "timed_out");
    world.touch("go");
    world.orch(&["wait", &slow]).ok();
}

#[test]
fn one_failure_among_several_is_exit_code_1_and_all_are_shown() {
    let world = World::started("");
    let good = delegated(&world, &["echo fine"]);
    let bad = delegated(&world, &["--retries", "0", "exit 1"]);
    let waited = world.orch(&["wait", &good, &bad]).ended(1);
    assert!(waited.stdout.contains(&format!("{good} succeeded")) && waited.stdout.contains(&format!("{bad} failed")));
    let list = world.orch(&["wait", "--json", &good, &bad]).ended(1).json();
    assert_eq!(each(&list, "state"), ["succeeded", "failed"]);
    world.orch(&["wait", &good]).ok();
}

#[test]
fn a_waiter_is_woken_by_the_end_of_its_task() {
    let world = World::started("");
    let id = delegated(&world, &[&gate(&world.file("go"))]);
    world.wait_for(&id, "running");
    let waiter = world.orch_started(&["wait", "--json", &id]);
    world.wait_until("the waiter waits", || world.orch(&["show", &id]).code == 0);
    world.touch("go");
    let ended = waiter.end().ended(0).json();
    assert_eq!(ended[0]["state"], "succeeded");
}

#[test]
fn result_prints_only_the_answer_or_the_reason_for_its_absence() {
    let world = World::started("");
    let open = delegated(&world, &[&gate(&world.file("go"))]);
    let none = world.orch(&["result", &open]).ended(1);
    assert!(none.stderr.contains("no result yet") && none.stderr.contains("orch wait"), "{none:#?}");
    world.touch("go");
    world.orch(&["wait", &open]).ok();
    assert_eq!(world.orch(&["result", &open]).ok(), "", "a silent program's answer is empty");

    let task = done(&world, &["printf 'no line end'"]);
    let id = task["id"].as_str().unwrap();
    assert_eq!(world.orch(&["result", id]).ok(), "no line end\n");
    assert_eq!(world.orch_json(&["result", id]), task["result"]);

    let failed = done(&world, &["--retries", "0", "echo last words; exit 65"]);
    let shown = world.orch(&["result", failed["id"].as_str().unwrap()]).ended(1);
    assert_eq!(shown.stdout, "last words\n");
    assert!(shown.stderr.contains("exit code 65"), "{shown:#?}");
    world.orch(&["result", "t-7k2m9qx4hz"]).ended(2);
}

#[test]
fn a_waiter_reads_at_once_what_its_task_asks() {
    let world = World::started("");
    let id = delegated(&world, &["orch ask 'Which one?' --options red,blue"]);
    let mut waiter = world.orch_command(&["wait", &id]);
    let notes = world.file("notes");
    waiter.stderr(std::fs::File::create(&notes).expect("a file"));
    let mut waiter = waiter.spawn().expect("orch");
    // Well below the interval at which a waiter looks without being woken would be no proof on a loaded machine: the wait
    // for the condition shows that it is noted at all, and the store's test that the waiter is woken.
    world.wait_until("the waiter notes the question", || {
        world.lines("notes").iter().any(|line| line.contains(&format!("orch answer {id}#1 red")))
    });
    world.orch(&["answer", &id, "red"]).ok();
    assert!(waiter.wait().expect("its end").success());
}
