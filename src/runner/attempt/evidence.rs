//! What a runner says of the ends that it sees itself: its own, and those of its programs.

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
    /// The rule by which it leaves.
    pub(in crate::runner) fn rule(&self) -> Rule {
        match self {
            Leave::Told(_) => Rule::Told,
            Leave::SessionClosed => Rule::SessionClosed,
            Leave::Terminated => Rule::Terminated,
            Leave::Done(_) => Rule::TasksPerAgent,
            Leave::GivenUp => Rule::Lease,
            Leave::Broken(_) => Rule::Broken,
        }
    }
}

impl Agent {
    /// The runner's own words, under the rule that decided; of an attempt, also the last that its program printed.
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
