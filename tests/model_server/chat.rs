//! The Chat Completions API, which most other programs use.

use serde_json::{Value, json};

use super::script::{Answer, Asked, Entry, INPUT_TOKENS, OUTPUT_TOKENS, flat, halves, is_a_persons};

pub fn entries(body: &Value) -> Vec<Entry> {
    let mut entries = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let text = flat(&message["content"]);
        match message["role"].as_str() {
            Some("assistant") => entries.push(Entry::Model),
            Some("tool") => entries.push(Entry::Tool(text)),
            Some("user") => entries.extend(persons(&message["content"]).map(Entry::Person)),
            _ => {}
        }
    }
    entries
}

/// Returns the text of a message that a person wrote; programs may add more to it.
fn persons(content: &Value) -> Option<String> {
    let parts = match content {
        Value::Array(parts) => parts.iter().map(|part| flat(&part["text"])).collect(),
        whole => vec![flat(whole)],
    };
    let texts: Vec<String> = parts.into_iter().filter(|part| is_a_persons(part)).collect();
    Some(texts.join("\n")).filter(|texts| !texts.is_empty())
}

/// Returns the answer's message, and its stop reason.
fn message(answer: &Answer) -> (Value, &'static str) {
    match answer {
        Answer::Tools(calls) => {
            let call = |(index, call): (usize, &super::ToolCall)| {
                let id = format!("call_{}", uuid::Uuid::new_v4().simple());
                let function = json!({"name": call.name, "arguments": call.input.to_string()});
                json!({"index": index, "id": id, "type": "function", "function": function})
            };
            let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
            (json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls")
        }
        Answer::Text(text) | Answer::Cut(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Answer::Error { .. } | Answer::Hang => (json!({"role": "assistant", "content": ""}), "stop"),
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    })
}

pub fn whole(asked: &Asked, answer: &Answer) -> Value {
    let (message, stop) = message(answer);
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": stop}], "usage": usage(),
    })
}

pub fn events(asked: &Asked, answer: &Answer) -> Vec<String> {
    let (message, stop) = message(answer);
    let chunk = |delta: Value, stop: Option<&str>, usage: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": stop});
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": asked.model,
            "choices": [choice], "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let mut events = match message["content"].as_str() {
        Some(text) => {
            let half = |half: &str| chunk(json!({"role": "assistant", "content": half}), None, Value::Null);
            halves(text).map(half).to_vec()
        }
        None => vec![chunk(message, None, Value::Null)],
    };
    if !matches!(answer, Answer::Cut(_)) {
        events.push(chunk(json!({}), Some(stop), usage()));
        events.push("data: [DONE]\n\n".to_owned());
    }
    events
}
