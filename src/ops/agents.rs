//! `orch agents`, `orch spawn`, `orch kill`.

use super::{Ops, WATCHED};
use crate::{
    error::{Error, Result},
    model::{
        agent::{Agent, AgentState},
        event::EventKind,
        id::{TaskId, new_incarnation},
        text::one_line,
    },
    store::{
        self, Store,
        observe::Snapshot,
        unread::{Mailbox, Unread},
    },
};

/// Columns of the text of an agent's task.
const TEXT: usize = 200;

impl Ops {
    /// The living agents, the master first.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        let roles = self.roles();
        let agents = &in_order(&self.ask(|s| s.observe(&roles)).await?);
        let has_console = self.master_is_console();
        self.ask(|s| with_texts(s, agents, has_console)).await
    }

    /// Requests one more agent of a role, and returns it once the supervisor has begun to start it; `None`: the request was
    /// recorded and not carried out yet.
    ///
    /// # Errors
    /// NotFound: no such role. Usage: its driver is the console. Failed: the caller is in an attempt, or there are as many
    /// agents as there may be. NotRunning: there is no Redis.
    pub async fn spawn(&self, role: &str) -> Result<Option<Agent>> {
        self.caller.must_not_be_in_an_attempt("spawn")?;
        let role = self.config.role(role)?;
        super::delegate::takes_tasks(&self.config, role)?;
        let before = self.last_event().await?;
        let token = new_incarnation();
        let reason = format!("one more agent of role {} was asked for by {}", role.name, self.caller.in_words());
        self.ask(|s| s.request_spawn(&role.name, &token, &reason)).await?;
        if !self.is_supervised() {
            return Ok(None);
        }
        let stem = format!("{}-", role.name);
        // `sonnet-1` is of role `sonnet`; `sonnet-fast-1` is not.
        let of_role = |agent: &str| agent.strip_prefix(&stem).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let answer = self
            .event_within(before, WATCHED, |event| match event.kind {
                EventKind::AgentStarting => event.agent.as_deref().is_some_and(of_role),
                EventKind::RoleSpawnRefused => event.data.as_ref().is_some_and(|data| data["role"] == role.name),
                _ => false,
            })
            .await?;
        match answer {
            Some(event) if event.kind == EventKind::RoleSpawnRefused => Err(Error::failed(event.reason).code(event.code).hint(format!(
                "orch agents lists them; orch scale {0} auto takes a scale back, max under [roles.{0}] in sessions.toml \
                 allows more",
                role.name
            ))),
            Some(event) => match event.agent {
                Some(id) => Ok(self.ask(|s| s.agent(&id)).await?.map(|record| record.agent)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Ends a living agent. Another one continues its task; the master is started again. Returns its record as it ended, or
    /// as it is if it has not ended within seconds.
    ///
    /// # Errors
    /// NotFound: no such agent. Conflict: it has ended already. Failed: the caller is in an attempt. NotRunning: there is no
    /// Redis.
    pub async fn kill(&self, agent: &str) -> Result<Agent> {
        self.caller.must_not_be_in_an_attempt("kill")?;
        let mut agent = self.record(agent).await?.agent;
        if !agent.state.is_live() {
            return Err(already(&agent));
        }
        let before = self.last_event().await?;
        let reason = format!("killed by {}: orch kill", self.caller.in_words());
        let (id, incarnation) = (agent.id.clone(), agent.incarnation.clone());
        let state = self
            .ask(async |s| match s.stop_agent(&id, &incarnation, false, &reason).await {
                // It ended between the two calls, and a successor may have its id.
                Err(e) if e.is_stale() => Ok(None),
                answer => answer.map(Some),
            })
            .await?;
        let Some(state) = state else { return Err(already(&agent)) };
        let ends = [EventKind::AgentStopped, EventKind::AgentFailed];
        let ended = self
            .event_within(before, WATCHED, |event| event.agent.as_deref() == Some(&id) && ends.contains(&event.kind))
            .await?;
        // From the event and not from the record: a successor may have the id by now.
        agent.state = state;
        agent.reason = Some(reason);
        if let Some(event) = ended {
            agent.state = event.to.and_then(|to| to.parse().ok()).unwrap_or(AgentState::Stopped);
            agent.reason = Some(event.reason);
            (agent.task, agent.attempt, agent.needs, agent.retrying) = (None, None, None, None);
        }
        Ok(agent)
    }
}

/// The living agents as they are listed: the master first.
pub(super) fn in_order(snapshot: &Snapshot) -> Vec<Agent> {
    let mut agents: Vec<Agent> = snapshot.agents.iter().map(|record| record.agent.clone().as_seen()).collect();
    agents.sort_by_key(|agent| !agent.master);
    agents
}

/// The agents, each with the beginning of what it works on, and how many messages its program has not read.
pub(super) async fn with_texts(store: &Store, agents: &[Agent], has_console: bool) -> store::Result<Vec<Agent>> {
    let tasks: Vec<TaskId> = agents.iter().filter_map(|agent| agent.task.clone()).collect();
    let mut texts = store.first_lines(&tasks, TEXT).await?.into_iter();
    let with_text = |agent: &Agent| match agent.task {
        Some(_) => Agent { task_text: texts.next().flatten(), ..agent.clone() },
        None => agent.clone(),
    };
    let mut agents: Vec<Agent> = agents.iter().map(with_text).collect();
    let boxes: Vec<Option<Mailbox>> = agents.iter().map(|agent| mailbox(agent, has_console)).collect();
    let known: Vec<Mailbox> = boxes.iter().flatten().cloned().collect();
    let mut unread = store.unread_of(&known).await?.into_iter();
    for (agent, _) in agents.iter_mut().zip(boxes).filter(|(_, mailbox)| mailbox.is_some()) {
        let Unread { count, since } = unread.next().unwrap_or_default();
        (agent.unread, agent.unread_since) = (count, since);
    }
    Ok(agents)
}

/// The box of messages that an agent's program reads. The messages to a console are read by a person.
fn mailbox(agent: &Agent, has_console: bool) -> Option<Mailbox> {
    match &agent.task {
        Some(task) => Some(Mailbox::Task(task.clone())),
        None => (agent.master && !has_console).then(|| Mailbox::Master(agent.id.clone())),
    }
}

fn already(agent: &Agent) -> Error {
    let state = if agent.state.is_live() { "ended" } else { agent.state.as_str() };
    let why = agent.reason.as_ref().map(|r| format!(": {}", one_line(r, 200))).unwrap_or_default();
    Error::conflict(format!("agent {} has {state} already{why}", agent.id))
        .hint(format!("see why: orch why {}", agent.id))
}
