//! Agents that delegate to agents: results travel up, cancellations travel down, and no wait lasts forever.

use std::fs;

use serde_json::json;

use super::{delegated, done, each, text};
use crate::common::{World, append, forever, gate};

/// Every role has one slot and runs shell scripts.
const ONE_EACH: &str = "
[roles.sonnet]
driver = \"shell\"
max = 1
[roles.subagent]
driver = \"shell\"
max = 1
[roles.shell]
max = 1";

/// A world in which the master and an agent of its role `opus` run shell scripts, too.
fn world_of_three_levels() -> World {
    let world = World::builder().tables(ONE_EACH).build();
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("driver = \"console\"", "driver = \"shell\"\nmax = 1")).unwrap();
    world.start();
    world
}

/// Returns a script that delegates `script` to `role` and prints its result.
fn asks(role: &str, script: &str) -> String {
    // Nested here-documents need different end words.
    let end = format!("END{}", script.len());
    format!("printf '<%s>' \"$(orch delegate --wait --role {role} - <<'{end}'\n{script}\n{end}\n)\"")
}

#[test]
fn results_travel_up_three_levels_of_one_slot_each() {
    let world = world_of_three_levels();
    let deepest = format!("{}; echo deep", gate(&world.file("go")));
    let top = delegated(&world, &["--role", "opus", &asks("sonnet", &asks("subagent", &deepest))]);
    // The deepest subtask runs; the tasks above it wait and take no slot.
    world.wait_until("the deepest task runs", || !world.agents("subagent").is_empty());
    world.wait_until("the tasks above it are waiting", || {
        let tasks = world.orch_json(&["tasks"]);
        let state = |role: &str| {
            let task = tasks.as_array().unwrap().iter().find(|t| t["role"] == role);
            task.map(|t| (t["state"].clone(), t["waiting"].clone(), t["depth"].clone()))
        };
        let is = |role, waiting: bool, depth| state(role) == Some((json!("running"), json!(waiting), json!(depth)));
        is("opus", true, 0) && is("sonnet", true, 1) && is("subagent", false, 2)
    });
    let task = world.show(&top);
    let middle = text(&task["children"][0]);
    let below = text(&world.show(&middle)["children"][0]);
    let tree = world.orch(&["tasks", "--tree"]).ok();
    let at = |id: &str| {
        let line = tree.lines().position(|line| line.contains(id)).unwrap_or_else(|| panic!("{id} is not in\n{tree}"));
        (line, tree.lines().nth(line).unwrap().chars().position(|c| c == 't'))
    };
    assert!(at(&top) < at(&middle) && at(&middle) < at(&below), "{tree}");
    assert!(at(&top).1 < at(&middle).1 && at(&middle).1 < at(&below).1, "subtasks are indented:\n{tree}");

    world.touch("go");
    assert_eq!(world.wait_for(&top, "succeeded")["result"]["text"], "<<deep>>");
    let middle = world.show(&middle);
    assert_eq!(
        (&middle["parent"], &middle["waiting"], &middle["state"]),
        (&json!(top), &json!(false), &json!("succeeded"))
    );
    let under = world.orch_json(&["tasks", "--parent", &top]);
    assert_eq!(each(&under, "id"), [&middle["id"]]);
}

#[test]
fn many_parents_in_one_slot_do_not_block_their_children() {
    let world = World::started(ONE_EACH);
    let mut tops = Vec::new();
    for i in 0..4 {
        tops.push(delegated(&world, &["--role", "sonnet", &asks("subagent", &asks("shell", &format!("echo {i}")))]));
    }
    for (i, top) in tops.iter().enumerate() {
        assert_eq!(world.wait_for(top, "succeeded")["result"]["text"], format!("<<{i}>>"));
    }
}

#[test]
fn a_parent_may_delegate_to_its_own_role_with_one_slot() {
    let world = World::started(ONE_EACH);
    let task = done(&world, &["--role", "shell", &asks("shell", &asks("shell", "echo self"))]);
    assert_eq!((&task["state"], &task["result"]["text"]), (&json!("succeeded"), &json!("<<self>>")), "{task:#}");
    // Each subtask ran in another agent while its parent waited; the master's agent ran none of them.
    assert!(world.events_of("task.waiting").len() >= 2);
}

#[test]
fn a_parent_that_delegates_before_it_waits_collects_all_results() {
    let world = World::started("");
    let script = "ids=\nfor i in 1 2 3; do ids=\"$ids $(orch delegate --role shell \"echo part $i\")\"; done\n\
                  orch wait $ids > /dev/null && for id in $ids; do orch result $id; done";
    let task = done(&world, &[script]);
    assert_eq!(task["result"]["text"], "part 1\npart 2\npart 3\n", "{task:#}");
    assert_eq!(task["children"].as_array().unwrap().len(), 3);
}

#[test]
fn a_retried_parent_finds_its_finished_subtasks_again() {
    let world = World::started(ONE_EACH);
    let (done_by, ran) = (world.file("go"), world.file("ran"));
    let script = format!(
        "{one}\n{two}\n{again}\n[ -e '{go}' ] || exit 1",
        one = asks("subagent", &format!("{}; echo one", append(&ran, "one"))),
        two = asks("subagent", &format!("{}; echo two", append(&ran, "two"))),
        // The same text a second time is a second subtask, also for a retried parent.
        again = asks("subagent", &format!("{}; echo two", append(&ran, "two"))),
        go = done_by.display()
    );
    let id = delegated(&world, &["--role", "sonnet", "--retries", "2", &script]);
    let failed = world.wait_for(&id, "failed");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(world.lines("ran"), ["one", "two", "two"]);
    world.touch("go");
    world.orch(&["retry", &id]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "<one><two><two>");
    assert_eq!(task["children"].as_array().unwrap().len(), 3);
    assert_eq!(world.lines("ran"), ["one", "two", "two"], "no subtask ran twice");
}

#[test]
fn a_subtasks_failure_is_returned_with_its_reason() {
    let world = World::started(ONE_EACH);
    let script = "orch delegate --wait --role subagent --retries 0 'echo half; echo no disk >&2; exit 65'; echo code $?; exit 65";
    let task = done(&world, &["--role", "sonnet", script]);
    assert_eq!((&task["state"], &task["result"]["text"]), (&json!("failed"), &json!("half\ncode 1\n")));
    assert!(task["reason"].as_str().unwrap().contains("orch why t-"), "its last words: {}", task["reason"]);
    let log = world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("has failed: exit code 65 (permanent): no disk"), "{log}");
}

#[test]
fn cancelling_a_parent_ends_its_whole_tree() {
    let world = World::started(ONE_EACH);
    let deepest = format!("trap '' TERM HUP\n{}\n{}", append(&world.file("deep"), "here"), forever());
    let top = delegated(&world, &["--role", "sonnet", &asks("subagent", &asks("shell", &deepest))]);
    let waiting_below = delegated(&world, &["--after", &top, "true"]);
    world.wait_until("the deepest task runs", || world.lines("deep") == ["here"]);
    let middle = text(&world.show(&top)["children"][0]);
    let below = text(&world.show(&middle)["children"][0]);

    let changed = world.orch_json(&["cancel", &top]);
    assert_eq!((&changed[0]["from"], &changed[0]["changed"]), (&json!("running"), &json!(true)));
    for id in [&top, &middle, &below, &waiting_below] {
        let task = world.wait_for(id, "cancelled");
        assert!(!task["reason"].is_null(), "{task:#}");
    }
    assert!(world.show(&top)["reason"].as_str().unwrap().contains("a person"));
    world.wait_until("no program of these tasks is left", || {
        !world.processes().iter().any(|p| p.command.contains("/prompt") || p.command.contains("orch delegate"))
    });
    // Their agents keep running, and take the next task.
    assert_eq!(done(&world, &["--role", "shell", "echo next"])["result"]["text"], "next\n");
    assert!(world.events_of("agent.failed").is_empty());
}

#[test]
fn subtasks_continue_after_a_parent_that_ends_without_waiting() {
    let world = World::started(ONE_EACH);
    let script = format!("orch delegate --role subagent '{}; echo late'", gate(&world.file("go")).replace('\'', ""));
    let task = done(&world, &["--role", "sonnet", &script]);
    assert_eq!(task["state"], "succeeded");
    let child = text(&task["children"][0]);
    assert_eq!(task["result"]["text"], format!("{child}\n"));
    world.touch("go");
    assert_eq!(world.wait_for(&child, "succeeded")["result"]["text"], "late\n");
}

#[test]
fn the_next_attempt_of_a_lost_parent_finds_its_running_subtask() {
    let world = World::started(ONE_EACH);
    let ran = world.file("ran");
    let below = format!("{}; {}; echo once", append(&ran, "ran"), gate(&world.file("go")));
    let top = delegated(&world, &["--role", "sonnet", &asks("subagent", &below)]);
    world.wait_until("the subtask runs", || world.lines("ran") == ["ran"]);
    world.orch(&["kill", "sonnet-1"]).ok();
    world.wait_until("the second attempt waits for the subtask", || {
        let task = world.show(&top);
        task["attempts"].as_array().unwrap().len() == 2 && task["waiting"] == true
    });
    world.touch("go");
    let task = world.wait_for(&top, "succeeded");
    assert_eq!((&task["result"]["text"], &task["lost"]), (&json!("<once>"), &json!(1)));
    assert_eq!((world.lines("ran").len(), task["children"].as_array().unwrap().len()), (1, 1));
}
