//! An agent's socket, through which the agent's programs reach orch.
//!
//! The agent's runner listens on a unix socket, and its programs find the path in [`VARIABLE`]. They send verbs
//! ([`super::Request`]), and the runner executes them as that agent: the socket is the identity, and the environment
//! proves nothing. A program needs no access to Redis, to the state folder or to sessions.toml.
//!
//! **Protocol**: one JSON object per line, any number of requests at a time, answers in any order.
//!
//! ```text
//! → {"id":1,"request":{"method":"delegate","params":{"asked":{...}}}}
//! ← {"id":1,"answer":{"result":{"id":"t-7k2m9qx4hz", ...}}}
//! → {"id":2,"request":{"method":"follow_events","params":{"after":"0-0"}}}
//! ← {"id":2,"answer":{"item":{...}}}       any number of times, then {"id":2,"answer":"end"} or an error
//! → {"id":2,"cancel":true}                 ends a wait or a stream early
//! ← {"id":3,"answer":{"error":{"kind":"not_found","code":"not_found","message":"...","hint":"..."}}}
//! ```
//!
//! Both ends belong to the same project and usually to the same build. A method that the other end does not know is
//! answered with an error.

mod client;
mod server;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use client::Connection;
pub use server::serve;

use super::Request;
use crate::error::Error;

/// The variable that holds the path of an agent's socket.
pub const VARIABLE: &str = "ORCH_SOCKET";

/// The longest line. Many tasks with long texts are accepted in one step; a longer line is no request of ours.
const LONGEST: u64 = 64 << 20;

/// A line from a program to its runner: a request, or the cancellation of one.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cancel: bool,
}

/// A line from a runner to a program.
#[derive(Debug, Serialize, Deserialize)]
struct Received {
    id: u64,
    answer: Said,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// The one answer.
    Result(Value),
    /// One item of a stream.
    Item(Value),
    /// No more items follow.
    End,
    /// It has failed; nothing follows.
    Error(Error),
}
