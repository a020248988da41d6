//! The caller of a verb, and what it may do.
//!
//! The caller is derived, never claimed: [`Caller::Agent`] comes from the runner that started the calling program, and
//! a process belongs to a person only if no agent of this project is above it ([`super::identity`]).

use std::fmt;

use super::Ops;
use crate::{
    error::{Error, Result},
    model::id::{Capability, TaskId},
};

/// The caller of a verb: a person, or the program of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person at a terminal, or a script that a person runs.
    Person(Person),
    /// A program of an agent, in an attempt if there is a capability. The master's program is in no attempt.
    Agent {
        /// The agent's id.
        agent: String,
        /// Its role.
        role: String,
        /// The attempt.
        attempt: Option<Capability>,
    },
}

/// Where a person decides something: it is recorded with the decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// What the person uses: `the command line`, `the console`.
    pub surface: &'static str,
    /// Its process.
    pub pid: u32,
    /// Its terminal, such as `/dev/pts/3`.
    pub tty: Option<String>,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a person")?;
        if self.pid == 0 {
            return Ok(());
        }
        let tty = self.tty.as_deref().map(|tty| format!(" on {}", tty.trim_start_matches("/dev/"))).unwrap_or_default();
        write!(f, " ({}, pid {}{tty})", self.surface, self.pid)
    }
}

impl Caller {
    /// The caller's attempt, if it is in one. The master's program is in none.
    pub fn attempt(&self) -> Option<&Capability> {
        match self {
            Caller::Agent { attempt, .. } => attempt.as_ref(),
            Caller::Person(_) => None,
        }
    }

    /// The caller's name, for those who read its messages.
    pub(super) fn name(&self) -> String {
        match self {
            Caller::Person(_) => "a person".to_owned(),
            Caller::Agent { .. } => self.in_words(),
        }
    }

    /// The caller in words, for events and reasons: where a person decided belongs to the record.
    pub(super) fn in_words(&self) -> String {
        match self {
            Caller::Person(person) => person.to_string(),
            Caller::Agent { agent, attempt: None, .. } => agent.clone(),
            Caller::Agent { agent, attempt: Some(attempt), .. } => format!("{agent} within {}", attempt.task),
        }
    }

    /// The caller as the owner of a lock that lasts longer than its process: `a person on pts/3`.
    pub(super) fn owner(&self) -> String {
        match self {
            Caller::Person(Person { tty: Some(tty), .. }) => format!("a person on {}", tty.trim_start_matches("/dev/")),
            Caller::Person(_) => "a person".to_owned(),
            Caller::Agent { .. } => self.in_words(),
        }
    }

    /// Refuses a verb that is for persons and for the master.
    pub(super) fn must_not_be_in_an_attempt(&self, verb: &str) -> Result<()> {
        match self {
            Caller::Agent { agent, attempt: Some(attempt), .. } => Err(Error::failed(format!(
                "orch {verb} is not for the program of an attempt ({agent}, task {})",
                attempt.task
            ))
            .hint(
                "ask a person or the master; the program of an attempt can delegate, wait, and cancel its own subtasks",
            )),
            _ => Ok(()),
        }
    }
}

impl Ops {
    /// Refuses to change tasks that are not below the caller's own task, if the caller is in an attempt.
    pub(super) async fn must_be_below_the_caller(&self, verb: &str, ids: &[TaskId]) -> Result<()> {
        let Some(attempt) = self.caller.attempt() else { return Ok(()) };
        for id in ids {
            if !self.is_below(id, &attempt.task).await? {
                return Err(Error::failed(format!(
                    "orch {verb}: {id} is not a subtask of {}, and an agent may {verb} only its own subtasks",
                    attempt.task
                ))
                .hint(format!("a person can do it: orch {verb} {id}")));
            }
        }
        Ok(())
    }

    /// Whether `top` is above `id`. Each step up is one level, and levels are bounded by `max_depth`.
    async fn is_below(&self, id: &TaskId, top: &TaskId) -> Result<bool> {
        let mut at = id.clone();
        loop {
            let found = self.ask(|s| s.tasks(std::slice::from_ref(&at))).await?;
            match found.into_iter().next().and_then(|task| task.parent) {
                Some(parent) if parent == *top => return Ok(true),
                Some(parent) => at = parent,
                None => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn persons_and_the_master_may_do_what_agents_in_an_attempt_may_not() {
        let attempt = "t-7k2m9qx4hz.1.3.abc".parse().ok();
        let agent = |attempt| Caller::Agent { agent: "a-1".into(), role: "a".into(), attempt };
        assert!(Caller::Person(Person::default()).must_not_be_in_an_attempt("scale").is_ok());
        assert!(agent(None).must_not_be_in_an_attempt("scale").is_ok());
        let refused = agent(attempt).must_not_be_in_an_attempt("scale").unwrap_err();
        assert_eq!(refused.kind, Kind::Failed);
        assert!(refused.message.contains("a-1") && refused.message.contains("t-7k2m9qx4hz"), "{refused}");
    }
}
