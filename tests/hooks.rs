//! `orch hook`, as an agent's program calls it.

mod common;

use common::{Output, World, feed};
use serde_json::{Value, json};

const MASTER: &str = "opus-master";

/// Calls it as the master's program does.
fn hook(world: &World, event: &str) -> Output {
    let mut command = world.orch_command(&["hook", "claude"]);
    command.env("ORCH_AGENT", MASTER).env("ORCH_ROLE", "opus");
    feed(command, json!({ "hook_event_name": event, "tool_name": "Bash" }).to_string().as_bytes())
}

fn noted(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.home.join("agents").join(MASTER).join("hooks.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn what_waits_is_handed_over_once_also_where_a_hook_was_cut_off() {
    let world = World::started("");
    std::fs::create_dir_all(world.home.join("agents").join(MASTER)).expect("a folder");
    world.orch(&["send", MASTER, "the tests are green"]).ended(0);
    assert_eq!(hook(&world, "PreToolUse").ok(), "", "not in the middle of a turn");
    // What a hook leaves that was killed after it had read.
    let left = world.home.join("agents").join(MASTER).join("handing");
    let told: Value = serde_json::from_str(&hook(&world, "Stop").ok()).expect("JSON");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("the tests are green")), "{told}");
    assert!(!left.exists());
    assert_eq!(hook(&world, "Stop").ok(), "", "once");

    world.orch(&["send", MASTER, "the docs are read"]).ended(0);
    std::fs::write(&left, "a-token").expect("written");
    assert_eq!(hook(&world, "PreToolUse").ok(), "");
    assert!(left.exists(), "whoever hands over nothing settles nothing");
    let inbox = world.orch_command(&["inbox"]).env("ORCH_AGENT", MASTER).output().expect("orch");
    assert!(String::from_utf8_lossy(&inbox.stdout).contains("the docs are read"));
    assert!(!left.exists(), "read by the program itself, with the same token");
    assert_eq!(hook(&world, "Stop").ok(), "");
    let kinds: Vec<Value> = noted(&world).into_iter().map(|line| line["hook"].clone()).collect();
    assert_eq!(kinds, ["tool_call", "goes_on", "ended", "tool_call", "ended"]);
    world.stop_and_check_nothing_left();
}

#[test]
fn what_a_program_does_is_noted_where_the_configuration_does_not_read() {
    let world = World::new();
    std::fs::create_dir_all(world.home.join("agents").join(MASTER)).expect("a folder");
    std::fs::write(world.project.join("sessions.toml"), "[half a ta").expect("written");
    assert_eq!(hook(&world, "Stop").ok(), "");
    assert_eq!(noted(&world).len(), 1);
    // 2 would keep the program from what it does.
    let by_a_person = feed(world.orch_command(&["hook", "claude"]), br#"{"hook_event_name":"Stop"}"#);
    assert!(by_a_person.ended(1).stderr.contains("called by the program of an agent"));
    assert_eq!(hook(&world, "Nonsense").ok(), "");
    assert_eq!(noted(&world).len(), 1);
}
