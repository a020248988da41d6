//! Checks that a program, with everything that it has started, stays within the resource limits of its role.
//!
//! If the kernel enforces a limit, only its effects are checked. The other limits are measured once per second, and
//! only for roles that have any. All processes of the program descend from the runner, which is a child subreaper.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::runner::attempt::cgroup::RunnerCgroup;
use crate::{
    config::ResourceLimits,
    model::{duration::human, end_code::EndCode, size, text::count},
    os::{self, Bounds, Refused},
};

/// Interval between two measurements.
const EVERY: Duration = Duration::from_secs(1);
/// The window over which processor use is averaged: a short burst is allowed.
const WINDOW: Duration = Duration::from_secs(10);

/// A limit that was exceeded.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Excess {
    /// Which limit.
    pub code: EndCode,
    /// Which limit and by how much, in words.
    pub reason: String,
}

/// Checks one attempt.
pub(in crate::runner) struct Meter<'a> {
    limits: &'a ResourceLimits,
    cgroup: Option<&'a RunnerCgroup>,
    before: Refused,
    ticks: Option<Interval>,
    /// Processor time used, at several points of the last window.
    used: VecDeque<(Instant, Duration)>,
}

impl<'a> Meter<'a> {
    pub fn start(limits: &'a ResourceLimits, cgroup: Option<&'a RunnerCgroup>) -> Self {
        let is_limited = limits.memory.is_some() || limits.cpu.is_some() || limits.processes.is_some();
        let ticks = is_limited.then(|| {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick fires immediately, when there is nothing to measure.
            ticks.reset();
            ticks
        });
        let before = cgroup.filter(|_| is_limited).map(|e| e.cgroup.refused()).unwrap_or_default();
        Meter { limits, cgroup, before, ticks, used: VecDeque::new() }
    }

    /// Waits until a limit is exceeded, and returns which one. Never returns where there is no limit.
    pub async fn exceeded(&mut self) -> Excess {
        loop {
            match &mut self.ticks {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            };
            if let Some(excess) = self.refused().or_else(|| self.look()) {
                return excess;
            }
        }
    }

    /// Returns what the kernel had to do to enforce a limit, since the attempt began.
    pub fn refused(&self) -> Option<Excess> {
        let held = self.held();
        let now = self.cgroup.filter(|_| held != Bounds::default())?.cgroup.refused();
        let (killed, forks) = (now.memory - self.before.memory, now.forks - self.before.forks);
        if let (Some(limit), 1..) = (held.memory, killed) {
            let limit = size::human(limit);
            let reason = format!("over-memory: the kernel killed {killed} of its processes, memory_max is {limit}");
            return Some(Excess { code: EndCode::OverMemory, reason });
        }
        match (held.processes, forks) {
            (Some(limit), 1..) => {
                let refused = count(forks, "more process or thread", "more processes or threads");
                let reason = format!("over-processes: the kernel refused it {refused}, max_processes is {limit}");
                Some(Excess { code: EndCode::OverProcesses, reason })
            }
            _ => None,
        }
    }

    fn held(&self) -> Bounds {
        self.cgroup.map_or_else(Bounds::default, |cgroup| cgroup.held)
    }

    /// Measures all its processes once.
    fn look(&mut self) -> Option<Excess> {
        let held = self.held();
        // A process that cannot be measured now is measured again in a second.
        let pids = os::descendants(&os::ProcessId::current()).ok()?;
        if let Some(limit) = self.limits.processes
            && pids.len() > limit as usize
        {
            let reason = format!("over-processes: it has {} processes, max_processes is {limit}", pids.len());
            return Some(Excess { code: EndCode::OverProcesses, reason });
        }
        if let Some(limit) = self.limits.memory.filter(|_| held.memory.is_none())
            && let Some(used) = memory_over(limit, &pids)
        {
            let (used, limit) = (size::human(used), size::human(limit));
            let reason = format!("over-memory: its processes have {used} of memory, memory_max is {limit}");
            return Some(Excess { code: EndCode::OverMemory, reason });
        }
        let limit = self.limits.cpu.filter(|_| held.cpu.is_none())?;
        self.used.push_back((Instant::now(), os::tree_cpu_time(&pids)));
        let (cores, over) = average(&mut self.used)?;
        let over = human(over);
        (cores > limit).then(|| Excess {
            code: EndCode::OverCpu,
            reason: format!("over-cpu: its processes used {cores:.1} processor cores over {over}, cpu_max is {limit}"),
        })
    }
}

/// Returns the memory of these processes, if it is more than `limit`. Shared memory counts once; to find that out, the
/// kernel has to walk all their pages, so it is requested only where the plain sum exceeds the limit.
fn memory_over(limit: u64, pids: &[u32]) -> Option<u64> {
    let sum = |of: fn(u32) -> Option<u64>| pids.iter().filter_map(|pid| of(*pid)).sum::<u64>();
    (sum(os::rss_bytes) > limit).then(|| sum(os::pss_bytes)).filter(|used| *used > limit)
}

/// Returns the cores used over the last window, once it is full; drops older values.
fn average(used: &mut VecDeque<(Instant, Duration)>) -> Option<(f64, Duration)> {
    let (now, last) = *used.back()?;
    while used.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
        used.pop_front();
    }
    let (then, first) = *used.front()?;
    let over = now - then;
    (over >= WINDOW).then(|| (last.saturating_sub(first).as_secs_f64() / over.as_secs_f64(), over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_covers_a_full_window() {
        let began = Instant::now();
        let mut used = VecDeque::new();
        let mut at = |second: u64, cpu: u64| {
            used.push_back((began + Duration::from_secs(second), Duration::from_secs(cpu)));
            average(&mut used).map(|(cores, _)| cores)
        };
        assert_eq!((0..10).find_map(|second| at(second, 0)), None, "a burst is no average");
        assert_eq!(at(10, 20), Some(2.0));
        assert_eq!(at(11, 20), Some(2.0), "the first second has gone");
        assert_eq!(at(21, 25), Some(0.5));
        assert_eq!(used.len(), 2);
    }
}
