//! Answers as they look at 80 and at 40 columns, and where nobody looks. Time stands still in all of them.

use crate::model::task::Spec;
use std::{borrow::Cow, collections::BTreeMap};

mod fuzz;
mod lines;
mod pages;
mod tables;

use super::*;
use crate::{
    model::{
        agent::{Agent, AgentState},
        attention::AttentionKind,
        id::TaskId,
        task::{Task, TaskState},
        wait::Needs,
        wait::{Retry, Retrying},
    },
    ops::types::{Attention, RedisStatus, Status, SupervisorStatus},
    samples,
};

const NOW: Timestamp = Timestamp(1_732_088_544_120);

fn view(width: Option<usize>) -> View {
    View { width, terminal: width.is_some(), now: NOW, ..View::plain() }
}

fn ago(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1000)
}

fn id(n: u64) -> TaskId {
    format!("t-{n:0>10}").parse().unwrap()
}

fn a_task(n: u64, state: TaskState, text: &str) -> Task {
    Task {
        id: id(n),
        description: text.into(),
        created_at: ago(1000 - n),
        spec: Spec { role: "sonnet".into(), timeout_ms: 1_800_000, ..samples::task(state).spec },
        ..samples::task(state)
    }
}

fn an_agent(id: &str, role: &str, state: AgentState) -> Agent {
    Agent {
        role: role.into(),
        pid: Some(4711),
        heartbeat_age_ms: Some(1_200),
        started_at: ago(3_600),
        since: ago(200),
        tasks_done: 4,
        rss_bytes: Some(210 << 20),
        ..samples::agent(id, state)
    }
}

fn busy_status() -> Status {
    let mut tasks: BTreeMap<Cow<'static, str>, u64> = TaskState::ALL.iter().map(|s| (s.as_str().into(), 0)).collect();
    tasks.extend([("running".into(), 2), ("held".into(), 1), ("succeeded".into(), 12)]);
    let busy = Agent { task: Some(id(1)), attempt: Some(1), ..an_agent("sonnet-1", "sonnet", AgentState::Busy) };
    let asking =
        Agent { needs: Some(Needs::Login), task: Some(id(2)), ..an_agent("sonnet-2", "sonnet", AgentState::Busy) };
    let waiting = Agent {
        waiting: true,
        task: Some(id(3)),
        ..an_agent("backend-reviewer-1", "backend-reviewer", AgentState::Busy)
    };
    Status {
        namespace: "shop-1a2b3c4d".into(),
        supervisor: SupervisorStatus {
            state: "running".into(),
            pid: Some(4242),
            uptime_ms: Some(7_500_000),
            accepting: true,
            paused: false,
            paused_roles: Vec::new(),
            passes: Default::default(),
        },
        scaled: Default::default(),
        redis: RedisStatus { state: "ok".into(), mode: "managed".into(), version: Some("7.0.15".into()) },
        agents: vec![
            Agent { master: true, rss_bytes: None, ..an_agent("opus-master", "opus", AgentState::Idle) },
            busy,
            asking,
            waiting,
        ],
        tasks,
        budgets: Vec::new(),
        usage_today: Default::default(),
        schedules: Vec::new(),
        attention: vec![Attention::by(
            AttentionKind::Held,
            format!("task {} is held: claude asks to log in", id(2)),
            "orch attach sonnet-2",
        )],
    }
}

fn stopped_status() -> Status {
    Status {
        supervisor: SupervisorStatus {
            state: "stopped".into(),
            pid: None,
            uptime_ms: None,
            accepting: false,
            paused: false,
            paused_roles: Vec::new(),
            passes: Default::default(),
        },
        redis: RedisStatus { state: "unreachable".into(), mode: "managed".into(), version: None },
        agents: Vec::new(),
        tasks: BTreeMap::new(),
        usage_today: Default::default(),
        schedules: Vec::new(),
        attention: Vec::new(),
        ..busy_status()
    }
}

const ATTACH: &str = "tmux attach -t opus-master";

/// A page against what it should be, from its second line on: so that both begin at the margin.
fn same(page: &str, expected: &str) {
    assert_eq!(page, expected.strip_prefix('\n').unwrap(), "\n{page}");
}

/// Every line within the width, and none with spaces at its end.
fn fits(page: &str, width: usize) {
    for line in page.lines() {
        assert!(text::width(line) <= width, "{} columns: {line:?} in\n{page}", text::width(line));
        assert_eq!(line, line.trim_end());
    }
}
