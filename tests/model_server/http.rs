//! The part of HTTP/1.1 that agent programs use on loopback: bodies with a length, answers whole or in chunks.

use std::{
    io::{self, Read as _, Write},
    net::TcpStream,
};

use serde_json::Value;

/// The maximum length of a request, in bytes: longer than any prompt.
const LONGEST: usize = 64 << 20;

/// A request as it was received.
#[derive(Debug)]
pub struct Read {
    pub method: String,
    pub path: String,
    pub body: Value,
}

/// What happens to the connection after an answer.
#[derive(Debug)]
pub enum After {
    /// The connection may be used again.
    GoOn,
    /// The connection must be closed.
    End,
}

/// Reads the next request; `None` if the peer has closed the connection.
pub fn read(stream: &mut TcpStream) -> io::Result<Option<Read>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if !read_more(stream, &mut bytes)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fields = || lines.clone().filter_map(|line| line.split_once(':'));
    let field = |name: &str| fields().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    let length = field("content-length").map_or(Ok(0), str::parse::<usize>).map_err(io::Error::other)?;
    if length > LONGEST || field("transfer-encoding").is_some() {
        return Err(io::Error::other("a body without a length, or too long"));
    }
    if field("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body_end = head_end + 4 + length;
    while bytes.len() < body_end {
        if !read_more(stream, &mut bytes)? {
            return Ok(None);
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..body_end]).unwrap_or_default();
    Ok(Some(Read { method, path, body }))
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut some = [0; 64 << 10];
    let n = stream.read(&mut some)?;
    bytes.extend_from_slice(&some[..n]);
    Ok(n > 0)
}

/// Writes an answer in one piece.
pub fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(String, String)],
    kind: &str,
    body: &[u8],
) -> io::Result<After> {
    let mut head = format!("HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    Ok(After::GoOn)
}

/// Writes an answer as a stream of events. With `cut`, the stream's end is left out.
pub fn write_stream(stream: &mut TcpStream, events: &[String], cut: bool) -> io::Result<After> {
    stream.write_all(b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for event in events {
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    if cut {
        return Ok(After::End);
    }
    stream.write_all(b"0\r\n\r\n")?;
    Ok(After::GoOn)
}
