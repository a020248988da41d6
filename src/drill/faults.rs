//! The faults that a drill can inject: one row of a table each.

use crate::{
    error::{Error, Result},
    model::suggest::nearest,
    store::disturb::Disturbance,
};

/// A kind of fault.
#[derive(Debug)]
pub struct Fault {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// The names of the groups that contain it.
    pub groups: &'static [&'static str],
    /// A description of one line.
    pub what: &'static str,
    /// How the fault is injected.
    pub(super) deed: Deed,
}

/// How a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// SIGKILL.
    Kill(Target),
    /// SIGKILL to supervisor, Redis, tmux server and all runners, each stopped before the first one dies.
    KillAll,
    /// SIGSTOP for longer than a lease, then SIGCONT.
    Stop(Target),
    /// SIGSTOP to the tmux server and to a runner in it, for longer than a lease, then SIGCONT.
    StopTmuxAndRunner,
    /// What Redis itself can be asked for.
    Redis(Disturbance),
    /// `tmux kill-session`.
    CloseSession,
    /// `orch supervise` beside the one that runs.
    SecondSupervisor,
    /// `orch cancel` of some tasks.
    Cancel,
    /// `orch kill` of an agent.
    KillAgent,
    /// The disk of the state folder is full for longer than a lease.
    FillDisk,
    /// A task whose program tries what only a person or another agent may do.
    Hostile,
}

/// The target of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Supervisor,
    Redis,
    Tmux,
    /// An agent's runner.
    Runner,
    /// The program that a runner has started for a task.
    Program,
    /// A process that such a program has started.
    Grandchild,
}

/// All faults, in the order in which they are listed.
pub const FAULTS: &[Fault] = &[
    fault(
        "kill-supervisor",
        &["kill"],
        "kill -9 of the supervisor; it is started again",
        Deed::Kill(Target::Supervisor),
    ),
    fault("kill-runner", &["kill"], "kill -9 of an agent's runner", Deed::Kill(Target::Runner)),
    fault("kill-program", &["kill"], "kill -9 of the program that works on a task", Deed::Kill(Target::Program)),
    fault(
        "kill-grandchild",
        &["kill"],
        "kill -9 of a process that such a program has started",
        Deed::Kill(Target::Grandchild),
    ),
    fault("kill-redis", &["kill", "redis"], "kill -9 of Redis", Deed::Kill(Target::Redis)),
    fault("kill-tmux", &["kill", "tmux"], "kill -9 of the tmux server", Deed::Kill(Target::Tmux)),
    fault("kill-all", &["kill"], "kill -9 of supervisor, Redis, tmux and runners at once", Deed::KillAll),
    fault(
        "stop-supervisor",
        &["stop"],
        "the supervisor is stopped for longer than a lease",
        Deed::Stop(Target::Supervisor),
    ),
    fault("stop-runner", &["stop"], "a runner is stopped for longer than its lease", Deed::Stop(Target::Runner)),
    fault(
        "stop-program",
        &["stop"],
        "a task's program is stopped for longer than a lease",
        Deed::Stop(Target::Program),
    ),
    fault("stop-redis", &["stop", "redis"], "Redis is stopped for longer than a lease", Deed::Stop(Target::Redis)),
    fault(
        "stop-tmux",
        &["stop", "tmux"],
        "the tmux server is stopped for longer than a lease",
        Deed::Stop(Target::Tmux),
    ),
    fault(
        "tmux-stopped",
        &["stop", "tmux"],
        "the tmux server stands still, and a runner in it",
        Deed::StopTmuxAndRunner,
    ),
    fault("redis-script-flush", &["redis"], "Redis forgets all scripts", Deed::Redis(Disturbance::ForgetScripts)),
    fault("redis-client-kill", &["redis"], "Redis ends all connections", Deed::Redis(Disturbance::EndConnections)),
    fault("redis-pause", &["redis"], "Redis answers no client for 2 seconds", Deed::Redis(Disturbance::Pause(2_000))),
    fault("close-session", &["tmux", "people"], "a person closes an agent's tmux session", Deed::CloseSession),
    fault("second-supervisor", &["people"], "a second supervisor is started; it must refuse", Deed::SecondSupervisor),
    fault("cancel-some", &["people"], "a person cancels some tasks", Deed::Cancel),
    fault("kill-agent", &["people"], "a person ends an agent with orch kill", Deed::KillAgent),
    fault("disk", &["redis"], "the disk of the state folder is full (needs root)", Deed::FillDisk),
    fault("hostile", &["people"], "a program tries what only a person or others may do", Deed::Hostile),
];

const fn fault(name: &'static str, groups: &'static [&'static str], what: &'static str, deed: Deed) -> Fault {
    Fault { name, groups, what, deed }
}

impl Fault {
    /// Returns whether the fault ends the tmux server, and with it the sessions of other users of the server.
    pub(super) fn ends_tmux(&self) -> bool {
        matches!(self.deed, Deed::KillAll | Deed::Kill(Target::Tmux))
    }
}

/// Returns the faults with these names or groups, or `all`, or `none`. Each is returned once, in the order of the
/// table.
///
/// # Errors
/// Returns a usage error for an unknown word.
pub fn select(words: &[String]) -> Result<Vec<&'static Fault>> {
    let known = |word: &str| FAULTS.iter().any(|f| f.name == word || f.groups.contains(&word));
    if let Some(word) = words.iter().find(|word| !known(word) && *word != "all" && *word != "none") {
        let groups = ["kill", "stop", "redis", "tmux", "people", "all", "none"];
        let names = FAULTS.iter().map(|f| f.name).chain(groups);
        let meant = nearest(word, names).map_or(String::new(), |near| format!("did you mean '{near}'? "));
        return Err(Error::usage(format!("there is no fault '{}'", crate::model::suggest::printable(word)))
            .hint(format!("{meant}orch drill --list shows all")));
    }
    let named = |f: &&Fault| words.iter().any(|w| w == "all" || w == f.name || f.groups.contains(&w.as_str()));
    Ok(FAULTS.iter().filter(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        select(&words).unwrap().iter().map(|f| f.name).collect()
    }

    #[test]
    fn a_group_selects_all_of_it_and_nothing_twice() {
        assert_eq!(names(&["tmux", "kill-tmux"]), ["kill-tmux", "stop-tmux", "tmux-stopped", "close-session"]);
        assert_eq!(names(&["all"]).len(), FAULTS.len());
        assert_eq!(names(&["none"]), [""; 0]);
        for group in FAULTS.iter().flat_map(|f| f.groups) {
            assert!(names(&[group]).len() > 1, "{group}");
        }
    }

    #[test]
    fn an_unknown_word_is_told_with_what_was_probably_meant() {
        let error = select(&["kill-supervisr".to_owned()]).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Usage);
        assert!(error.message.contains("kill-supervisr") && error.hint.unwrap().contains("'kill-supervisor'"));
    }

    #[test]
    fn every_fault_says_what_it_does_in_a_line() {
        let mut seen = std::collections::BTreeSet::new();
        for fault in FAULTS {
            assert!(seen.insert(fault.name) && !fault.groups.is_empty(), "{}", fault.name);
            assert!((10..=60).contains(&fault.what.len()), "{}: {}", fault.name, fault.what.len());
        }
    }
}
