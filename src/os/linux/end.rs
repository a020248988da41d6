//! Ends process trees completely, even if they resist.
//!
//! First, the processes are asked to end: TERM, and CONT, because a stopped process handles TERM only when it
//! continues. Then they are forced: each is stopped as soon as it is seen, including new ones, until no new ones
//! appear; only then all are killed. Killing without stopping would lose the race against a program that forks faster
//! than we scan; a stopped process cannot fork, and the kernel fails a fork that a signal interrupts. The tree has
//! ended when two consecutive scans find no process.
//!
//! tmux sends CONT to a pane's own process when it sees it stopped: that is why KILL follows immediately, and why the
//! sequence is repeated.

use std::{
    collections::BTreeSet,
    io, process, thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, waitid, waitpid},
    },
    unistd::Pid,
};

use super::scan::{Processes, own_line};
use crate::os::{EndReport, ProcessId, Tree};

/// This many scans in a row must find no process.
const EMPTY_LOOKS: u32 = 2;

/// Maximum number of times one scan catches up with new processes: a program that forks endlessly on many processors
/// must also lose members, not only gain stopped ones.
const CATCH_UPS: u32 = 200;

/// How long to wait for killed processes before scanning again: a process that is stuck in the kernel must not give
/// the others time to spread.
const ROUND: Duration = Duration::from_millis(100);

/// Makes this process the parent of every descendant whose own parent has ended, so that none can escape
/// [`end_children`] by a double fork. Lasts until the process ends; children do not inherit it.
/// # Errors
/// Fails when the kernel refuses (never observed; kernels before 3.4).
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Returns whether this process has any child, living or a zombie. One system call, which reaps nothing. For a
/// subreaper, `false` means that no descendant is left.
pub fn has_children() -> bool {
    let look_only = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, look_only), Err(Errno::ECHILD))
}

/// Ends all members of `tree`: TERM, up to `grace` for them to exit, then KILL until none is left; without grace there
/// is no TERM. Returns when `limit` has passed, or up to a tenth of a second later; one round of KILL happens in any
/// case.
///
/// Spares the first process, this process, its ancestors, and `except` with their descendants (see
/// [`Processes::members`]). A process that was a member once remains one wherever it moves. Blocks the calling thread.
///
/// # Errors
/// Fails when `/proc` cannot be read, so that it is unknown what is left.
pub fn end_tree(tree: &Tree, except: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
    Ending::new(tree, except, Zombies::AreTheirParents).run(grace, limit)
}

/// Ends all descendants of this process except `keep` and what those have started, and reaps those that have become
/// our children. For a subreaper: without [`become_subreaper`] daemons escape. Times as in [`end_tree`].
///
/// If other code waits for a child's exit status (such as tokio), pass that child in `keep`, or the status is lost.
///
/// # Errors
/// Fails when `/proc` cannot be read, so that it is unknown what is left.
pub fn end_children(keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
    if !has_children() {
        return Ok(EndReport { complete: true, ..EndReport::default() });
    }
    let own = Tree { roots: vec![ProcessId::current()], ..Tree::default() };
    Ending::new(&own, keep, Zombies::AreOurs).run(grace, limit)
}

/// What reaps the processes that have ended.
#[derive(PartialEq)]
enum Zombies {
    AreOurs,
    AreTheirParents,
}

struct Ending<'a> {
    tree: &'a Tree,
    except: &'a [u32],
    zombies: Zombies,
    /// A process that was found once stays a member in every later scan: its parent's end must not hide it.
    found: BTreeSet<ProcessId>,
    empty_looks: u32,
    started: Instant,
}

impl<'a> Ending<'a> {
    fn new(tree: &'a Tree, except: &'a [u32], zombies: Zombies) -> Self {
        Ending { tree, except, zombies, found: BTreeSet::new(), empty_looks: 0, started: Instant::now() }
    }

    fn run(mut self, grace: Duration, limit: Duration) -> io::Result<EndReport> {
        if !grace.is_zero() {
            self.ask(self.started + grace.min(limit))?;
        }
        if let Err(error) = self.force(self.started + limit) {
            // We may have stopped them; leave none of them stopped.
            self.found.iter().for_each(|process| drop(process.signal(Signal::SIGKILL)));
            return Err(error);
        }
        let survivors: Vec<ProcessId> = self.found.iter().filter(|process| process.is_alive()).copied().collect();
        let ended = self.found.len() - survivors.len();
        Ok(EndReport { ended, survivors, complete: self.is_over(), took: self.started.elapsed() })
    }

    /// Sends TERM to each, once, and waits until none is left or the time has passed.
    fn ask(&mut self, until: Instant) -> io::Result<()> {
        let mut asked = BTreeSet::new();
        loop {
            let members = self.look(|_| {})?;
            if members.is_empty() {
                return Ok(());
            }
            for process in members.iter().filter(|process| asked.insert(**process)) {
                // If it is gone or cannot be signalled, the next scan shows it.
                process.signal(Signal::SIGTERM).ok();
                process.signal(Signal::SIGCONT).ok();
            }
            if !wait_until_gone(&members, until) || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Repeats STOP and KILL until none is left, the time has passed, or we may signal none of those left.
    fn force(&mut self, until: Instant) -> io::Result<()> {
        while !self.is_over() {
            let doomed = self.look(|process| drop(process.signal(Signal::SIGSTOP)))?;
            self.strike();
            let may_kill = |process: &&ProcessId| process.signal(Signal::SIGKILL).is_ok();
            let killed = doomed.iter().filter(may_kill).count();
            wait_until_gone(&doomed, until.min(Instant::now() + ROUND));
            let all_refused = killed == 0 && !doomed.is_empty();
            if all_refused || Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Kills all processes inside the tree's cgroups in one operation: processes forked during the scan are inside
    /// too. Skipped if a process that is to be spared is inside.
    fn strike(&self) {
        for cgroup in &self.tree.cgroups {
            let (Ok(inside), Ok(own_line)) = (cgroup.members(), own_line()) else { continue };
            let is_spared = |pid: &u32| own_line.contains(pid) || self.except.contains(pid);
            if !inside.is_empty() && !inside.iter().any(is_spared) {
                // Where the kernel does not support it, each is killed individually.
                cgroup.kill().ok();
            }
        }
    }

    /// Returns the existing members of the tree. Each one is passed to `meet` as soon as it is seen, and the list is
    /// refreshed until it has no new members: in a chain where each process starts the next and exits, a single list
    /// is always one process behind.
    fn look(&mut self, meet: impl Fn(&ProcessId)) -> io::Result<BTreeSet<ProcessId>> {
        let mut processes = Processes::scan()?;
        let mut members = BTreeSet::new();
        let mut is_sure = false;
        for _ in 0..CATCH_UPS {
            let before = members.len();
            for process in processes.members_and(&self.found, self.tree, self.except) {
                if members.insert(process) {
                    meet(&process);
                    self.found.insert(process);
                }
            }
            is_sure = members.len() == before && !processes.has_slipped();
            if is_sure {
                break;
            }
            processes.add_newcomers()?;
        }
        let reaped = self.reap(&processes);
        self.empty_looks = if is_sure && members.is_empty() && reaped == 0 { self.empty_looks + 1 } else { 0 };
        Ok(members)
    }

    /// Reaps zombies that are our children, and returns how many: their own children may have become ours since.
    fn reap(&self, processes: &Processes) -> usize {
        if self.zombies == Zombies::AreTheirParents {
            return 0;
        }
        let zombies = processes.zombies_of(process::id()).filter(|pid| !self.except.contains(pid));
        // Each by its own pid: waiting for any child would take exit statuses that other code waits for.
        let reap = |pid: &u32| waitpid(Pid::from_raw(*pid as i32), Some(WaitPidFlag::WNOHANG)).is_ok();
        zombies.filter(reap).count()
    }

    fn is_over(&self) -> bool {
        let none_at_all = || self.zombies == Zombies::AreOurs && !has_children();
        self.empty_looks >= EMPTY_LOOKS || none_at_all()
    }
}

/// Returns whether all have ended before the time has passed.
fn wait_until_gone<'a>(processes: impl IntoIterator<Item = &'a ProcessId>, until: Instant) -> bool {
    // Most end within a millisecond of KILL; the interval grows for those that take longer after TERM.
    let mut pause = Duration::from_micros(200);
    for process in processes {
        while process.is_alive() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
    true
}
