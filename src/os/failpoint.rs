//! Points at which a test has a process die: `kill -9` between two steps of ours, there and nowhere else.
//!
//! They exist in debug builds alone; in a release build `failpoint!` is nothing. A test names a folder in
//! `ORCH_FAILPOINTS`. Whoever comes by a point that has a file of its name there adds its own pid to that name
//! (`spawn.opened.4711`), and kills its own process. Of several that come by at once one can rename it, so exactly one
//! dies; and the test knows whose end to wait for, as a process that is killed lives on for a moment.

/// Variables by which a test reaches the processes that we start; a release build knows none.
#[cfg(debug_assertions)]
const INHERITED: &[&str] = &["ORCH_FAILPOINTS", "ORCH_TEST_BOOT_ID"];
#[cfg(not(debug_assertions))]
const INHERITED: &[&str] = &[];

/// What of a test's variables has to be handed on to a process that would not inherit it: tmux starts the runners.
pub fn inherited() -> Vec<(String, String)> {
    INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// Dies here, if a test wants it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::os::failpoint::reach($name);
    };
}
pub(crate) use failpoint;

/// Every point, in the order of a life: what the one who dies there has done last.
#[cfg(debug_assertions)]
pub const POINTS: &[&str] = &[
    // `orch delegate`.
    "delegate.checked",
    "delegate.answered",
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
    // The supervisor looks after what has died.
    "reap.told",
    "reap.recorded",
    "reap.ended",
    "reap.closed",
    "reap.forgotten",
    "mend.redis_up",
    // Whoever meets a Redis that came up anew first.
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

/// Kills this process if a test has armed the point; behind the macro.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::{path::PathBuf, sync::OnceLock};
    static ARMED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(folder) = ARMED.get_or_init(|| std::env::var_os("ORCH_FAILPOINTS").map(PathBuf::from)) else { return };
    assert!(POINTS.contains(&name), "{name} is in no table");
    let own = nix::unistd::Pid::this();
    if std::fs::rename(folder.join(name), folder.join(format!("{name}.{own}"))).is_ok() {
        // By the kernel, so that nothing is unwound, flushed or said; the call does not return.
        let _ = nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL);
        std::process::abort();
    }
}
