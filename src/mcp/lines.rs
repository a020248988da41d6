//! Reads the lines of the client before the SDK does: a line that is no valid message is answered here and not passed
//! on.
//!
//! The SDK ignores a line that is not JSON, answers one that is not a message without its id, and reads lines of any
//! length; a client that waits for the answer would wait for ever.
//!
//! An answer to a line whose id cannot be read has no `id`: the schema of MCP makes it optional in errors and allows no
//! `null`, which clients with that schema would refuse. JSON-RPC alone would have `null` there.

use rmcp::{
    ErrorData,
    model::{ErrorCode, NumberOrString, RequestId},
};
use serde_json::Value;

/// Longest line: several times the longest text and context of a task.
const LONGEST: usize = 16 << 20;

/// A line that is no message, with its id if it has one.
pub(super) type Refused = (ErrorData, Option<RequestId>);

/// The line that is being read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    current: Vec<u8>,
    /// Whether the line is too long, and its rest is left out.
    skipping: bool,
}

impl Lines {
    /// Reads a piece of the input: its messages are appended to `messages`, and what is none is returned.
    pub fn read(&mut self, mut bytes: &[u8], messages: &mut Vec<u8>) -> Vec<Refused> {
        let mut refused = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.append(&bytes[..end]);
            bytes = &bytes[end + 1..];
            refused.extend(self.take(messages));
        }
        self.append(bytes);
        refused
    }

    /// The end of the input: a last line without a newline is a line, too.
    pub fn end(&mut self, messages: &mut Vec<u8>) -> Option<Refused> {
        self.take(messages)
    }

    /// Appends the line that was read to `messages`, or returns it if it is no message.
    fn take(&mut self, messages: &mut Vec<u8>) -> Option<Refused> {
        let line = std::mem::take(&mut self.current);
        let checked = match std::mem::take(&mut self.skipping) {
            true => Err(invalid(format!("the line is longer than {} MiB", LONGEST >> 20), None)),
            false => check(&line),
        };
        match checked {
            Ok(true) => {
                messages.extend_from_slice(&line);
                messages.push(b'\n');
                None
            }
            Ok(false) => None,
            Err(why) => Some(why),
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.skipping |= self.current.len() + bytes.len() > LONGEST;
        match self.skipping {
            true => self.current = Vec::new(),
            false => self.current.extend_from_slice(bytes),
        }
    }
}

/// Returns whether a line is a message; `false` if it is empty.
fn check(line: &[u8]) -> Result<bool, Refused> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(false);
    }
    let said: Value = serde_json::from_slice(line)
        .map_err(|e| (ErrorData::parse_error(format!("this line is no JSON: {e}"), None), None))?;
    let id = match &said["id"] {
        Value::Number(number) => number.as_i64().map(NumberOrString::Number),
        Value::String(text) => Some(NumberOrString::String(text.as_str().into())),
        _ => None,
    };
    let Value::Object(message) = &said else {
        let what = if said.is_array() {
            "a batch is not supported: write one message per line"
        } else {
            "a message is an object"
        };
        return Err(invalid(what.to_owned(), None));
    };
    if said["jsonrpc"] != "2.0" {
        return Err(invalid("a message has \"jsonrpc\": \"2.0\"".to_owned(), id));
    }
    if message.contains_key("result") || message.contains_key("error") {
        return Ok(true);
    }
    match said["method"].as_str() {
        None => Err(invalid("a request has a \"method\", which is a text".to_owned(), id)),
        Some("tools/call") => {
            call(&said["params"]).map(|()| true).map_err(|why| (ErrorData::invalid_params(why, None), id))
        }
        Some(_) => Ok(true),
    }
}

/// Checks what a tool is called with, as far as it is the same for all tools.
fn call(params: &Value) -> Result<(), String> {
    if !params.is_object() {
        return Err("tools/call: \"params\" must be an object with the tool's name and arguments".to_owned());
    }
    if !params["name"].is_string() {
        return Err("tools/call: \"name\" must be a text: the tool's name".to_owned());
    }
    match &params["arguments"] {
        Value::Null | Value::Object(_) => Ok(()),
        _ => Err("tools/call: \"arguments\" must be an object".to_owned()),
    }
}

fn invalid(why: String, id: Option<RequestId>) -> Refused {
    (ErrorData::new(ErrorCode::INVALID_REQUEST, why, None), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (String, Vec<(i32, String, Option<RequestId>)>) {
        let (mut lines, mut messages) = (Lines::default(), Vec::new());
        let refused: Vec<Refused> = pieces.iter().flat_map(|piece| lines.read(piece, &mut messages)).collect();
        let refused = refused.into_iter().map(|(e, id)| (e.code.0, e.message.into_owned(), id)).collect();
        (String::from_utf8(messages).unwrap(), refused)
    }

    #[test]
    fn messages_pass_wherever_they_are_cut() {
        let text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n\r\n{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n{\"cut";
        for size in [1, 7, 1000] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (messages, refused) = read(&pieces);
            assert_eq!(messages, text.replace("\n\n\r\n", "\n").replace("{\"cut", ""), "{size}");
            assert!(refused.is_empty(), "{refused:?}");
        }
    }

    #[test]
    fn a_last_line_without_a_newline_is_a_line() {
        let read = |input: &[u8]| {
            let (mut lines, mut messages) = (Lines::default(), Vec::new());
            assert!(lines.read(input, &mut messages).is_empty() && messages.is_empty());
            let refused = lines.end(&mut messages).map(|(e, _)| e.code.0);
            assert!(lines.end(&mut messages).is_none(), "once");
            (String::from_utf8(messages).unwrap(), refused)
        };
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        assert_eq!(read(ping.as_bytes()), (format!("{ping}\n"), None));
        assert_eq!(read(&ping.as_bytes()[..20]), (String::new(), Some(-32700)));
        assert_eq!(read(b""), (String::new(), None));
    }

    #[test]
    fn what_is_no_message_is_answered_with_what_is_wrong_and_with_its_id() {
        for (line, code, words, id) in [
            ("no json", -32700, "this line is no JSON", None),
            ("42", -32600, "a message is an object", None),
            ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600, "a batch is not supported", None),
            ("{\"id\":7,\"method\":\"ping\"}", -32600, "\"jsonrpc\": \"2.0\"", Some(NumberOrString::Number(7))),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"x\"}", -32600, "\"method\"", Some(NumberOrString::String("x".into()))),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\"params\":{\"name\":5}}",
                -32602,
                "\"name\" must be a text",
                Some(NumberOrString::Number(8)),
            ),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"arguments\":\"x\"}}",
                -32602,
                "\"arguments\" must be an object",
                Some(NumberOrString::Number(9)),
            ),
        ] {
            let (messages, refused) = read(&[line.as_bytes(), b"\n"]);
            assert_eq!((messages.as_str(), refused.len()), ("", 1), "{line}");
            assert_eq!((refused[0].0, &refused[0].2), (code, &id), "{line}");
            assert!(refused[0].1.contains(words), "{line}: {}", refused[0].1);
        }
    }

    #[test]
    fn a_line_over_the_limit_is_refused_and_the_next_one_is_read() {
        let piece = vec![b'x'; 1 << 20];
        let mut pieces: Vec<&[u8]> = vec![&piece; (LONGEST >> 20) + 1];
        pieces.push(b"\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
        let (messages, refused) = read(&pieces);
        assert_eq!(messages.lines().count(), 1);
        assert_eq!((refused.len(), refused[0].0), (1, -32600));
        assert!(refused[0].1.contains("longer than 16 MiB"), "{refused:?}");
    }
}
