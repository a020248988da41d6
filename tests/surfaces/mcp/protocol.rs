//! What the protocol requires of a server, and what the server answers when orch does not run.

use std::fs;

use serde_json::{Value, json};

use super::client::{Client, text};
use crate::common::World;

const TOOLS: [&str; 20] = [
    "ask_human",
    "cancel_task",
    "delegate_task",
    "drain",
    "get_plan",
    "get_status",
    "get_task",
    "kill_all",
    "list_locks",
    "list_tasks",
    "lock_files",
    "read_inbox",
    "report_progress",
    "retry_task",
    "scale_workers",
    "send_message",
    "spawn_workers",
    "submit_plan",
    "unlock_files",
    "wait_tasks",
];

#[test]
fn it_reports_its_name_and_capabilities() {
    let world = World::new();
    let mut client = Client::start(world.orch_command(&["mcp"]));
    let hello = client.greet();
    assert_eq!(hello["serverInfo"], json!({"name": "orch", "version": env!("CARGO_PKG_VERSION")}));
    assert_eq!(hello["protocolVersion"], "2025-06-18");
    assert!(hello["capabilities"]["tools"].is_object() && hello["capabilities"]["resources"].is_object(), "{hello:#}");
    let instructions = hello["instructions"].as_str().unwrap();
    assert!(instructions.contains("wait_tasks") && instructions.contains("Never poll"), "{instructions}");

    let listed = client.request("tools/list", json!({}))["result"]["tools"].take();
    let tools = listed.as_array().unwrap();
    assert_eq!(tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
    for tool in tools {
        let description = tool["description"].as_str().unwrap();
        assert!(description.len() > 20 && !description.contains('\n'), "{tool:#}");
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{tool:#}");
            assert!(!tool[schema].to_string().contains("\"format\""), "{tool:#}");
        }
        for (name, property) in tool["inputSchema"]["properties"].as_object().unwrap() {
            assert!(property["type"].is_string(), "{}: {name} has no plain type: {property}", tool["name"]);
            assert!(property["description"].is_string(), "{}: {name} is not described", tool["name"]);
        }
    }
    let templates = client.request("resources/templates/list", json!({}));
    assert_eq!(templates["result"]["resourceTemplates"].as_array().map(Vec::len), Some(2));
    assert_eq!(client.leave(), "", "nothing was worth a warning");
}

#[test]
fn tools_that_reach_others_are_marked_as_such() {
    let world = World::new();
    let mut client = Client::start(world.orch_command(&["mcp"]));
    client.greet();
    let listed = client.request("tools/list", json!({}))["result"]["tools"].take();
    let with = |hint: &str| -> Vec<String> {
        let tools = listed.as_array().unwrap().iter().filter(|tool| tool["annotations"][hint] == true);
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(with("readOnlyHint"), ["get_plan", "get_status", "get_task", "list_locks", "list_tasks", "wait_tasks"]);
    assert_eq!(with("destructiveHint"), ["cancel_task", "kill_all"]);
}

#[test]
fn an_unknown_tool_is_a_protocol_error_and_a_bad_call_is_an_answer() {
    let world = World::new();
    let mut client = Client::of(&world);
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    let unknown = client.request("tools/call", json!({"name": "no_such_tool", "arguments": {}}));
    let said = unknown["error"]["message"].as_str().unwrap_or_default();
    assert!(
        said.contains("there is no tool 'no_such_tool'; the tools are ") && said.contains("wait_tasks"),
        "{unknown}"
    );
    assert_eq!(code(&unknown), Some(-32602));
    assert_eq!(code(&client.request("no/such/method", json!({}))), Some(-32601));
    assert_eq!(code(&client.request("resources/read", json!({"uri": "orch://nothing"}))), Some(-32002));
    for line in ["this is no message", "{\"jsonrpc\": \"2.0\", \"id\": 5, ", "\u{1}"] {
        client.write(line);
        let error = client.until("an error", |message| message["error"]["code"] == -32700);
        assert!(error["id"].is_null(), "{error}");
    }

    // A model can mend these, if it is told.
    for (tool, arguments, said) in [
        ("delegate_task", json!({"text": 5}), "text: invalid type: integer `5`, expected a string"),
        ("delegate_task", json!({"text": "x", "labels": {"a": 1}}), "labels.a: invalid type: integer `1`"),
        ("delegate_task", json!({}), "missing field `text`"),
        (
            "delegate_task",
            json!({"text": "x", "agent": "y"}),
            "unknown field `agent`, expected one of `description`, `text`",
        ),
        ("delegate_task", json!({"text": "x", "priority": "urgent"}), "one of low, normal, high"),
        ("delegate_task", json!({"text": "x", "timeout": "90"}), "such as 500ms, 90s, 5m"),
        ("delegate_task", json!({"text": "x", "after": ["T 1"]}), "'T 1' names neither a task nor an agent"),
        ("delegate_task", json!({"text": "x", "role": "shel"}), "shell"),
        ("delegate_task", json!({"text": " "}), "the task has no text"),
        ("spawn_workers", json!({"texts": []}), "there must be 1 to 200"),
        ("spawn_workers", json!({"texts": ["a", " "]}), "text 2 is empty"),
        ("wait_tasks", json!({"ids": []}), "nothing to wait for"),
        (
            "wait_tasks",
            json!({"ids": "t-7k2m9qx4hz"}),
            "ids: invalid type: string \"t-7k2m9qx4hz\", expected a sequence",
        ),
        ("wait_tasks", json!({"ids": ["X"]}), "'X' names neither a task nor an agent"),
        ("list_tasks", json!({"state": "done"}), "'done' is not a task state"),
        ("cancel_task", json!({"ids": []}), "nothing to cancel"),
        ("report_progress", json!({"text": ""}), "the progress report is empty"),
    ] {
        let answer = client.refused(tool, arguments);
        assert!(answer.contains(said), "{tool}: {answer}");
    }
}

#[test]
fn it_starts_with_an_invalid_project_and_its_tools_report_it() {
    let world = World::new();
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("[retry]", "[retries]")).unwrap();
    let mut client = Client::of(&world);
    let said = client.refused("delegate_task", json!({"text": "x"}));
    assert!(said.contains("retries") && said.contains("hint:"), "{said}");

    // Mended: the same server goes on.
    fs::write(&file, config).unwrap();
    let said = client.refused("delegate_task", json!({"text": "x"}));
    assert!(said.contains("orch is not running") && said.contains("orch start"), "{said}");
    let status = client.call("get_status", json!({}));
    assert_eq!(status["structuredContent"]["supervisor"], "stopped");
    assert!(text(&status).contains("orch start"), "{status:#}");
    let read = client.request("resources/read", json!({"uri": "orch://tasks/t-7k2m9qx4hz"}));
    assert!(read["error"]["message"].as_str().unwrap().contains("orch is not running"), "{read:#}");

    world.start();
    client.delegate("true");
}
