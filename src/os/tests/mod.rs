//! The behaviour required of every platform, tested with real processes.

mod cgroup;
mod children;
mod process;
mod tree;
mod watch;

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{ProcessId, Tree, end_tree};

/// Far longer than anything here takes: only a failure waits this long.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// A shell that leads a session of its own, with a unique marker; its whole tree is ended when it is dropped.
struct Script {
    shell: Child,
    id: ProcessId,
    marker: String,
}

impl Script {
    /// Runs `script` and returns when it has printed the line `ready`.
    fn start(script: &str) -> Self {
        let value = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("ORCH_OS_TEST", &value);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: setsid is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
        let mut shell = command.spawn().expect("/bin/sh");
        let id = ProcessId::of(shell.id()).expect("its child is not reaped yet");
        let mut lines = BufReader::new(shell.stdout.take().expect("piped")).lines();
        let script = Script { shell, id, marker: format!("ORCH_OS_TEST={value}") };
        assert_eq!(lines.next().expect("a line before the end").expect("text"), "ready");
        // A process that still writes there later must not be ended by a closed pipe, which would prove nothing.
        std::mem::forget(lines);
        script
    }

    fn by_descent(&self) -> Tree {
        Tree { roots: vec![self.id], ..Tree::default() }
    }

    fn by_session(&self) -> Tree {
        Tree { sessions: vec![self.id], ..Tree::default() }
    }

    fn by_marker(&self) -> Tree {
        Tree { markers: vec![self.marker.clone()], ..Tree::default() }
    }

    /// Waits until the shell itself has ended, and reaps it.
    fn wait(&mut self) {
        self.shell.wait().expect("our child");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let all = Tree {
            roots: vec![self.id],
            sessions: vec![self.id],
            markers: vec![self.marker.clone()],
            ..Tree::default()
        };
        let report = end_tree(&all, &[], Duration::ZERO, RETRY_FOR);
        // A panic while panicking would hide the first failure.
        if !thread::panicking() {
            assert_eq!(report.expect("/proc").survivors, []);
        }
        self.shell.kill().ok();
        self.shell.wait().ok();
    }
}

/// Polls until `what` holds; fails with `describe` after the deadline.
fn eventually(describe: &str, what: impl Fn() -> bool) {
    let until = Instant::now() + RETRY_FOR;
    while !what() {
        assert!(Instant::now() < until, "never happened: {describe}");
        thread::sleep(Duration::from_millis(2));
    }
}
