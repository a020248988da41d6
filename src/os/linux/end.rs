//! To end processes so that none is left, whatever they do about it.
//!
//! First they are asked: TERM, and CONT, for a stopped process acts on TERM only when it goes on. Then they are made
//! to: each is stopped as soon as it is seen, newcomers too, until there are none; only then all are killed. To kill
//! without stopping is a race that a program which forks faster than we look wins; a stopped one can't fork, and the
//! kernel lets no fork succeed over which a signal has come. It is over when two looks in a row find nobody.
//!
//! tmux sends CONT to a pane's own process when it sees it stopped: that is why KILL follows at once, and why all of it
//! is repeated.

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

/// So many looks in a row must find nobody.
const EMPTY_LOOKS: u32 = 2;

/// How often at most one look catches up with newcomers: a program that forks without end on many processors must lose
/// members too, not only gain stopped ones.
const CATCH_UPS: u32 = 200;

/// How long those who were killed are waited for before we look for others: one that is stuck in the kernel must not
/// give the rest time to spread.
const ROUND: Duration = Duration::from_millis(100);

/// Makes this process the parent of every descendant whose own parent has ended, so that none can hide from
/// [`end_children`] by a double fork. Lasts until the process ends; children don't inherit it.
///
/// # Errors
/// The kernel refuses (never seen; older than 3.4).
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Whether this process has any child, living or a zombie. One system call, and it reaps nothing. To a subreaper,
/// `false` means: no descendant is left.
pub fn has_children() -> bool {
    let look_only = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, look_only), Err(Errno::ECHILD))
}

/// Ends all members of `tree`: TERM, up to `grace` for them to end by it, then KILL until none is left; no grace, no
/// TERM. Returns when `limit` is over, or a tenth of a second later; one round of KILL happens in any case.
///
/// Spares the first process, ourselves, those above us, and `except` with what they have started (see
/// [`Processes::members`]). Who was a member once is followed wherever it goes. Blocks: call it where that is allowed.
///
/// # Errors
/// `/proc` can't be read, so that nobody can say what is left.
pub fn end_tree(tree: &Tree, except: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
    Ending::new(tree, except, Zombies::AreTheirParents).run(grace, limit)
}

/// Ends all descendants of this process but `keep` and what those have started, and reaps who has become our child.
/// For a subreaper: without [`become_subreaper`] daemons escape it. Times as in [`end_tree`].
///
/// A child whose exit status somebody here still waits for (tokio's, say) belongs into `keep`, or the status is lost.
///
/// # Errors
/// `/proc` can't be read, so that nobody can say what is left.
pub fn end_children(keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
    if !has_children() {
        return Ok(EndReport { complete: true, ..EndReport::default() });
    }
    let own = Tree { roots: vec![ProcessId::current()], ..Tree::default() };
    Ending::new(&own, keep, Zombies::AreOurs).run(grace, limit)
}

/// Who is to reap those who have ended.
#[derive(PartialEq)]
enum Zombies {
    AreOurs,
    AreTheirParents,
}

struct Ending<'a> {
    tree: &'a Tree,
    except: &'a [u32],
    zombies: Zombies,
    /// Who was found once stays a member in every later look: its parent's end must not hide it.
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
            // We may have stopped them; whoever asks next should not find them so, for good.
            self.found.iter().for_each(|process| drop(process.signal(Signal::SIGKILL)));
            return Err(error);
        }
        let survivors: Vec<ProcessId> = self.found.iter().filter(|process| process.is_alive()).copied().collect();
        let ended = self.found.len() - survivors.len();
        Ok(EndReport { ended, survivors, complete: self.is_over(), took: self.started.elapsed() })
    }

    /// TERM to each, once, until none is left or the time is over.
    fn ask(&mut self, until: Instant) -> io::Result<()> {
        let mut asked = BTreeSet::new();
        loop {
            let members = self.look(|_| {})?;
            if members.is_empty() {
                return Ok(());
            }
            for process in members.iter().filter(|process| asked.insert(**process)) {
                // Who is gone or refuses is seen by the next look.
                process.signal(Signal::SIGTERM).ok();
                process.signal(Signal::SIGCONT).ok();
            }
            if !wait_until_gone(&members, until) || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Rounds of STOP and KILL until none is left, the time is over, or nobody who is left may be signalled by us.
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

    /// Kills all that are inside the tree's cgroups at once: whoever is forked while we look at the others is inside
    /// too. Left to the slower way where somebody is inside who is to be spared.
    fn strike(&self) {
        for cgroup in &self.tree.cgroups {
            let (Ok(inside), Ok(own_line)) = (cgroup.members(), own_line()) else { continue };
            let is_spared = |pid: &u32| own_line.contains(pid) || self.except.contains(pid);
            if !inside.is_empty() && !inside.iter().any(is_spared) {
                // Where the kernel can't, each is killed by itself in a moment.
                cgroup.kill().ok();
            }
        }
    }

    /// Who is there of the tree. Each one is shown to `meet` as soon as it is seen, and the list is caught up with
    /// until it has nobody new: a chain of processes, of which each starts the next and ends, is always one ahead of
    /// whom a single list shows.
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

    /// Reaps those who are ours, and says how many: their own children may be ours since then.
    fn reap(&self, processes: &Processes) -> usize {
        if self.zombies == Zombies::AreTheirParents {
            return 0;
        }
        let zombies = processes.zombies_of(process::id()).filter(|pid| !self.except.contains(pid));
        // Each by its own pid: to wait for any child would take the exit status of others' children.
        let reap = |pid: &u32| waitpid(Pid::from_raw(*pid as i32), Some(WaitPidFlag::WNOHANG)).is_ok();
        zombies.filter(reap).count()
    }

    fn is_over(&self) -> bool {
        let nobody_at_all = || self.zombies == Zombies::AreOurs && !has_children();
        self.empty_looks >= EMPTY_LOOKS || nobody_at_all()
    }
}

/// Whether all have ended before the time was over.
fn wait_until_gone<'a>(processes: impl IntoIterator<Item = &'a ProcessId>, until: Instant) -> bool {
    // Most end within a millisecond of KILL; who takes its time to end after TERM is not asked a thousand times.
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
