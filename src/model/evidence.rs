//! What was known when an agent's end was recorded, and the rule that decided it: what `orch why` explains it from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{duration::human, time::Timestamp, words};

words! {
    /// The rule by which an agent ended. The words are stable; the bound beside them may be configured.
    Rule: "rule" {
        /// Its runner's process was gone.
        ProcessGone = "process_gone",
        /// The machine was started anew since.
        Boot = "boot",
        /// Its session was recorded, and not opened in time: the supervisor died in between.
        Open = "open",
        /// tmux, or the disk, refused what its session needs.
        NotOpened = "not_opened",
        /// Its runner did not report in time.
        Start = "start",
        /// It was told to end, and did not in time.
        Leave = "leave",
        /// No heartbeat for longer than the lease.
        Lease = "lease",
        /// No sign of progress for longer than its role's stall_timeout.
        StallTimeout = "stall_timeout",
        /// It was told to end, and did.
        Requested = "told",
        /// Its tmux session was closed under it.
        SessionClosed = "session_closed",
        /// Its runner was sent SIGTERM.
        Terminated = "terminated",
        /// It had done as many tasks as its role wants of one agent.
        TasksPerAgent = "tasks_per_agent",
        /// Its program can't run.
        Broken = "broken",
        /// The attempt's program was ended by a signal, or nobody knows how; the agent goes on.
        ProgramKilled = "program_killed",
        /// The attempt's program used more than its role may; the agent goes on.
        OverLimit = "over_limit",
    }
}

words! {
    /// Who saw an agent end.
    Observer: "observer" {
        /// The supervisor, from outside.
        Supervisor = "supervisor",
        /// The agent's own runner, which said so.
        Runner = "runner",
    }
}

words! {
    /// How a process was found.
    ProcessState: "process state" {
        /// It runs or sleeps.
        Alive = "alive",
        /// A signal stopped it.
        Stopped = "stopped",
        /// It hangs in the kernel, mostly on a disk.
        Stuck = "stuck",
        /// It has ended, and its parent has not collected its exit status.
        Zombie = "zombie",
        /// There is no such process any more.
        Gone = "gone",
        /// It is on another machine.
        Elsewhere = "elsewhere",
        /// None was recorded yet.
        Unrecorded = "unrecorded",
    }
}

words! {
    /// What tmux said of an agent's session.
    SessionState: "session state" {
        /// It was there.
        There = "there",
        /// It was not.
        Gone = "gone",
        /// tmux did not answer, which says nothing about its sessions.
        Unknown = "unknown",
    }
}

/// A runner's process, as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessSeen {
    /// Its number, if one was recorded.
    pub pid: Option<u32>,
    /// What it did.
    pub state: ProcessState,
    /// The kernel's letter for it: `S`, `T`, `Z`...
    pub letter: Option<char>,
    /// How that is known, in words.
    pub known_by: String,
}

/// The last that an attempt's program printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastOutput {
    /// When its last piece came.
    pub at: Timestamp,
    /// Its last line or two, safe for a terminal and cut.
    pub text: String,
}

/// What was known when an agent's end was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that decided.
    pub rule: Rule,
    /// Its bound, if it has one.
    pub bound_ms: Option<u64>,
    /// What exceeded the bound.
    pub measured_ms: Option<u64>,
    /// Who saw it.
    pub by: Observer,
    /// Which agent.
    pub agent: String,
    /// In which state the agent was.
    pub state: Option<super::agent::AgentState>,
    /// How long ago its last heartbeat came.
    pub heartbeat_age_ms: Option<u64>,
    /// How much of that counted: what was silent during a break of Redis or of the machine does not.
    pub silence_ms: Option<u64>,
    /// For how long all had been there without a break.
    pub undisturbed_ms: Option<u64>,
    /// How long ago its program last showed a sign of progress.
    pub progress_age_ms: Option<u64>,
    /// Its runner.
    pub process: Option<ProcessSeen>,
    /// Its tmux session.
    pub session: Option<SessionState>,
    /// How old that look at tmux was.
    pub session_age_ms: Option<u64>,
    /// The last that its program printed; `null` where it had printed nothing, or had no task.
    pub last_output: Option<LastOutput>,
    /// Whether a report of its runner lay on disk that Redis had not heard.
    pub report_on_disk: Option<bool>,
    /// When the lease of its attempt ended, or would have.
    pub lease_ends_at: Option<Timestamp>,
    /// When all this was seen.
    pub at: Option<Timestamp>,
    /// Its runner's own words, where it said goodbye.
    pub said: Option<String>,
}

impl Evidence {
    /// A rule, and nothing more yet.
    pub fn of(rule: Rule, by: Observer, agent: &str) -> Self {
        Evidence {
            rule,
            bound_ms: None,
            measured_ms: None,
            by,
            agent: agent.to_owned(),
            state: None,
            heartbeat_age_ms: None,
            silence_ms: None,
            undisturbed_ms: None,
            progress_age_ms: None,
            process: None,
            session: None,
            session_age_ms: None,
            last_output: None,
            report_on_disk: None,
            lease_ends_at: None,
            at: None,
            said: None,
        }
    }

    /// With the bound of the rule, and what exceeded it.
    pub fn beyond(self, bound: Duration, measured: Duration) -> Self {
        Evidence { bound_ms: Some(ms(bound)), measured_ms: Some(ms(measured)), ..self }
    }

    /// Each fact with its name, for people; the rule first.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("rule", self.rule_in_words())];
        let mut add = |name, fact: Option<String>| facts.extend(fact.map(|fact| (name, fact)));
        add("seen by", Some(self.observer()));
        add("heartbeat", self.heartbeat_age_ms.map(|age| self.heartbeat(age)));
        let progress = |age| format!("its program's last sign of progress came {} before", words_of(age));
        add("progress", self.progress_age_ms.map(progress));
        add("process", self.process.as_ref().map(process));
        add("session", self.session.map(|session| self.session(session)));
        add("output", self.last_output.as_ref().map(|last| self.output(last)));
        add(
            "report",
            self.report_on_disk.map(|there| match there {
                true => "its runner's report lay on disk; it was told in its place".to_owned(),
                false => "none of its runner lay on disk".to_owned(),
            }),
        );
        add("lease", self.lease_ends_at.zip(self.at).map(|(end, now)| lease(end, now)));
        facts
    }

    fn rule_in_words(&self) -> String {
        let name = self.rule.as_str();
        let bound = self.bound_ms.map_or_else(|| "its time".to_owned(), words_of);
        let meaning = match self.rule {
            Rule::ProcessGone => "its runner's process was gone".to_owned(),
            Rule::Boot => "the machine was started anew".to_owned(),
            Rule::Open => format!("its session was not opened within {bound}"),
            Rule::NotOpened => "its session could not be opened".to_owned(),
            Rule::Start => format!("its runner did not report within {bound}"),
            Rule::Leave => format!("it was told to end, and did not within {bound}"),
            Rule::Lease => format!("no heartbeat for longer than the lease of {bound}"),
            Rule::StallTimeout => format!("no sign of progress for longer than {bound}"),
            Rule::Requested => "it was told to end, and did".to_owned(),
            Rule::SessionClosed => "its tmux session was closed under it".to_owned(),
            Rule::Terminated => "its runner was sent SIGTERM".to_owned(),
            Rule::TasksPerAgent => "it had done as many tasks as its role wants of one agent".to_owned(),
            Rule::Broken => "its program can't run".to_owned(),
            Rule::OverLimit => "its program used more than its role may, and was ended; the agent goes on".to_owned(),
            Rule::ProgramKilled => "its program was ended, and not by itself; the agent goes on".to_owned(),
        };
        let measured = self.measured_ms.map(|m| format!("; it was {}", words_of(m))).unwrap_or_default();
        format!("{name}: {meaning}{measured}")
    }

    fn observer(&self) -> String {
        let when = self.at.map(|at| format!(", at {at}")).unwrap_or_default();
        match (&self.said, self.by) {
            (Some(said), _) => format!("its own runner{when}: {said}"),
            (None, Observer::Runner) => format!("its own runner{when}"),
            (None, Observer::Supervisor) => {
                let state = self.state.map(|s| format!(", when it was {s}")).unwrap_or_default();
                format!("the supervisor{state}{when}")
            }
        }
    }

    fn heartbeat(&self, age: u64) -> String {
        let counted = match self.silence_ms {
            Some(silence) if silence < age => format!(
                "; {} of it count, since all had been there without a break for {}",
                words_of(silence),
                words_of(self.undisturbed_ms.unwrap_or(silence))
            ),
            _ => String::new(),
        };
        format!("the last one came {} before{counted}", words_of(age))
    }

    fn session(&self, session: SessionState) -> String {
        let age = match self.session_age_ms {
            Some(age) if age > 1_000 => format!(" (tmux was asked {} before)", words_of(age)),
            _ => String::new(),
        };
        match session {
            SessionState::There => format!("its tmux session was there{age}"),
            SessionState::Gone => format!("its tmux session was gone{age}"),
            SessionState::Unknown => format!("nobody knows: tmux did not answer{age}"),
        }
    }

    fn output(&self, last: &LastOutput) -> String {
        let text: Vec<&str> = last.text.lines().collect();
        let ago = self.at.map(|now| format!(" {} before", human(now.since(last.at)))).unwrap_or_default();
        format!("its program printed last{ago}: {}", text.join(" / "))
    }
}

fn process(seen: &ProcessSeen) -> String {
    let who = seen.pid.map_or_else(|| "its runner".to_owned(), |pid| format!("its runner, pid {pid},"));
    let letter = seen.letter.map(|l| format!(" ({l})")).unwrap_or_default();
    let known_by = &seen.known_by;
    match seen.state {
        ProcessState::Unrecorded => format!("no process of its was recorded ({known_by})"),
        ProcessState::Elsewhere => format!("{who} is on another machine ({known_by})"),
        state => format!("{who} was {state}{letter}, known by {known_by}"),
    }
}

fn lease(end: Timestamp, now: Timestamp) -> String {
    match now.since(end) {
        Duration::ZERO => format!("that of its attempt would have held for another {}", human(end.since(now))),
        past => format!("that of its attempt had ended {} before", human(past)),
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn words_of(ms: u64) -> String {
    human(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_reads_back_and_is_told_fact_by_fact() {
        let evidence = Evidence {
            heartbeat_age_ms: Some(40_000),
            silence_ms: Some(31_000),
            undisturbed_ms: Some(31_000),
            process: Some(ProcessSeen {
                pid: Some(7),
                state: ProcessState::Stopped,
                letter: Some('T'),
                known_by: "/proc/7/stat".into(),
            }),
            session: Some(SessionState::Unknown),
            last_output: Some(LastOutput { at: Timestamp(60_000), text: "one\ntwo".into() }),
            report_on_disk: Some(false),
            lease_ends_at: Some(Timestamp(99_000)),
            at: Some(Timestamp(100_000)),
            ..Evidence::of(Rule::Lease, Observer::Supervisor, "shell-1")
        }
        .beyond(Duration::from_secs(30), Duration::from_secs(31));
        let stored = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&stored).unwrap(), evidence);
        let facts: Vec<String> = evidence.facts().into_iter().map(|(name, fact)| format!("{name}: {fact}")).collect();
        assert_eq!(
            facts,
            [
                "rule: lease: no heartbeat for longer than the lease of 30s; it was 31s",
                "seen by: the supervisor, at 1970-01-01T00:01:40.000Z",
                "heartbeat: the last one came 40s before; 31s of it count, since all had been there without a break \
                 for 31s",
                "process: its runner, pid 7, was stopped (T), known by /proc/7/stat",
                "session: nobody knows: tmux did not answer",
                "output: its program printed last 40s before: one / two",
                "report: none of its runner lay on disk",
                "lease: that of its attempt had ended 1.0s before",
            ]
        );
    }

    #[test]
    fn every_rule_says_what_it_means() {
        for rule in Rule::ALL {
            let told = Evidence::of(*rule, Observer::Runner, "shell-1").facts();
            assert!(
                told[0].1.starts_with(&format!("{rule}: ")) && told[0].1.len() > rule.as_str().len() + 10,
                "{told:?}"
            );
        }
    }
}
