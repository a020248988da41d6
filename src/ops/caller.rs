//! The caller of a verb, and what it may do.
//!
//! This keeps agents from harming each other by mistake. It is no protection against malice: an agent's program runs as the
//! same user as everything else, and can do whatever that user can.

use super::{Caller, Ops};
use crate::{
    error::{Error, Result},
    model::id::{Capability, TaskId},
};

impl Caller {
    /// The caller that this process's environment names: `ORCH_AGENT`, `ORCH_ROLE`, `ORCH_TASK`, `ORCH_CAPABILITY`.
    ///
    /// # Errors
    /// Usage: the capability is damaged, is set without an agent, or is missing within a task. Such a caller is not treated as
    /// a person or the master: it would delegate tasks that its parent does not know about.
    pub fn from_env() -> Result<Caller> {
        Caller::from_vars(|name| std::env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Caller> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let hint = "call orch with the environment that the agent's program was started with, or with none of \
                    ORCH_AGENT, ORCH_ROLE, ORCH_TASK and ORCH_CAPABILITY";
        let attempt = match set("ORCH_CAPABILITY") {
            Some(text) => Some(text.parse::<Capability>().map_err(|e| Error::usage(e).hint(hint))?),
            None => None,
        };
        match (set("ORCH_AGENT"), attempt) {
            (_, None) if set("ORCH_TASK").is_some() => {
                Err(Error::usage("ORCH_TASK is set, and ORCH_CAPABILITY is not").hint(hint))
            }
            (Some(agent), attempt) => Ok(Caller::Agent { agent, role: set("ORCH_ROLE"), attempt }),
            (None, None) => Ok(Caller::Person),
            (None, Some(_)) => Err(Error::usage("ORCH_CAPABILITY is set, and ORCH_AGENT is not").hint(hint)),
        }
    }

    /// The caller's attempt, if it is in one. The master's program is in none.
    pub fn attempt(&self) -> Option<&Capability> {
        match self {
            Caller::Agent { attempt, .. } => attempt.as_ref(),
            Caller::Person => None,
        }
    }

    /// The caller in words, for events and reasons.
    pub(super) fn in_words(&self) -> String {
        match self {
            Caller::Person => "a person".to_owned(),
            Caller::Agent { agent, attempt: None, .. } => agent.clone(),
            Caller::Agent { agent, attempt: Some(attempt), .. } => format!("{agent} within {}", attempt.task),
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
    use crate::{error::Kind, model::id::new_incarnation};

    fn from(vars: &[(&str, &str)]) -> Result<Caller> {
        Caller::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_environment_names_the_caller() {
        let capability = Capability { task: TaskId::random(), attempt: 1, fence: 3, incarnation: new_incarnation() };
        assert_eq!(from(&[]), Ok(Caller::Person));
        assert_eq!(from(&[("ORCH_AGENT", ""), ("ORCH_CAPABILITY", "")]), Ok(Caller::Person));
        assert_eq!(
            from(&[("ORCH_AGENT", "a-1"), ("ORCH_ROLE", "a"), ("ORCH_CAPABILITY", &capability.to_string())]),
            Ok(Caller::Agent { agent: "a-1".into(), role: Some("a".into()), attempt: Some(capability) })
        );
    }

    #[test]
    fn a_damaged_capability_does_not_turn_an_agent_into_a_person() {
        for vars in [
            &[("ORCH_AGENT", "a-1"), ("ORCH_CAPABILITY", "t-1.x")][..],
            &[("ORCH_CAPABILITY", "t-7k2m9qx4hz.1.3.abc")],
            &[("ORCH_AGENT", "a-1"), ("ORCH_TASK", "t-7k2m9qx4hz")],
        ] {
            assert_eq!(from(vars).unwrap_err().kind, Kind::Usage);
        }
    }

    #[test]
    fn persons_and_the_master_may_do_what_agents_in_an_attempt_may_not() {
        let attempt = "t-7k2m9qx4hz.1.3.abc".parse().ok();
        let agent = |attempt| Caller::Agent { agent: "a-1".into(), role: None, attempt };
        assert!(Caller::Person.must_not_be_in_an_attempt("scale").is_ok());
        assert!(agent(None).must_not_be_in_an_attempt("scale").is_ok());
        let refused = agent(attempt).must_not_be_in_an_attempt("scale").unwrap_err();
        assert_eq!(refused.kind, Kind::Failed);
        assert!(refused.message.contains("a-1") && refused.message.contains("t-7k2m9qx4hz"), "{refused}");
    }
}
