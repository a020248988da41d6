//! Ends every process of a state folder without Redis, tmux, a supervisor or disk space: by the registry of runners, the
//! recorded cgroups, descent, sessions and markers.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{Home, Runner, marker};
use crate::os::{self, EndReport, ProcessId, Tree};

/// What [`Home::end_processes`] has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many processes were ended.
    pub processes: usize,
    /// Processes that could not be ended.
    pub survivors: Vec<ProcessId>,
}

/// How often runners are looked for that were just starting.
const ROUNDS: u32 = 3;

impl Ended {
    fn add(&mut self, report: EndReport) {
        self.processes += report.ended;
        self.survivors.extend(report.survivors);
    }
}

impl Home {
    /// Ends the supervisor, all runners, and everything that they have started, and removes what only they needed.
    ///
    /// Runners get `grace` to end their programs and to record what these have done. `except` and its descendants are
    /// spared (the private Redis), and so are this process and its ancestors. Blocks for `grace`, then up to `limit`.
    ///
    /// # Errors
    /// Fails when the registry or `/proc` cannot be read, so that it is unknown what is left.
    pub fn end_processes(
        &self,
        supervisor: Option<ProcessId>,
        except: &[u32],
        grace: Duration,
        limit: Duration,
    ) -> io::Result<Ended> {
        // A supervisor that is stopped starts nothing while the agents end.
        if let Some(supervisor) = supervisor {
            supervisor.signal(Signal::SIGSTOP)?;
        }
        let own = own_line();
        let others = |runners: Vec<Runner>| -> Vec<Runner> {
            runners.into_iter().filter(|runner| !own.contains(&runner.process)).collect()
        };
        let mut ended = Ended::default();
        let mut runners = others(self.registered_runners()?);
        ask(&runners, grace);
        for _ in 0..ROUNDS {
            ended.add(os::end_tree(&self.tree_of(&runners), except, Duration::ZERO, limit)?);
            self.clear(&runners);
            // A runner that was just starting has registered itself meanwhile.
            runners = others(self.living_runners()?);
            if runners.is_empty() {
                break;
            }
        }
        let supervisor = Tree { roots: supervisor.into_iter().collect(), ..Tree::default() };
        ended.add(os::end_tree(&supervisor, except, Duration::ZERO, limit)?);
        Ok(ended)
    }

    /// Everything that these runners have started, and everything in the recorded cgroups.
    fn tree_of(&self, runners: &[Runner]) -> Tree {
        let processes: Vec<ProcessId> = runners.iter().map(|runner| runner.process).collect();
        let markers = runners.iter().map(|runner| marker(&runner.incarnation)).collect();
        Tree { roots: processes.clone(), sessions: processes, markers, cgroups: self.cgroups() }
    }

    /// Removes what the runners needed: secrets, scratch folders, cgroups, their entries. Best effort: the next
    /// supervisor removes it as well.
    fn clear(&self, runners: &[Runner]) {
        // Without its launch file, a runner whose session opens only now ends immediately.
        for entry in fs::read_dir(self.launches()).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        for runner in runners {
            let _ = fs::remove_dir_all(self.scratch(&runner.incarnation));
        }
        self.remove_ended_runners(|_| false);
        let groups = self.cgroups();
        if groups.iter().map(os::Cgroup::remove).filter(Result::is_err).count() == 0 {
            self.forget_cgroups();
        }
    }

    /// Records that everything has ended and that Redis does not know it, in a way that needs no disk space.
    pub fn mark_stopped(&self) {
        if let Err(e) = fs::rename(self.running(), self.stopped())
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("the stop could not be recorded: {e}");
        }
    }
}

/// Asks the runners to end, and waits until they have, at most for `grace`.
fn ask(runners: &[Runner], grace: Duration) {
    for signal in [Signal::SIGTERM, Signal::SIGCONT] {
        runners.iter().for_each(|runner| drop(runner.process.signal(signal)));
    }
    let began = Instant::now();
    while began.elapsed() < grace && runners.iter().any(|runner| runner.process.is_alive()) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns this process and its ancestors.
fn own_line() -> Vec<ProcessId> {
    std::iter::successors(Some(ProcessId::current()), os::parent_of).collect()
}
