//! The Messages API (`claude`).

use serde_json::{Value, json};

use super::script::{Answer, Asked, Entry, INPUT_TOKENS, OUTPUT_TOKENS, event, flat, halves, is_a_persons};

pub fn entries(body: &Value) -> Vec<Entry> {
    let mut entries = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        match (message["role"].as_str(), &message["content"]) {
            (Some("assistant"), _) => entries.push(Entry::Model),
            (Some("user"), Value::Array(blocks)) => entries.extend(blocks.iter().filter_map(block)),
            (Some("user"), content) => entries.push(Entry::Person(flat(content))),
            _ => {}
        }
    }
    entries
}

fn block(block: &Value) -> Option<Entry> {
    match block["type"].as_str()? {
        "text" => Some(flat(&block["text"])).filter(|text| is_a_persons(text)).map(Entry::Person),
        "tool_result" => Some(Entry::Tool(flat(&block["content"]))),
        _ => None,
    }
}

/// Returns the blocks of an answer, and its stop reason.
fn content(answer: &Answer) -> (Vec<Value>, &'static str) {
    match answer {
        Answer::Tools(calls) => {
            let block = |call: &super::ToolCall| {
                let id = format!("toolu_{}", uuid::Uuid::new_v4().simple());
                json!({"type": "tool_use", "id": id, "name": call.name, "input": call.input})
            };
            (calls.iter().map(block).collect(), "tool_use")
        }
        Answer::Text(text) | Answer::Cut(text) => (vec![json!({"type": "text", "text": text})], "end_turn"),
        Answer::Error { .. } | Answer::Hang => (Vec::new(), "end_turn"),
    }
}

fn message(asked: &Asked, content: Vec<Value>, stop: Option<&str>) -> Value {
    json!({
        "id": format!("msg_{}", uuid::Uuid::new_v4().simple()), "type": "message", "role": "assistant",
        "model": asked.model, "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    })
}

pub fn whole(asked: &Asked, answer: &Answer) -> Value {
    let (content, stop) = content(answer);
    message(asked, content, Some(stop))
}

pub fn events(asked: &Asked, answer: &Answer) -> Vec<String> {
    let (content, stop) = content(answer);
    let mut events = vec![event("message_start", json!({"message": message(asked, Vec::new(), None)}))];
    for (index, block) in content.iter().enumerate() {
        let (empty, text, kind, field) = match block["type"].as_str() {
            Some("text") => (json!({"type": "text", "text": ""}), flat(&block["text"]), "text_delta", "text"),
            _ => {
                let mut empty = block.clone();
                empty["input"] = json!({});
                (empty, block["input"].to_string(), "input_json_delta", "partial_json")
            }
        };
        events.push(event("content_block_start", json!({"index": index, "content_block": empty})));
        for half in halves(&text) {
            let delta = json!({"index": index, "delta": {"type": kind, field: half}});
            events.push(event("content_block_delta", delta));
        }
        if matches!(answer, Answer::Cut(_)) {
            return events;
        }
        events.push(event("content_block_stop", json!({"index": index})));
    }
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    events.push(event("message_delta", json!({"delta": delta, "usage": {"output_tokens": OUTPUT_TOKENS}})));
    events.push(event("message_stop", json!({})));
    events
}
