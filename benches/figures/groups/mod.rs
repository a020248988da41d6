//! The groups of figures. Each creates a world, measures, and ends the world.

mod accept;
mod agents;
mod deaths;
mod delegate;
mod fair;
mod files;
mod find;
mod fleet;
mod locks;
mod many;
mod mcp;
mod plan;
mod recovery;
mod sandbox;
mod start;
mod throughput;
mod tree;
mod trust;

use std::time::Duration;

use crate::{Result, table::Row};

/// Figures that are measured in one world.
pub struct Group {
    /// The group's name on the command line.
    pub name: &'static str,
    /// A description of one line.
    pub about: &'static str,
    /// The time after which the group is abandoned.
    pub limit: Duration,
    /// Measures the group, and returns its rows.
    pub run: fn() -> Result<Vec<Row>>,
}

const fn group(name: &'static str, about: &'static str, seconds: u64, run: fn() -> Result<Vec<Row>>) -> Group {
    Group { name, about, limit: Duration::from_secs(seconds), run }
}

/// All groups, in the order in which they are measured.
pub static GROUPS: [Group; 19] = [
    group("start", "a cold orch start, until the master's prompt is shown", 120, start::measure),
    group("delegate", "orch delegate to an idle agent, until the program has started", 120, delegate::to_idle),
    group("launch", "orch delegate without an agent, until the program has started", 180, delegate::to_launched),
    group(
        "agents",
        "orch delegate until a real claude starts (if scripts/test-agents installed it)",
        240,
        agents::measure,
    ),
    group("mcp", "orch mcp: its handshake, a call, how soon a wait returns after an end", 180, mcp::measure),
    group("accept", "tasks accepted per second: one process each, orch delegate --each, MCP", 240, accept::measure),
    group(
        "throughput",
        "no-op tasks per second over 20,000 tasks, through 4 and 20 agents, in the home folder and in /tmp",
        1200,
        throughput::measure,
    ),
    group("files", "files and folders that an attempt without output creates", 60, files::measure),
    group("find", "finding things among 100,000 tasks and 10,000 attempts", 600, find::measure),
    group(
        "plan",
        "plans: check, submit, what they add to their tasks, their time and its estimate",
        900,
        plan::measure,
    ),
    group(
        "fair",
        "shares of plans, low tasks under high ones, claims of many plans, the choice of a role",
        900,
        fair::measure,
    ),
    group("locks", "locks: claims where much is locked, parallelism, the longest wait", 900, locks::measure),
    group("sandbox", "what bwrap adds to the start of an attempt", 120, sandbox::measure),
    group(
        "trust",
        "what bwrap and the agents' sockets add, orch stop with everything broken, escapes, planted secrets",
        1800,
        trust::measure,
    ),
    group("deaths", "kill -9 of a runner and of a program, until it is recorded", 180, deaths::measure),
    group("tree", "a tree of 300 processes that ignore everything, until it is gone", 180, tree::measure),
    group(
        "recovery",
        "deaths of agents, of Redis with much data, of tmux, until work continues",
        600,
        recovery::measure,
    ),
    group("fleet", "100 agents: their adoption, their memory, their idle processor time", 240, fleet::measure),
    group("many", "300 concurrent agents: start, work, stop, what is left", 300, many::measure),
];
