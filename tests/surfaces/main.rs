//! The surfaces: the command line, the console, `orch mcp`, `orch hook` and `orch doctor` as people and programs use
//! them, and the documents and examples that describe them.

#[allow(dead_code, unused_imports)] // It is shared; these tests use a part of it.
#[path = "../common/mod.rs"]
mod common;

mod cli_usage;
mod cli_watch;
mod completions;
mod console;
mod doctor;
mod documents;
mod examples;
mod hooks;
mod inside;
mod mcp;
mod streams;
mod why;
