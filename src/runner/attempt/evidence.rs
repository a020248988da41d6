//! The evidence of the ends that a runner observes: its own, and those of its programs.

use crate::runner::{Agent, Leave};
use crate::{
    home::output,
    model::{
        evidence::{Evidence, LastOutput, Observer, ProcessSeen, ProcessState, Rule},
        time::Timestamp,
    },
    store::tasks::Claimed,
};

impl Leave {
    /// Returns the rule by which the runner leaves.
    pub(in crate::runner) fn rule(&self) -> Rule {
        match self {
            Leave::Requested(_) => Rule::Requested,
            Leave::SessionClosed => Rule::SessionClosed,
            Leave::Terminated => Rule::Terminated,
            Leave::Done(_) => Rule::TasksPerAgent,
            Leave::DeclaredLost => Rule::Lease,
            Leave::Broken(_) => Rule::Broken,
        }
    }
}

impl Agent {
    /// Builds the evidence: the runner's own words and the rule that decided; for an attempt, also the last output.
    pub(in crate::runner) fn evidence(&self, rule: Rule, said: &str, attempt: Option<&Claimed>) -> Box<Evidence> {
        let run = attempt.map(|claimed| self.home.run(&claimed.task.id, claimed.attempt));
        let last = run.and_then(|run| output::last_lines(&run).ok().flatten());
        let pid = Some(self.process.pid);
        Box::new(Evidence {
            process: Some(ProcessSeen { pid, state: ProcessState::Alive, letter: None, known_by: "itself".into() }),
            last_output: last.map(|(at, text)| LastOutput { at, text }),
            at: Some(Timestamp::now()),
            said: Some(said.to_owned()),
            ..Evidence::of(rule, Observer::Runner, &self.launch.agent)
        })
    }
}
