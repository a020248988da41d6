//! Points at which a test kills a process: `kill -9` between two specific steps.
//!
//! They exist in debug builds only; in a release build `failpoint!` does nothing. A test names a folder in
//! `ORCH_FAILPOINTS`. A process that passes a point for which this folder contains a file of the same name appends its
//! own pid to the file's name (`spawn.opened.4711`) and kills itself. If several pass at the same time, only one can
//! rename the file, so exactly one dies; and the test knows which process to wait for, since a killed process exists
//! for a moment longer.

/// Variables by which a test reaches the processes that orch starts; a release build ignores them.
#[cfg(debug_assertions)]
const INHERITED: &[&str] = &["ORCH_FAILPOINTS", "ORCH_TEST_BOOT_ID"];
#[cfg(not(debug_assertions))]
const INHERITED: &[&str] = &[];

/// Returns the variables of a test to pass to a process that would not inherit them: tmux starts the runners.
pub fn inherited() -> Vec<(String, String)> {
    INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// Kills this process here, if a test has armed the point.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::os::failpoint::reach($name);
    };
}
pub(crate) use failpoint;

/// All points, in the order of a typical run; each is named after the last completed step.
#[cfg(debug_assertions)]
pub const POINTS: &[&str] = &[
    // `orch delegate`.
    "delegate.checked",
    "delegate.answered",
    // `orch plan`.
    "plan.staged",
    "plan.accepted",
    // `orch start`, then the supervisor.
    "start.turn_taken",
    "start.launched",
    "start.locked",
    "start.marked",
    "redis.spawned",
    "start.redis_up",
    "start.stop_requested",
    "start.recorded",
    "start.standing",
    // The supervisor starts an agent, whose runner reports.
    "spawn.recorded",
    "spawn.launch_written",
    "spawn.opened",
    "spawn.placed",
    "hello.launch_taken",
    "hello.registered",
    // The runner has a task.
    "claim.answered",
    "claim.folder_made",
    "claim.started",
    "finish.ended",
    "finish.written",
    "finish.acknowledged",
    "finish.filed",
    "leave.decided",
    "leave.recorded",
    // The supervisor cleans up after dead processes.
    "reap.told",
    "reap.recorded",
    "reap.ended",
    "reap.closed",
    "reap.forgotten",
    "mend.redis_up",
    // The first process that connects to a restarted Redis.
    "epoch.reserved",
    "epoch.raised",
    // `orch stop`, then the supervisor.
    "stop.requested",
    "stop.agent_told",
    "stop.all_ended",
    "stop.withdrawn",
    "stop.redis_ended",
    "stop.unmarked",
];

/// Kills this process if a test has armed the point; called by the macro.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::{path::PathBuf, sync::OnceLock};
    static ARMED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(folder) = ARMED.get_or_init(|| std::env::var_os("ORCH_FAILPOINTS").map(PathBuf::from)) else { return };
    assert!(POINTS.contains(&name), "{name} is not in POINTS");
    let own = nix::unistd::Pid::this();
    if std::fs::rename(folder.join(name), folder.join(format!("{name}.{own}"))).is_ok() {
        // SIGKILL, so that nothing is unwound, flushed or logged; the call does not return.
        let _ = nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL);
        std::process::abort();
    }
}
