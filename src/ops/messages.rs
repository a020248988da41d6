//! `orch send` and `orch inbox`: messages between agents, the master and people.
//!
//! A message belongs to a task, not to an agent: the attempt of the task that reads it first receives it. The master has an
//! inbox of its own, which people read as well; each of the two has its own read marks.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Caller, Inbox, Ops, Sent, ask::check, wait::message};
use crate::{
    error::{Error, Result},
    model::message::Delivery,
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
        Ok(Sent { id: new.id, to, state })
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
