//! The Responses API (`codex`).

use serde_json::{Value, json};

use super::script::{Answer, Asked, Entry, INPUT_TOKENS, OUTPUT_TOKENS, event, flat, halves, is_a_persons};

pub fn entries(body: &Value) -> Vec<Entry> {
    if let Value::String(text) = &body["input"] {
        return vec![Entry::Person(text.clone())];
    }
    let mut entries = Vec::new();
    for item in body["input"].as_array().into_iter().flatten() {
        match (item["type"].as_str(), item["role"].as_str()) {
            (Some("message") | None, Some("user")) => entries.extend(persons(&item["content"])),
            (Some("message") | None, Some("assistant")) => entries.push(Entry::Model),
            (Some("function_call" | "custom_tool_call" | "local_shell_call"), _) => entries.push(Entry::Model),
            (Some("function_call_output" | "custom_tool_call_output" | "local_shell_call_output"), _) => {
                entries.push(Entry::Tool(flat(&item["output"])));
            }
            _ => {}
        }
    }
    entries
}

fn persons(content: &Value) -> Vec<Entry> {
    let texts: Vec<String> = match content {
        Value::Array(parts) => parts.iter().map(|part| flat(&part["text"])).collect(),
        other => vec![flat(other)],
    };
    texts.into_iter().filter(|text| is_a_persons(text)).map(Entry::Person).collect()
}

fn items(answer: &Answer) -> Vec<Value> {
    let id = |kind: &str| format!("{kind}_{}", uuid::Uuid::new_v4().simple());
    match answer {
        Answer::Tools(calls) => {
            let item = |call: &super::ToolCall| {
                let mut item = json!({
                    "type": "function_call", "id": id("fc"), "call_id": id("call"), "status": "completed",
                    "name": call.name, "arguments": call.input.to_string(),
                });
                if let Some(namespace) = &call.namespace {
                    item["namespace"] = json!(namespace);
                }
                item
            };
            calls.iter().map(item).collect()
        }
        Answer::Text(text) | Answer::Cut(text) => vec![json!({
            "type": "message", "id": id("msg"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        })],
        Answer::Error { .. } | Answer::Hang => Vec::new(),
    }
}

fn response(asked: &Asked, status: &str, output: Vec<Value>) -> Value {
    json!({
        "id": format!("resp_{}", uuid::Uuid::new_v4().simple()), "object": "response", "status": status,
        "model": asked.model, "output": output,
        "usage": {
            "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    })
}

pub fn whole(asked: &Asked, answer: &Answer) -> Value {
    response(asked, "completed", items(answer))
}

pub fn events(asked: &Asked, answer: &Answer) -> Vec<String> {
    let items = items(answer);
    let begun = response(asked, "in_progress", Vec::new());
    let mut events = vec![event("response.created", json!({"response": begun}))];
    for (index, item) in items.iter().enumerate() {
        events.push(event("response.output_item.added", json!({"output_index": index, "item": item})));
        if let Some(text) = item["content"][0]["text"].as_str() {
            for half in halves(text) {
                let delta = json!({"output_index": index, "content_index": 0, "item_id": item["id"], "delta": half});
                events.push(event("response.output_text.delta", delta));
            }
        }
        if matches!(answer, Answer::Cut(_)) {
            return events;
        }
        events.push(event("response.output_item.done", json!({"output_index": index, "item": item})));
    }
    events.push(event("response.completed", json!({"response": response(asked, "completed", items)})));
    events
}
