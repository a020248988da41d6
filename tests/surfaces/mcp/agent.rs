//! The MCP server of an agent's attempt: it acts as that agent, and only below the attempt's own task.

use std::fs;

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

/// An attempt at work, its environment, and a client that has it.
fn at_work(world: &World, name: &str) -> (String, Client) {
    let vars = world.file(&format!("{name}.env"));
    let script = format!("env > '{0}.new'; mv '{0}.new' '{0}'; {1}", vars.display(), gate(&world.file(name)));
    let task = world.delegate("worker", &script);
    world.wait_until("the program has begun", || vars.exists());
    let text = fs::read_to_string(vars).unwrap();
    let own = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| name.starts_with("ORCH_"));
    let own: Vec<(String, String)> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(own.iter().any(|(name, _)| name == "ORCH_CAPABILITY"), "{own:?}");
    (task, Client::with(world, &own))
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
    let world = World::started(ROLES);
    let vars = [("ORCH_AGENT", "opus-master"), ("ORCH_ROLE", "opus")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut client = Client::with(&world, &vars);
    assert_eq!(client.ok("get_status", json!({}))["you"], json!({"agent": "opus-master"}));
    assert_eq!(client.ok("kill_all", json!({}))["stopped"], true);
    client.leave();
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
fn an_attempt_that_is_over_is_refused() {
    let world = World::started(ROLES);
    let (task, mut client) = at_work(&world, "go");
    world.touch("go");
    world.wait_for(&task, "succeeded");
    for (tool, arguments) in
        [("delegate_task", json!({"text": "true", "role": "shell"})), ("report_progress", json!({"text": "late"}))]
    {
        let said = client.refused(tool, arguments);
        assert!(said.contains("this attempt is over"), "{tool}: {said}");
    }
    assert!(world.events_of("task.progress").is_empty());
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
