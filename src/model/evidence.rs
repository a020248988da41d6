//! The evidence recorded with an agent's end, and the rule that decided it. `orch why` explains the end from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{duration::human, time::Timestamp, words};

words! {
    /// The rule by which an agent ended. The words are stable; the bound that is recorded with them may be configured.
    Rule: "rule" {
        /// Its runner's process was gone.
        ProcessGone = "process_gone",
        /// The machine has been restarted since.
        Boot = "boot",
        /// Its session was recorded, but not opened in time: the supervisor died in between.
        Open = "open",
        /// tmux or the disk refused an operation that its session requires.
        NotOpened = "not_opened",
        /// Its runner did not report in time.
        Start = "start",
        /// It was asked to end, and did not in time.
        Leave = "leave",
        /// No heartbeat for longer than the lease.
        Lease = "lease",
        /// No heartbeat for several leases of time in which Redis answered, whatever was interrupted meanwhile.
        Silent = "silent",
        /// Its attempt was past the task's time limit, and its runner did not end it.
        TaskTimeout = "task_timeout",
        /// No progress for longer than its role's stall_timeout.
        StallTimeout = "stall_timeout",
        /// It was asked to end, and did.
        Requested = "told",
        /// Its tmux session was closed while it ran.
        SessionClosed = "session_closed",
        /// Its runner received SIGTERM.
        Terminated = "terminated",
        /// It had finished the number of tasks after which its role replaces an agent.
        TasksPerAgent = "tasks_per_agent",
        /// Its program cannot run.
        Broken = "broken",
        /// The attempt's program was ended by a signal, or its exit status is unknown; the agent continues.
        ProgramKilled = "program_killed",
        /// The attempt's program used more than its role permits; the agent continues.
        OverLimit = "over_limit",
    }
}

words! {
    /// The observer of an agent's end.
    Observer: "observer" {
        /// The supervisor, from outside.
        Supervisor = "supervisor",
        /// The agent's own runner, which reported it.
        Runner = "runner",
    }
}

words! {
    /// The state in which a process was found.
    ProcessState: "process state" {
        /// It runs or sleeps.
        Alive = "alive",
        /// A signal stopped it.
        Stopped = "stopped",
        /// It is blocked in the kernel, usually by a disk.
        Stuck = "stuck",
        /// It has ended, and its parent has not collected its exit status.
        Zombie = "zombie",
        /// The process no longer exists.
        Gone = "gone",
        /// It is on another machine.
        Elsewhere = "elsewhere",
        /// None was recorded yet.
        Unrecorded = "unrecorded",
    }
}

words! {
    /// The result of asking tmux for an agent's session.
    SessionState: "session state" {
        /// It existed.
        There = "there",
        /// It did not exist.
        Gone = "gone",
        /// tmux did not answer, which proves nothing about its sessions.
        Unknown = "unknown",
    }
}

/// A runner's process, as observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessSeen {
    /// Its pid, if one was recorded.
    pub pid: Option<u32>,
    /// Its state.
    pub state: ProcessState,
    /// The kernel's state letter: `S`, `T`, `Z`...
    pub letter: Option<char>,
    /// The source of the observation, in words.
    pub known_by: String,
}

/// The last output of an attempt's program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastOutput {
    /// The time of its last piece.
    pub at: Timestamp,
    /// Its last one or two lines, safe for a terminal and shortened.
    pub text: String,
}

/// What was known when an agent's end was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that decided.
    pub rule: Rule,
    /// The rule's bound, if it has one.
    pub bound_ms: Option<u64>,
    /// The measured value that exceeded the bound.
    pub measured_ms: Option<u64>,
    /// The observer.
    pub by: Observer,
    /// The agent.
    pub agent: String,
    /// The agent's state.
    pub state: Option<super::agent_state::AgentState>,
    /// Age of its last heartbeat.
    pub heartbeat_age_ms: Option<u64>,
    /// The part of that age which counted: silence during an interruption of Redis or of the machine does not.
    pub silence_ms: Option<u64>,
    /// For how long Redis, the supervisor and the machine had been available without interruption.
    pub undisturbed_ms: Option<u64>,
    /// Age of its program's last progress.
    pub progress_age_ms: Option<u64>,
    /// Its runner.
    pub process: Option<ProcessSeen>,
    /// Its tmux session.
    pub session: Option<SessionState>,
    /// Age of the observation of tmux.
    pub session_age_ms: Option<u64>,
    /// The last output of its program; `null` if it had printed nothing, or had no task.
    pub last_output: Option<LastOutput>,
    /// Whether a report of its runner was on disk that Redis had not acknowledged.
    pub report_on_disk: Option<bool>,
    /// When the lease of its attempt expired, or would have.
    pub lease_ends_at: Option<Timestamp>,
    /// The time of the observation.
    pub at: Option<Timestamp>,
    /// The runner's own reason, if it reported its end.
    pub said: Option<String>,
}

impl Evidence {
    /// Creates evidence with a rule and nothing else yet.
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

    /// Adds the bound of the rule, and the value that exceeded it.
    pub fn beyond(self, bound: Duration, measured: Duration) -> Self {
        Evidence { bound_ms: Some(ms(bound)), measured_ms: Some(ms(measured)), ..self }
    }

    /// Returns each fact with its name, for people; the rule first.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("rule", self.rule_in_words())];
        let mut add = |name, fact: Option<String>| facts.extend(fact.map(|fact| (name, fact)));
        add("seen by", Some(self.observer()));
        add("heartbeat", self.heartbeat_age_ms.map(|age| self.heartbeat(age)));
        let progress = |age| format!("its program last made progress {} before", words_of(age));
        add("progress", self.progress_age_ms.map(progress));
        add("process", self.process.as_ref().map(process));
        add("session", self.session.map(|session| self.session(session)));
        add("output", self.last_output.as_ref().map(|last| self.output(last)));
        add(
            "report",
            self.report_on_disk.map(|there| match there {
                true => "its runner's report was on disk, and was delivered instead".to_owned(),
                false => "its runner had left none on disk".to_owned(),
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
            Rule::Boot => "the machine was restarted".to_owned(),
            Rule::Open => format!("its session was not opened within {bound}"),
            Rule::NotOpened => "its session could not be opened".to_owned(),
            Rule::Start => format!("its runner did not report within {bound}"),
            Rule::Leave => format!("it was asked to end, and did not within {bound}"),
            Rule::Lease => format!("no heartbeat for longer than the lease of {bound}"),
            Rule::Silent => format!("no heartbeat for {bound} during which Redis answered, whatever was interrupted"),
            Rule::TaskTimeout => {
                format!("its attempt passed the task's time limit, and its runner did not end it within {bound}")
            }
            Rule::StallTimeout => format!("no progress for longer than {bound}"),
            Rule::Requested => "it was asked to end, and did".to_owned(),
            Rule::SessionClosed => "its tmux session was closed while it ran".to_owned(),
            Rule::Terminated => "its runner received SIGTERM".to_owned(),
            Rule::TasksPerAgent => "it had finished the number of tasks set by tasks_per_agent".to_owned(),
            Rule::Broken => "its program cannot run".to_owned(),
            Rule::OverLimit => {
                "its program used more than its role permits, and was ended; the agent continues".to_owned()
            }
            Rule::ProgramKilled => "its program was killed; the agent continues".to_owned(),
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
                "; {} of it count, because nothing had been interrupted for {}",
                words_of(silence),
                words_of(self.undisturbed_ms.unwrap_or(silence))
            ),
            _ => String::new(),
        };
        format!("the last one arrived {} before{counted}", words_of(age))
    }

    fn session(&self, session: SessionState) -> String {
        let age = match self.session_age_ms {
            Some(age) if age > 1_000 => format!(" (tmux was asked {} before)", words_of(age)),
            _ => String::new(),
        };
        match session {
            SessionState::There => format!("its tmux session existed{age}"),
            SessionState::Gone => format!("its tmux session was gone{age}"),
            SessionState::Unknown => format!("unknown: tmux did not answer{age}"),
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
        ProcessState::Unrecorded => format!("its process was not recorded ({known_by})"),
        ProcessState::Elsewhere => format!("{who} is on another machine ({known_by})"),
        state => format!("{who} was {state}{letter}, known by {known_by}"),
    }
}

fn lease(end: Timestamp, now: Timestamp) -> String {
    match now.since(end) {
        Duration::ZERO => format!("the lease of its attempt would have lasted for another {}", human(end.since(now))),
        past => format!("the lease of its attempt had expired {} before", human(past)),
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
    fn evidence_round_trips_and_lists_its_facts() {
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
                "heartbeat: the last one arrived 40s before; 31s of it count, because nothing had been interrupted for 31s",
                "process: its runner, pid 7, was stopped (T), known by /proc/7/stat",
                "session: unknown: tmux did not answer",
                "output: its program printed last 40s before: one / two",
                "report: its runner had left none on disk",
                "lease: the lease of its attempt had expired 1.0s before",
            ]
        );
    }

    #[test]
    fn every_rule_has_an_explanation() {
        for rule in Rule::ALL {
            let facts = Evidence::of(*rule, Observer::Runner, "shell-1").facts();
            assert!(
                facts[0].1.starts_with(&format!("{rule}: ")) && facts[0].1.len() > rule.as_str().len() + 10,
                "{facts:?}"
            );
        }
    }
}
