//! The scripted model service itself, called over a plain socket. The tests with real programs depend on it.

mod client;

use std::time::{Duration, Instant};

use client::{answered, ask, events};
use serde_json::{Value, json};

use crate::model_server::{Answer, Api, Server, tool, when};

/// Returns a request of each API with this text, streamed or not.
fn requests_with(text: &str, stream: bool) -> [(&'static str, Value); 4] {
    let message = json!([{"role": "user", "content": text}]);
    [
        ("/v1/messages?beta=true", json!({"model": "m", "stream": stream, "messages": message})),
        ("/v1/responses", json!({"model": "m", "stream": stream, "input": message})),
        ("/v1/chat/completions", json!({"model": "m", "stream": stream, "messages": message})),
        (
            if stream { "/v1beta/models/m:streamGenerateContent?alt=sse" } else { "/v1beta/models/m:generateContent" },
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        ),
    ]
}

#[test]
fn each_api_sends_a_text_whole_or_streamed() {
    let server = Server::start(vec![when("hi").answer(Answer::text("grüß dich"))]);
    for stream in [false, true] {
        for (path, body) in requests_with("hi there", stream) {
            let response = ask(&server.url(), path, &body);
            assert_eq!((response.status, response.whole), (200, true), "{path}");
            assert_eq!(answered(&response, stream).text, "grüß dich", "{path} {stream}");
        }
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 8);
    assert!(asked.iter().all(|asked| asked.text == "hi there" && asked.step == 0 && asked.model == "m"));
    let apis: Vec<_> = asked.iter().map(|asked| asked.api).collect();
    assert_eq!(apis[..4], [Api::Messages, Api::Responses, Api::Chat, Api::Generate]);
}

#[test]
fn a_tool_is_called_and_its_result_leads_to_the_next_step() {
    let rules = || {
        vec![
            when("look").step(0).answer(tool("Read", json!({"path": "/a"}))),
            when("look").step(1).answer_by(|asked| Answer::Text(format!("it says {}", asked.results.join(",")))),
        ]
    };
    let server = Server::start(rules());
    for stream in [false, true] {
        for (path, mut body) in requests_with("look", stream) {
            let first = answered(&ask(&server.url(), path, &body), stream);
            assert_eq!(first.calls, [("Read".to_owned(), json!({"path": "/a"}))], "{path} {stream}");
            let more = match path {
                "/v1/responses" => json!([
                    {"type": "function_call", "call_id": "c", "name": "Read", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "42"}]),
                "/v1/chat/completions" => json!([
                    {"role": "user", "content": [{"type": "text", "text": "<system-reminder>be brief</system-reminder>"}]},
                    {"role": "assistant", "content": null, "tool_calls": []}, {"role": "tool", "content": "42"}]),
                path if path.contains("enerateContent") => json!([
                    {"role": "model", "parts": [{"functionCall": {"name": "Read", "args": {}}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "Read", "response": {"output": "42"}}}]}]),
                _ => json!([
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "Read", "input": {}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "42"}]},
                        {"type": "text", "text": "<system-reminder>be brief</system-reminder>"}]}]),
            };
            let list = ["input", "messages", "contents"].into_iter().find(|list| body[*list].is_array()).unwrap();
            body[list].as_array_mut().unwrap().extend(more.as_array().unwrap().iter().cloned());
            assert_eq!(answered(&ask(&server.url(), path, &body), stream).text, "it says 42", "{path} {stream}");
        }
    }
}

#[test]
fn the_first_matching_rule_answers_until_its_count_is_used_up() {
    let server = Server::start(vec![
        when("x").model("small").answer(Answer::text("by the small one")),
        when("x").times(2).answer(Answer::overloaded()),
        when("x").times(1).answer(Answer::rate_limited(7)),
        when("x").answer(Answer::text("at last")),
    ]);
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    let status = || ask(&server.url(), "/v1/messages", &body("big"));
    assert_eq!([status().status, status().status], [529, 529]);
    let limited = status();
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    assert_eq!(limited.json()["error"]["type"], "rate_limit_error");
    assert_eq!(answered(&status(), false).text, "at last");
    assert_eq!(answered(&ask(&server.url(), "/v1/messages", &body("small-1")), false).text, "by the small one");
    let other = json!({"messages": [{"role": "user", "content": "y"}]});
    let none = ask(&server.url(), "/v1/messages", &other);
    assert!(none.status == 400 && none.json()["error"]["message"].as_str().unwrap().contains("no rule for"));
}

#[test]
fn a_cut_stream_and_a_silent_one_are_neither_ended_nor_answered() {
    let server = Server::start(vec![
        when("cut").answer(Answer::Cut("half of it".to_owned())),
        when("hang").answer(Answer::Hang),
    ]);
    for (path, body) in requests_with("cut", true) {
        let response = ask(&server.url(), path, &body);
        assert!(!response.whole && response.body.contains("half"), "{path}");
        let ends = ["message_stop", "response.completed", "[DONE]"];
        assert!(ends.iter().all(|end| !response.body.contains(end)), "{path}: {}", response.body);
    }
    // A hanging request ends when the service ends.
    let url = server.url();
    let (path, body) = requests_with("hang", true)[0].clone();
    let hanging = std::thread::spawn(move || ask(&url, path, &body));
    let began = Instant::now();
    while server.times_asked("hang") == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "the request arrives");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!hanging.is_finished());
    drop(server);
    assert_eq!(hanging.join().unwrap().status, 0);
}

#[test]
fn other_requests_are_recorded_and_do_not_count_as_model_calls() {
    let server = Server::start(vec![]);
    let counted = ask(&server.url(), "/v1/messages/count_tokens", &json!({"messages": []}));
    assert!(counted.status == 200 && counted.json()["input_tokens"].as_u64() > Some(0));
    assert_eq!(ask(&server.url(), "/v1/nothing", &json!({"a": 1})).status, 404);
    let requests = server.requests();
    assert_eq!((requests.len(), server.asked().len()), (2, 0));
    assert_eq!((requests[1].path.as_str(), &requests[1].body), ("/v1/nothing", &json!({"a": 1})));
}

#[test]
fn events_have_names_and_follow_the_order_of_the_api() {
    let server = Server::start(vec![when("").answer(Answer::text("ab"))]);
    let names = |at: usize| {
        let (path, body) = requests_with("x", true)[at].clone();
        events(&ask(&server.url(), path, &body)).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let delta = "content_block_delta";
    let block = ["content_block_start", delta, delta, "content_block_stop"];
    assert_eq!(names(0), [&["message_start"], &block[..], &["message_delta", "message_stop"]].concat());
    assert_eq!(names(1).first().map(String::as_str), Some("response.created"));
    assert_eq!(names(1).last().map(String::as_str), Some("response.completed"));
}
