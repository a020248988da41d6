//! The groups of figures. Each makes its world, measures, and ends it.

mod accept;
mod agents;
mod deaths;
mod delegate;
mod files;
mod fleet;
mod many;
mod mcp;
mod recovery;
mod start;
mod throughput;
mod tree;

use std::time::Duration;

use crate::{Result, table::Row};

/// Figures that are measured in one world.
pub struct Group {
    /// The word for the command line.
    pub name: &'static str,
    /// In a line.
    pub about: &'static str,
    /// Beyond it the group is given up.
    pub limit: Duration,
    /// Measures.
    pub run: fn() -> Result<Vec<Row>>,
}

const fn group(name: &'static str, about: &'static str, seconds: u64, run: fn() -> Result<Vec<Row>>) -> Group {
    Group { name, about, limit: Duration::from_secs(seconds), run }
}

/// All of them, in the order in which they are measured.
pub static GROUPS: [Group; 13] = [
    group("start", "a cold orch start, until the master's prompt stands", 120, start::measure),
    group("delegate", "orch delegate until the program has started, an idle agent there", 120, delegate::to_idle),
    group("launch", "the same where the agent has to be launched first", 180, delegate::to_launched),
    group(
        "agents",
        "orch delegate until a real claude starts (where scripts/test-agents installed it)",
        240,
        agents::measure,
    ),
    group("mcp", "orch mcp: its handshake, a call, how soon a wait hears of an end", 180, mcp::measure),
    group("accept", "tasks accepted per second: a process each, orch delegate --each, MCP", 240, accept::measure),
    group(
        "throughput",
        "no-op tasks per second over 20,000 tasks, through 4 and 20 agents, in the home folder and in /tmp",
        1200,
        throughput::measure,
    ),
    group("files", "files and folders that an attempt makes which prints nothing", 60, files::measure),
    group("deaths", "kill -9 of a runner and of a program, until it is recorded", 180, deaths::measure),
    group("tree", "a tree of 300 processes that ignore everything, until it is gone", 180, tree::measure),
    group(
        "recovery",
        "deaths of agents, of Redis with much stored, of tmux, until all goes on",
        600,
        recovery::measure,
    ),
    group("fleet", "100 agents: adopting them, their memory, their rest", 240, fleet::measure),
    group("many", "300 agents at once: start, work, stop, what is left", 300, many::measure),
];
