//! Records as unit tests need them: complete, and plain. A test says only what it is about, with `..`.

use crate::{
    model::{
        agent::Agent,
        agent_state::AgentState,
        cause::Cause,
        end_code::EndCode,
        id::{Process, TaskId},
        task::{Attempt, Spec, Task, TaskState},
        time::Timestamp,
    },
    store::attempts::Report,
};

/// A task in this state: of role `shell`, accepted at 0 and in no hurry.
pub fn task(state: TaskState) -> Task {
    Task {
        id: TaskId::random(),
        spec: Spec { role: "shell".into(), timeout_ms: 60_000, retries: 3, lost_max: 3, ..Spec::default() },
        state,
        waiting: false,
        description: "x".into(),
        parent: None,
        children: Vec::new(),
        context: None,
        depth: 0,
        created_at: Timestamp(0),
        ready_at: None,
        parked_at: None,
        due_at: None,
        deadline_at: None,
        ended_at: None,
        started_at: None,
        running_ms: None,
        failures: 0,
        lost: 0,
        agent: None,
        cancelling: false,
        cause: None,
        code: None,
        reason: None,
    }
}

/// An attempt of this agent that began at this moment and has not ended.
pub fn attempt(number: u32, agent: &str, started_at: Timestamp) -> Attempt {
    Attempt {
        number,
        agent: agent.to_owned(),
        fence: 1,
        started_at,
        ended_at: None,
        cause: None,
        code: None,
        reason: None,
        exit_code: None,
        next_retry_at: None,
        usage: None,
        evidence: None,
    }
}

/// An agent in this state, of the role in its name, started at 0.
pub fn agent(id: &str, state: AgentState) -> Agent {
    Agent {
        id: id.into(),
        role: id.rsplit_once('-').map_or(id, |(role, _)| role).into(),
        state,
        session: id.into(),
        incarnation: "x".into(),
        process: Process::default(),
        pid: Some(7),
        task: None,
        attempt: None,
        fence: 0,
        waiting: false,
        heartbeat_age_ms: None,
        heartbeat_at: None,
        started_at: Timestamp(0),
        since: Timestamp(0),
        tasks_done: 0,
        restarts: 0,
        needs: None,
        needs_since: None,
        needs_for: None,
        task_text: None,
        progress_at: None,
        retrying: None,
        works_since: None,
        unread: 0,
        unread_since: None,
        rss_bytes: None,
        reason: None,
        master: false,
        evidence: None,
    }
}

/// The report of an attempt of agent `shell-1`, with the attempt's number as its fence.
pub fn report(task: &TaskId, attempt: u32, cause: Cause) -> Report {
    Report {
        task: task.clone(),
        attempt,
        agent: "shell-1".into(),
        incarnation: "x".into(),
        fence: u64::from(attempt),
        cause,
        code: EndCode::Unknown,
        reason: "done".into(),
        exit_code: Some(0),
        result: None,
        retry_after_ms: None,
        is_exact: false,
        awaits: false,
        continues: false,
        account: None,
        evidence: None,
        metered: None,
    }
}
