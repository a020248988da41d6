//! `orch send` and `orch inbox`: messages between agents, the master and people.
//!
//! A message belongs to a task, not to an agent: the attempt of the task that reads it first receives it. The master has an
//! inbox of its own, which people read as well; each of the two has its own read marks.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Caller, Inbox, Ops, Sent, ask::check, wait::message};
use crate::{
    drivers::{Driver, Hook},
    error::{Error, Result},
    model::{
        agent::{Agent, AgentState},
        id::TaskId,
        message::{Delivery, ReadWhen},
        task::TaskState,
    },
    store::people::{NewMessage, Reader},
};

/// Largest message. Anything larger belongs in a file that the message names.
const LIMIT: usize = 64 * 1024;
/// Messages that are read together: they all have to fit into a model's context.
pub(super) const AT_ONCE: usize = 100;
/// How often to look without a message.
const LOOK: Duration = Duration::from_secs(5);

impl Ops {
    /// Sends a message to a task, to the task that an agent works on, or to the master (`master`).
    ///
    /// # Errors
    /// NotFound: no such task or agent. Usage: no text, or too large a one. Failed: the recipient has ended, or is an agent
    /// without a task; the caller's attempt is over.
    pub async fn send(&self, to: &str, text: &str) -> Result<Sent> {
        let text = self.redactor().text(text.to_owned());
        check("message", &text, LIMIT)?;
        let attempt = self.caller.attempt().cloned();
        let master = self.config.master.session.clone();
        let reply_to = match (&attempt, &self.caller) {
            (Some(attempt), _) => Some(attempt.task.to_string()),
            (None, Caller::Agent { .. }) => Some(master.clone()),
            // A person finds the reply among the events, and in the task.
            (None, Caller::Person(_)) => None,
        };
        let new = NewMessage {
            id: format!("m-{}", Uuid::new_v4().simple()),
            to: to.to_owned(),
            text,
            from: self.caller.name(),
            attempt,
            reply_to,
            master,
        };
        let sent = self.ask(|s| s.send(&new)).await;
        let (to, state) = sent.map_err(|e| match e.kind {
            crate::error::Kind::NotFound => {
                Error::not_found(format!("there is no task or agent {to}")).hint("list them: orch tasks, orch agents")
            }
            _ => e,
        })?;
        // It is sent: what is not known now is worth no failure.
        let reads = match state {
            Delivery::Unconfirmed => self.read_when(&to).await.unwrap_or_default(),
            _ => None,
        };
        Ok(Sent { id: new.id, to, state, reads })
    }

    /// When a message in this box will be read.
    async fn read_when(&self, mailbox: &str) -> Result<Option<ReadWhen>> {
        if mailbox == self.config.master.session {
            if self.master_is_console() {
                return Ok(Some(ReadWhen::Person));
            }
            let driver =
                self.config.roles.get(&self.config.master.role).and_then(|role| self.program_of(role).driver());
            let record = self.ask(|s| s.agent(mailbox)).await?;
            let agent = record.map(|record| record.agent.as_seen()).filter(|agent| agent.state.is_live());
            return Ok(agent.zip(driver).map(|(agent, driver)| by_master(&agent, driver)));
        }
        let Ok(id) = mailbox.parse::<TaskId>() else { return Ok(None) };
        let Some(detail) = self.ask(|s| s.task(&id)).await? else { return Ok(None) };
        let Some(role) = self.config.roles.get(&detail.task.role) else { return Ok(None) };
        let Some(driver) = self.program_of(role).driver() else { return Ok(None) };
        let at_it = match (&detail.task.agent, detail.task.state) {
            (Some(agent), TaskState::Running) => self.ask(|s| s.agent(agent)).await?,
            _ => None,
        };
        Ok(Some(by_task(at_it.map(|record| record.agent).as_ref(), driver, role.agent.resume)))
    }

    /// Returns the last messages to the master that no person has read, and how many older ones there are. They stay unread.
    ///
    /// # Errors
    /// NotRunning: Redis does not answer.
    pub async fn unread_by_person(&self) -> Result<Inbox> {
        let (messages, left) =
            self.ask(|s| s.unread_messages(&self.config.master.session, &Reader::Person, AT_ONCE)).await?;
        Ok(Inbox { messages, left })
    }

    /// Returns the caller's unread messages and marks them as read. With `wait`, waits up to `timeout` until there is one;
    /// after that time it returns none.
    ///
    /// # Errors
    /// Failed: the caller's attempt is over.
    pub async fn inbox(&self, wait: bool, timeout: Option<Duration>) -> Result<Inbox> {
        let reader = match (&self.caller, self.caller.attempt()) {
            (_, Some(attempt)) => Reader::Attempt(attempt.clone()),
            (Caller::Person(_), None) => Reader::Person,
            (Caller::Agent { .. }, None) => Reader::Master,
        };
        let master = self.config.master.session.as_str();
        let of = self.caller.attempt().map_or(master, |attempt| attempt.task.as_str());
        let deadline = timeout.and_then(|limit| Instant::now().checked_add(limit));
        let mut news = None;
        loop {
            if wait && news.is_none() {
                news = Some(self.ask(|s| s.watch_news(of)).await?);
            }
            // Messages of an interrupted hook come first: they are marked as read already.
            let left_over = self.left_token();
            let token =
                left_over.as_ref().map_or_else(|| Uuid::new_v4().simple().to_string(), |(_, word)| word.clone());
            let (mut messages, left) = self.ask(|s| s.read_inbox(&reader, master, &token, AT_ONCE)).await?;
            if let Some((path, _)) = left_over {
                let _ = std::fs::remove_file(path);
            }
            messages.retain(|message| message.state != Delivery::Failed);
            let now = Instant::now();
            if !wait || !messages.is_empty() || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Inbox { messages, left });
            }
            let until = deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK));
            if let Some(subscription) = &mut news
                && timeout_at(until, message(subscription)).await == Ok(false)
            {
                news = None;
            }
        }
    }
}

/// When the program of a task reads a message. `agent` is at the task, if one is; `resumes`: its role resumes conversations.
fn by_task(agent: Option<&Agent>, driver: &dyn Driver, resumes: bool) -> ReadWhen {
    let capabilities = &driver.manifest().capabilities;
    match agent {
        // A script gets its messages only where it asks for them, now or later.
        _ if driver.program().is_none() => ReadWhen::OnRequest,
        None => ReadWhen::NextAttempt,
        Some(agent) if agent.needs.is_some() => ReadWhen::AfterAnswer,
        Some(_) if reads_after_tools(driver) => ReadWhen::NextTool,
        Some(_) if capabilities.conversation && resumes => ReadWhen::EndOfTurn,
        Some(_) => ReadWhen::OnRequest,
    }
}

/// When the program of the master reads a message.
fn by_master(agent: &Agent, driver: &dyn Driver) -> ReadWhen {
    match agent.state {
        _ if agent.needs.is_some() => ReadWhen::AfterAnswer,
        AgentState::Busy if reads_after_tools(driver) => ReadWhen::NextTool,
        AgentState::Busy => ReadWhen::EndOfTurn,
        _ => ReadWhen::Soon,
    }
}

fn reads_after_tools(driver: &dyn Driver) -> bool {
    let after_a_tool = Hook::ToolResult { ok: true, summary: String::new() };
    driver.hand_over(&after_a_tool, "").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DriverKind;

    #[test]
    fn a_message_is_read_as_soon_as_the_program_can() {
        let agent = crate::samples::agent("a-1", AgentState::Busy);
        let by = |kind: DriverKind, agent| by_task(agent, kind.driver().unwrap(), true);
        let at_work = Some(&agent);
        assert_eq!(by(DriverKind::Claude, at_work), ReadWhen::NextTool);
        assert_eq!(by(DriverKind::Codex, at_work), ReadWhen::NextTool);
        for kind in [DriverKind::Gemini, DriverKind::Opencode, DriverKind::Qwen, DriverKind::Copilot] {
            assert_eq!(by(kind, at_work), ReadWhen::EndOfTurn, "{kind}");
            assert_eq!(by_task(at_work, kind.driver().unwrap(), false), ReadWhen::OnRequest, "{kind}");
        }
        assert_eq!(by(DriverKind::Shell, at_work), ReadWhen::OnRequest);
        assert_eq!(by(DriverKind::Claude, None), ReadWhen::NextAttempt);
        assert_eq!(by(DriverKind::Command, None), ReadWhen::OnRequest);
        let asks = Agent { needs: Some(crate::model::wait::Needs::Permission), ..agent.clone() };
        assert_eq!(by(DriverKind::Claude, Some(&asks)), ReadWhen::AfterAnswer);
        let master = |state, kind: DriverKind| by_master(&Agent { state, ..agent.clone() }, kind.driver().unwrap());
        assert_eq!(master(AgentState::Busy, DriverKind::Claude), ReadWhen::NextTool);
        assert_eq!(master(AgentState::Busy, DriverKind::Opencode), ReadWhen::EndOfTurn);
        assert_eq!(master(AgentState::Idle, DriverKind::Codex), ReadWhen::Soon);
    }
}
