//! `orch mcp` as a client sees it: through pipes, line by line, with everything behind it running.

mod agent;
mod client;
mod ends;
mod mistakes;
mod person;
mod protocol;
mod schema;
mod waits;
