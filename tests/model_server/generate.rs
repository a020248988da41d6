//! The `generateContent` API (`gemini`). The model is in the path; a tool call has no id.

use serde_json::{Value, json};

use super::script::{Answer, Asked, Entry, INPUT_TOKENS, OUTPUT_TOKENS, flat, halves, is_a_persons};

/// Returns the model in a path such as `/v1beta/models/MODEL:generateContent`.
pub fn model(path: &str) -> &str {
    path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default()
}

/// Returns the tools of all lists.
pub fn tools(lists: &Value) -> Vec<&Value> {
    let lists = lists.as_array().into_iter().flatten();
    lists.filter_map(|list| list["functionDeclarations"].as_array()).flatten().collect()
}

pub fn entries(body: &Value) -> Vec<Entry> {
    let mut entries = Vec::new();
    for content in body["contents"].as_array().into_iter().flatten() {
        match content["role"].as_str() {
            Some("model") => entries.push(Entry::Model),
            _ => entries.extend(content["parts"].as_array().into_iter().flatten().filter_map(part)),
        }
    }
    entries
}

fn part(part: &Value) -> Option<Entry> {
    match part["functionResponse"].get("response") {
        Some(response) => Some(Entry::Tool(response["output"].as_str().map_or_else(|| flat(response), str::to_owned))),
        None => part["text"].as_str().filter(|text| is_a_persons(text)).map(|text| Entry::Person(text.to_owned())),
    }
}

fn parts(answer: &Answer) -> Vec<Value> {
    match answer {
        Answer::Tools(calls) => {
            let part = |call: &super::ToolCall| json!({"functionCall": {"name": call.name, "args": call.input}});
            calls.iter().map(part).collect()
        }
        Answer::Text(text) | Answer::Cut(text) => vec![json!({"text": text})],
        Answer::Error { .. } | Answer::Hang => Vec::new(),
    }
}

fn response(asked: &Asked, parts: Vec<Value>, stop: Option<&str>) -> Value {
    json!({
        "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": stop}],
        "modelVersion": asked.model,
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    })
}

pub fn whole(asked: &Asked, answer: &Answer) -> Value {
    response(asked, parts(answer), Some("STOP"))
}

pub fn events(asked: &Asked, answer: &Answer) -> Vec<String> {
    let event = |response: Value| format!("data: {response}\n\n");
    match answer {
        Answer::Cut(text) => vec![event(response(asked, vec![json!({"text": text})], None))],
        Answer::Text(text) => {
            let [first, last] = halves(text);
            let first = response(asked, vec![json!({"text": first})], None);
            vec![event(first), event(response(asked, vec![json!({"text": last})], Some("STOP")))]
        }
        _ => vec![event(whole(asked, answer))],
    }
}
