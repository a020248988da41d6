//! A client that implements just enough of the protocols to check the model service.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

pub struct Response {
    /// The HTTP status; 0 if the connection ended without an answer.
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
    /// Whether the body is complete.
    pub whole: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// The contents of an answer, independent of the API.
#[derive(Debug, Default)]
pub struct Answered {
    pub text: String,
    pub calls: Vec<(String, Value)>,
}

/// Sends one request on a new connection, and returns the response.
pub fn ask(url: &str, path: &str, body: &Value) -> Response {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let mut bytes = Vec::new();
    loop {
        let answer = parse(&bytes);
        if answer.whole {
            return answer;
        }
        let mut some = [0; 4096];
        match stream.read(&mut some) {
            Ok(0) => return answer,
            Ok(n) => bytes.extend_from_slice(&some[..n]),
            Err(e) => panic!("{path}: {e}"),
        }
    }
}

fn parse(bytes: &[u8]) -> Response {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, rest)) = text.split_once("\r\n\r\n") else {
        return Response { status: 0, headers: Vec::new(), body: String::new(), whole: false };
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut response = Response { status, headers, body: rest.to_owned(), whole: false };
    match response.header("content-length").map(|n| n.parse::<usize>().unwrap()) {
        Some(length) => response.whole = rest.len() >= length,
        None => {
            response.whole = rest.ends_with("\r\n0\r\n\r\n") || rest == "0\r\n\r\n";
            response.body = chunks(rest);
        }
    }
    response
}

fn chunks(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = after[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    body
}

/// Returns the events of a stream: the name, which may be empty, and the data.
pub fn events(response: &Response) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let events = response.body.split("\n\n").filter(|event| !event.is_empty());
    let data = |event| field(event, "data:").and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
    events.map(|event| (field(event, "event:").unwrap_or_default(), data(event))).collect()
}

/// Returns the answer in a response of any of the APIs.
pub fn answered(response: &Response, stream: bool) -> Answered {
    let mut answered = Answered::default();
    let arguments = |text: &Value| serde_json::from_str(text.as_str().unwrap()).unwrap();
    let mut item = |item: &Value| match item["type"].as_str() {
        Some("message") => answered.text.push_str(item["content"][0]["text"].as_str().unwrap()),
        Some("function_call") => {
            answered.calls.push((item["name"].as_str().unwrap().to_owned(), arguments(&item["arguments"])));
        }
        Some("text") => answered.text.push_str(item["text"].as_str().unwrap()),
        Some("tool_use") => answered.calls.push((item["name"].as_str().unwrap().to_owned(), item["input"].clone())),
        _ => {}
    };
    if !stream {
        let json = response.json();
        json["content"].as_array().into_iter().flatten().for_each(&mut item);
        json["output"].as_array().into_iter().flatten().for_each(&mut item);
        chat(&json["choices"][0]["message"], &mut answered);
        generate(&json, &mut answered);
        return answered;
    }
    let (mut block, mut pieces) = (Value::Null, String::new());
    for (name, data) in events(response) {
        match name.as_str() {
            "content_block_start" => (block, pieces) = (data["content_block"].clone(), String::new()),
            "content_block_delta" => {
                let delta = &data["delta"];
                pieces.push_str(delta["text"].as_str().or(delta["partial_json"].as_str()).unwrap());
            }
            "content_block_stop" if block["type"] == "text" => answered.text.push_str(&pieces),
            "content_block_stop" => {
                let input = serde_json::from_str(&pieces).unwrap();
                answered.calls.push((block["name"].as_str().unwrap().to_owned(), input));
            }
            "response.output_text.delta" => answered.text.push_str(data["delta"].as_str().unwrap()),
            "response.output_item.done" if data["item"]["type"] == "function_call" => {
                let call = &data["item"];
                answered.calls.push((call["name"].as_str().unwrap().to_owned(), arguments(&call["arguments"])));
            }
            "" => {
                chat(&data["choices"][0]["delta"], &mut answered);
                generate(&data, &mut answered);
            }
            _ => {}
        }
    }
    answered
}

fn chat(message: &Value, answered: &mut Answered) {
    answered.text.push_str(message["content"].as_str().unwrap_or_default());
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let input = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        answered.calls.push((function["name"].as_str().unwrap().to_owned(), input));
    }
}

fn generate(response: &Value, answered: &mut Answered) {
    for part in response["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
        answered.text.push_str(part["text"].as_str().unwrap_or_default());
        if let Some(name) = part["functionCall"]["name"].as_str() {
            answered.calls.push((name.to_owned(), part["functionCall"]["args"].clone()));
        }
    }
}
