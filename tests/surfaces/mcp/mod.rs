//! `orch mcp`, as a client sees it: over its pipes, line by line, on a whole orch.

mod agent;
mod client;
mod ends;
mod person;
mod protocol;
mod schema;
mod waits;
