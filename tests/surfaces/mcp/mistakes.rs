//! Lines that are no messages, and hints for a model.

use serde_json::json;

use super::client::Client;
use crate::common::World;

#[test]
fn a_line_that_is_no_message_is_answered_with_its_id_and_nothing_is_written_to_standard_error() {
    let world = World::new();
    let mut client = Client::of(&world);
    for (line, code, id) in [
        (r#"{"jsonrpc":"2.0","id":"seven"}"#, -32600, json!("seven")),
        (r#"{"id":8,"method":"tools/list"}"#, -32600, json!(8)),
        (r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":5}}"#, -32602, json!(9)),
        (
            r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"get_status","arguments":[]}}"#,
            -32602,
            json!(10),
        ),
        (r#"[{"jsonrpc":"2.0","id":11,"method":"ping"}]"#, -32600, json!(null)),
    ] {
        client.write(line);
        let error = client.until("an error", |message| message["error"]["code"] == code);
        assert_eq!(error["id"], id, "{line}: {error}");
    }
    client.write(&format!("{{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"ping\",\"x\":\"{}\"}}", "x".repeat(17 << 20)));
    let error = client.until("an error", |message| message["error"]["code"] == -32600);
    assert!(error["error"]["message"].as_str().unwrap().contains("longer than 16 MiB"), "{error}");
    client.request("tools/call", json!({"name": "no_such_tool", "arguments": {}}));
    assert!(client.request("ping", json!({}))["result"].is_object(), "the same server goes on");
    assert_eq!(client.leave(), "");
}

#[test]
fn a_hint_for_a_model_names_tools_and_leaves_the_rest_to_the_user() {
    let world = World::new();
    let mut client = Client::of(&world);
    let said = client.refused("delegate_task", json!({"text": "x"}));
    assert!(said.contains("hint: tell the user, who can do this: start it with: orch start"), "{said}");
}
