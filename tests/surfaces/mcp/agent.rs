//! The MCP server of an agent's attempt: it acts as that agent, and only below the attempt's own task.

use serde_json::json;

use super::client::{Client, succeeded};
use crate::common::{World, append, gate};

/// One place each, so that who waits and does not say so is in the way.
const ROLES: &str = "
[roles.shell]
max = 1
[roles.worker]
driver = \"shell\"
max = 2
delegates_to = [\"shell\"]";

/// An attempt at work, and a client that its program has started.
fn at_work(world: &World, name: &str) -> (String, Client) {
    let mut task = String::new();
    let client = Client::inside(world, name, |server| {
        task = world.delegate("worker", &format!("{server}\n{}", gate(&world.file(name))));
    });
    (task, client)
}

#[test]
fn an_agent_delegates_subtasks_and_takes_no_slot_while_it_waits() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    let status = client.ok("get_status", json!({}));
    assert_eq!(status["you"], json!({"agent": "worker-1", "task": task}));
    let roles: Vec<_> = status["roles"].as_array().unwrap().iter().map(|role| &role["name"]).collect();
    assert_eq!(roles, ["shell"], "those to which it may delegate");
    assert!(client.refused("delegate_task", json!({"text": "x", "role": "worker"})).contains("may not delegate"));
    let child = client.delegate(&gate(&world.file("child")));
    assert_eq!(world.show(&child)["parent"], task.as_str());
    let listed = client.ok("list_tasks", json!({"parent": task}));
    assert_eq!(listed["tasks"][0]["id"], child.as_str());

    // Two waits at once: the end of one does not say that the other has ended.
    let other = client.delegate("true");
    let wait = client.send_call("wait_tasks", json!({"ids": [child]}));
    client.progress(wait);
    world.wait_until("its task is marked", || world.show(&task)["waiting"] == true);
    let second = client.call("wait_tasks", json!({"ids": [other], "timeout": "100ms"}));
    assert_eq!(second["structuredContent"]["timed_out"], true, "the one place is taken by the child");
    assert_eq!(world.show(&task)["waiting"], true);
    world.touch("child");
    assert_eq!(succeeded(client.result(wait))["done"][0]["id"], child.as_str());
    assert_eq!(world.show(&task)["waiting"], false);
    assert_eq!(world.events_of("task.waiting").len(), 1);

    client.ok("wait_tasks", json!({"ids": [other]}));
    assert!(client.refused("wait_tasks", json!({"ids": [task]})).contains("would never end"));
    world.touch("go");
    world.wait_for(&task, "succeeded");
}

#[test]
fn a_cancelled_wait_removes_its_mark() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    let child = client.delegate(&gate(&world.file("child")));
    let wait = client.send_call("wait_tasks", json!({"ids": [child]}));
    client.progress(wait);
    world.wait_until("its task is marked", || world.show(&task)["waiting"] == true);
    world.wait_for(&child, "running");
    client.leave();
    assert_eq!(world.show(&task)["waiting"], false);
    assert_eq!(world.show(&child)["state"], "running", "nothing is undone");
}

#[test]
fn an_agent_cannot_change_tasks_of_others() {
    let world = World::started(ROLES);
    let (_, mut one) = at_work(&world, "one");
    let (other, mut two) = at_work(&world, "two");
    let below_two = two.delegate("exit 65");
    world.wait_for(&below_two, "failed");
    for id in [&other, &below_two] {
        for tool in ["cancel_task", "retry_task"] {
            let said = one.refused(tool, json!({"ids": [id]}));
            assert!(said.contains(&format!("{id} is not a subtask of")), "{said}");
        }
    }
    assert_eq!(world.show(&other)["state"], "running");
    assert_eq!(two.ok("retry_task", json!({"ids": [below_two]}))["tasks"][0]["changed"], true);
    for (tool, arguments) in
        [("kill_all", json!({})), ("drain", json!({})), ("scale_workers", json!({"role": "worker", "n": 0}))]
    {
        let said = one.refused(tool, arguments);
        assert!(said.contains("not for"), "{tool}: {said}");
    }
    assert_eq!(world.status()["supervisor"]["accepting"], true);
}

#[test]
fn the_master_may_stop_everything() {
    let world = World::with_obedient_master(ROLES);
    let mut client = Client::inside(&world, "master", |server| drop(world.run_in_master(server, "")));
    assert_eq!(client.ok("get_status", json!({}))["you"], json!({"agent": "opus-master"}));
    assert_eq!(client.ok("kill_all", json!({}))["stopped"], true);
    assert!(client.is_gone(), "it is among what is stopped");
    world.wait_until("everything has ended", || world.status()["supervisor"]["state"] == "stopped");
    world.check_nothing_left(&[]);
}

#[test]
fn reported_progress_is_an_event_of_the_task() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    client.ok("report_progress", json!({"text": " step 1 of 2\n"}));
    let events = world.events_of("task.progress");
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["task"], &events[0]["agent"]), (&json!(task), &json!("worker-1")));
    assert_eq!(events[0]["reason"], "step 1 of 2");
    assert!(world.orch(&["events"]).ok().contains("step 1 of 2"));
    assert!(client.refused("report_progress", json!({"text": "x".repeat(5_000)})).contains("at most 4096"));
    let person = Client::of(&world).refused("report_progress", json!({"text": "x"}));
    assert!(person.contains("only the program of a running attempt"), "{person}");
}

#[test]
fn a_server_ends_with_the_attempt_that_has_started_it() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    client.ok("get_status", json!({}));
    world.touch("go");
    world.wait_for(&task, "succeeded");
    assert!(client.is_gone());
}

#[test]
fn an_agents_program_finds_the_server_automatically() {
    let world = World::started(ROLES);
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "sh", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "delegate_task", "arguments": {"text": append(&world.file("made"), "by $ORCH_AGENT"), "role": "shell"}}}),
    ];
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let task = world.delegate("worker", &format!("orch mcp <<'END'\n{lines}END\n"));
    world.wait_for(&task, "succeeded");
    world.wait_until("the subtask was done", || world.lines("made") == ["by shell-1"]);
    let child = world.show(&task)["children"][0].as_str().expect("a subtask").to_owned();
    assert_eq!(world.show(&child)["depth"], 1);
}

#[test]
fn an_agent_asks_a_person_and_sends_messages() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    let asked = json!({"question": "Which one?", "timeout": "200ms"});
    let open = client.ok("ask_human", asked.clone());
    assert_eq!(open, json!({"answered": false, "answer": null, "approval": null}));
    world.orch(&["answer", &task, "the red one"]).ok();
    assert_eq!(client.ok("ask_human", asked)["answer"], "the red one", "asked again it is the same question");
    assert_eq!(world.events_of("task.asks").len(), 1);

    world.orch(&["send", &task, "be quick"]).ok();
    let read = client.ok("read_inbox", json!({"wait": true}));
    assert_eq!((&read["messages"][0]["text"], &read["left"]), (&json!("be quick"), &json!(0)));
    assert_eq!(client.ok("send_message", json!({"to": "master", "text": "I am"}))["state"], "unconfirmed");
    assert_eq!(world.orch_json(&["inbox"])["messages"][0]["text"], "I am");
    world.touch("go");
    world.wait_for(&task, "succeeded");
}
