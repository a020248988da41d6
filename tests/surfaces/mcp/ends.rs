//! The client disconnects: the server ends immediately, leaves nothing behind, and undoes nothing.

use std::{io::Write, process::Stdio, time::Duration};

use serde_json::json;

use super::client::Client;
use crate::common::{Process, Signal, World, feed, gate, kill9, signal};

const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn it_ends_with_its_client_during_a_wait() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate(&gate(&world.file("go")));
    world.wait_for(&id, "running");
    let wait = client.send_call("wait_tasks", json!({"ids": [id]}));
    client.progress(wait);
    client.close();
    assert_eq!(client.end_within(AT_ONCE).code(), Some(0));
    assert_eq!(world.show(&id)["state"], "running", "what was delegated goes on");
    world.touch("go");
    world.wait_for(&id, "succeeded");
}

#[test]
fn it_ends_with_its_client_while_redis_does_not_answer() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate(&gate(&world.file("go")));
    let wait = client.send_call("wait_tasks", json!({"ids": [id]}));
    client.progress(wait);
    let redis = world.redis_pid();
    signal(redis, Signal::SIGSTOP);
    client.send_call("get_task", json!({"id": id}));
    client.close();
    assert_eq!(client.end_within(AT_ONCE).code(), Some(0));
    signal(redis, Signal::SIGCONT);
    world.touch("go");
    world.wait_for(&id, "succeeded");
}

#[test]
fn it_ends_when_its_answers_are_not_read() {
    let world = World::new();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "sh", "version": "1"}}});
    let mut command = world.orch_command(&["mcp"]);
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(server.stdout.take());
    let mut stdin = server.stdin.take().unwrap();
    writeln!(stdin, "{hello}").unwrap();
    world.wait_until_within(AT_ONCE, "the server has ended", || server.try_wait().unwrap().is_some());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn nothing_is_left_after_a_killed_client() {
    let world = World::started("");
    let script = format!("tail -f /dev/null | '{}' mcp | cat > /dev/null", env!("CARGO_BIN_EXE_orch"));
    let mut command = world.command("sh");
    let mut shell = command.args(["-c", &script]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut server: Option<Process> = None;
    world.wait_until("the server runs", || {
        server = world.processes().into_iter().find(|p| p.command.trim_end().ends_with("orch mcp"));
        server.is_some()
    });
    let client = world.processes().into_iter().find(|p| p.command.starts_with("tail ")).unwrap();
    kill9(client.pid);
    world.wait_until_within(AT_ONCE, "the server has ended", || !server.as_ref().unwrap().is_alive());
    shell.wait().unwrap();
}

#[test]
fn a_signal_ends_it_while_its_input_stays_open() {
    let world = World::new();
    for order in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut client = Client::of(&world);
        signal(client.pid(), order);
        assert_eq!(client.end_within(AT_ONCE).code(), Some(0), "{order}");
    }
    let mut ungreeted = Client::start(world.orch_command(&["mcp"]));
    world.wait_until("it catches signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", ungreeted.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap() & (1 << (Signal::SIGTERM as u32 - 1)) != 0
    });
    signal(ungreeted.pid(), Signal::SIGTERM);
    assert_eq!(ungreeted.end_within(AT_ONCE).code(), Some(0));
}

#[test]
fn a_client_that_does_not_speak_mcp_gets_an_error() {
    let world = World::new();
    let mut client = Client::start(world.orch_command(&["mcp"]));
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(client.end_within(AT_ONCE).code(), Some(2));
    assert!(feed(world.orch_command(&["mcp"]), b"").ended(0).stdout.is_empty());
}

#[test]
fn requests_before_the_end_of_input_are_answered() {
    let world = World::started("");
    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "printf", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "delegate_task", "arguments": {"text": "true", "role": "shell"}}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "get_status", "arguments": {}}}),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = feed(world.orch_command(&["mcp"]), input.as_bytes()).ok();
    let mut answered: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("nothing but messages")).collect();
    answered.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answered.iter().map(|answer| answer["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let id = answered[1]["result"]["structuredContent"]["id"].as_str().expect("accepted");
    world.wait_for(id, "succeeded");
}

#[test]
fn every_line_that_is_no_message_is_answered_before_the_end() {
    let world = World::new();
    let answers = |input: &str| -> Vec<serde_json::Value> {
        let output = feed(world.orch_command(&["mcp"]), input.as_bytes()).ok();
        output.lines().map(|line| serde_json::from_str(line).expect("nothing but messages")).collect()
    };
    let wrong = "nonsense\n{\"jsonrpc\":\"2.0\",\"id\":\"seven\"}\n[]\n{\"jsonrpc\":";
    for _ in 0..5 {
        let answered = answers(wrong);
        let codes: Vec<_> = answered.iter().map(|answer| answer["error"]["code"].as_i64().unwrap()).collect();
        assert_eq!(codes, [-32700, -32600, -32600, -32700], "{answered:#?}");
        assert_eq!(answered[1]["id"], "seven");
        assert!(answered[0].get("id").is_none(), "MCP allows no null there: {}", answered[0]);
    }

    // The same of a client that has greeted.
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "printf", "version": "1"}}});
    let greeted = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answered = answers(&format!("{hello}\n{greeted}\n{wrong}"));
    let errors = answered.iter().filter(|answer| answer["error"].is_object()).count();
    assert_eq!((answered.len(), errors), (5, 4), "{answered:#?}");
}
