//! Answers as they look at 80 and at 40 columns, and where nobody looks. Time stands still in all of them.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{
        agent::{Agent, AgentState, Needs},
        cause::Cause,
        event::Event,
        id::{Process, TaskId},
        task::{Attempt, Priority, Task, TaskDetail, TaskResult, TaskState, Usage},
    },
    ops::types::{Attention, Changed, Check, LogLine, RedisStatus, Started, Status, SupervisorStatus, Why},
};

const NOW: Timestamp = Timestamp(1_732_088_544_120);

fn view(width: Option<usize>) -> View {
    View { width, colour: false, terminal: width.is_some(), now: NOW }
}

fn ago(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1000)
}

fn id(n: u64) -> TaskId {
    format!("t-{n:0>10}").parse().unwrap()
}

fn task(n: u64, state: TaskState, text: &str) -> Task {
    Task {
        id: id(n),
        role: "sonnet".into(),
        state,
        waiting: false,
        description: text.into(),
        priority: Priority::Normal,
        parent: None,
        children: Vec::new(),
        after: Vec::new(),
        context: None,
        labels: BTreeMap::new(),
        artifacts: Vec::new(),
        depth: 0,
        cwd: None,
        key: None,
        created_at: ago(1000 - n),
        ready_at: None,
        due_at: None,
        ended_at: None,
        timeout_ms: 1_800_000,
        retries: 3,
        failures: 0,
        lost: 0,
        lost_max: 3,
        agent: None,
        cancelling: false,
        cause: None,
        reason: None,
    }
}

fn agent(id: &str, role: &str, state: AgentState) -> Agent {
    Agent {
        id: id.into(),
        role: role.into(),
        state,
        session: id.into(),
        incarnation: "x".into(),
        process: Process::default(),
        pid: Some(4711),
        task: None,
        attempt: None,
        fence: 0,
        waiting: false,
        heartbeat_age_ms: Some(1_200),
        heartbeat_at: None,
        started_at: ago(3_600),
        since: ago(200),
        tasks_done: 4,
        restarts: 0,
        needs: None,
        rss_bytes: Some(210 << 20),
        reason: None,
        master: false,
    }
}

fn status() -> Status {
    let mut tasks: BTreeMap<&'static str, u64> = TaskState::ALL.iter().map(|s| (s.as_str(), 0)).collect();
    tasks.extend([("running", 2), ("held", 1), ("succeeded", 12)]);
    let busy = Agent { task: Some(id(1)), attempt: Some(1), ..agent("sonnet-1", "sonnet", AgentState::Busy) };
    let asking =
        Agent { needs: Some(Needs::Login), task: Some(id(2)), ..agent("sonnet-2", "sonnet", AgentState::Busy) };
    let waiting =
        Agent { waiting: true, task: Some(id(3)), ..agent("backend-reviewer-1", "backend-reviewer", AgentState::Busy) };
    Status {
        namespace: "shop-1a2b3c4d".into(),
        supervisor: SupervisorStatus {
            state: "running",
            pid: Some(4242),
            uptime_ms: Some(7_500_000),
            accepting: true,
            paused: false,
            paused_roles: Vec::new(),
        },
        redis: RedisStatus { state: "ok", mode: "managed", version: Some("7.0.15".into()) },
        agents: vec![
            Agent { master: true, rss_bytes: None, ..agent("opus-master", "opus", AgentState::Idle) },
            busy,
            asking,
            waiting,
        ],
        tasks,
        attention: vec![Attention {
            what: format!("task {} is held: claude asks to log in", id(2)),
            do_: "orch attach sonnet-2".into(),
        }],
    }
}

fn stopped() -> Status {
    Status {
        supervisor: SupervisorStatus {
            state: "stopped",
            pid: None,
            uptime_ms: None,
            accepting: false,
            paused: false,
            paused_roles: Vec::new(),
        },
        redis: RedisStatus { state: "unreachable", mode: "managed", version: None },
        agents: Vec::new(),
        tasks: BTreeMap::new(),
        attention: Vec::new(),
        ..status()
    }
}

/// Every line within the width, and none with spaces at its end.
fn fits(page: &str, width: usize) {
    for line in page.lines() {
        assert!(text::width(line) <= width, "{} columns: {line:?} in\n{page}", text::width(line));
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn scratch() {
    let st = status();
    for w in [Some(80), Some(40), None] {
        let v = view(w);
        let mut s = String::new();
        s += &status::status(&st, "tmux attach -t opus-master", &v);
        s += "----\n";
        s += &status::status(&stopped(), "tmux attach -t opus-master", &v);
        s += "----\n";
        s += &status::first_steps("tmux attach -t opus-master", &v);
        let mut t = vec![
            task(3, TaskState::Delayed, "third\nline"),
            task(1, TaskState::Running, "Write the tests of the parser, all of them, and then some more of it"),
            task(2, TaskState::Failed, "child"),
        ];
        t[2].parent = Some(id(1));
        t[0].due_at = Some(Timestamp(NOW.0 + 4000));
        t[1].agent = Some("sonnet-1".into());
        t.push(Task {
            parent: Some(id(1)),
            ..task(4, TaskState::Succeeded, "日本語日本語日本語日本語日本語日本語日本語日本語")
        });
        t.push(Task { parent: Some(id(2)), ..task(5, TaskState::Ready, "grandchild") });
        s += "----\n";
        s += &super::task::tasks(&t, false, &v);
        s += "----\n";
        s += &super::task::tasks(&t, true, &v);
        s += "----\n";
        let att = |n, cause| Attempt {
            number: n,
            agent: "sonnet-1".into(),
            fence: 17,
            started_at: ago(300),
            ended_at: Some(ago(100)),
            cause,
            reason: Some("agent sonnet-1 died: signal 9".into()),
            exit_code: None,
            next_retry_at: None,
        };
        let d = TaskDetail {
            task: t[1].clone(),
            attempts: vec![att(1, Some(Cause::Lost)), Attempt { ended_at: None, reason: None, ..att(2, None) }],
            result: Some(TaskResult {
                text: (0..20).map(|n| format!("line {n}\n")).collect(),
                exit_code: Some(0),
                data: None,
                usage: Some(Usage { input_tokens: 1, output_tokens: 2, cost_usd: 0.123 }),
                duration_ms: 12345,
                truncated: false,
                path: "/home/me/.local/state/orch/shop/runs/t/1".into(),
            }),
        };
        s += &super::task::task(&d, &v);
        s += "----\n";
        s += &super::agent::agent(&st.agents[1], &v);
        s += "----\n";
        s += &answer::why(
            &Why {
                id: id(1).to_string(),
                state: "held".into(),
                sentences: vec![
                    "It waits for a person: claude asks to log in, which nobody has seen yet.".into(),
                    "short".into(),
                ],
                hints: vec!["orch attach sonnet-1".into(), "orch retry t-1".into()],
                events: vec![],
            },
            &v,
        );
        s += "----\n";
        s += &answer::checks(
            &[
                Check { name: "tmux".into(), state: "ok", found: "tmux 3.3a".into(), mend: None },
                Check {
                    name: "redis-server".into(),
                    state: "error",
                    found: "not found in PATH, nor anywhere else we looked".into(),
                    mend: Some("apt install redis-server".into()),
                },
            ],
            &v,
        );
        s += "----\n";
        s += &stream::log_line(
            &LogLine {
                at: ago(3),
                agent: "sonnet-1".into(),
                task: id(1),
                attempt: 1,
                stream: "stderr",
                text: "oh no".into(),
            },
            &v,
        );
        let e = Event {
            id: "1-0".into(),
            at: ago(5),
            kind: "task.failed".into(),
            task: Some(id(1).to_string()),
            agent: Some("sonnet-1".into()),
            from: None,
            to: Some("failed".into()),
            reason: "the program ended with exit code 1 for the fourth time".into(),
            data: None,
        };
        s += &stream::event(&e, &v);
        s += &stream::event(&Event { agent: None, ..e.clone() }, &v);
        s += &stream::end(&d, &v);
        s += &answer::cancelled(
            &Changed { id: id(1), from: TaskState::Ready, state: TaskState::Cancelled, changed: true },
            &v,
        );
        println!("===== {w:?}\n{s}");
    }
    let _ = (Started { already: true, status: status(), session: "x".into() }, fits);
}
