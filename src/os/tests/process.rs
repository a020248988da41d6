//! One process: identity, signals, resource use.

use std::{process::Command, time::Duration};

use nix::sys::signal::Signal;

use super::{Script, eventually};
use crate::os::{ProcessId, boot_id, cpu_time, detach, give_memory_back, hostname, memory, raise_nofile_limit};

#[test]
fn a_process_is_alive_until_it_ends_and_a_zombie_is_not() {
    let mut script = Script::start("echo ready; exec sleep 1000");
    assert!(script.id.is_alive());
    assert_eq!(ProcessId::of(script.id.pid), Some(script.id));
    assert!(script.id.signal(Signal::SIGKILL).expect("ours"));
    eventually("a zombie", || script.id.state() == Some('Z'));
    assert!(!script.id.is_alive());
    assert!(!script.id.signal(Signal::SIGKILL).expect("a zombie has gone already"));
    script.wait();
    assert_eq!((script.id.state(), ProcessId::of(script.id.pid)), (None, None));
    assert!(!script.id.signal(Signal::SIGKILL).expect("gone"));
}

#[test]
fn a_process_with_a_reused_pid_is_neither_alive_nor_signalled() {
    let script = Script::start("echo ready; exec sleep 1000");
    let earlier = ProcessId { start_time: script.id.start_time - 1, ..script.id };
    assert!(!earlier.is_alive());
    assert_eq!(earlier.state(), None);
    assert!(!earlier.signal(Signal::SIGKILL).expect("no process to refuse it"));
    // Signals to one process arrive in order: were the first KILL sent, STOP would find it dead.
    assert!(script.id.signal(Signal::SIGSTOP).expect("ours"));
    eventually("stopped", || script.id.state() == Some('T'));
}

#[test]
fn impossible_pids_match_no_process() {
    for pid in [0, u32::MAX, i32::MAX as u32] {
        let impossible = ProcessId { pid, start_time: 1 };
        assert_eq!(ProcessId::of(pid), None);
        assert!(
            !impossible.is_alive() && !impossible.signal(Signal::SIGCONT).expect("no process to refuse it"),
            "{pid}"
        );
    }
}

#[test]
fn an_identity_survives_json_and_reads_well() {
    let me = ProcessId::current();
    assert!(me.is_alive() && me.pid == std::process::id());
    let json = serde_json::to_string(&me).expect("plain numbers");
    assert_eq!(serde_json::from_str::<ProcessId>(&json).expect("its own form"), me);
    assert_eq!(me.to_string(), format!("{}@{}", me.pid, me.start_time));
}

#[test]
fn numbers_of_a_process_are_plausible() {
    let me = std::process::id();
    let memory = memory(me).expect("we run");
    let private = memory.private_bytes.expect("our own");
    assert!((1 << 16..1 << 34).contains(&memory.rss_bytes), "{memory:?}");
    assert!((1 << 12..1 << 34).contains(&private), "{memory:?}");
    let script = Script::start("echo ready; while :; do :; done");
    eventually("processor time", || cpu_time(script.id.pid) >= Some(Duration::from_millis(50)));
    assert_eq!((crate::os::memory(u32::MAX), cpu_time(u32::MAX)), (None, None));
}

#[test]
fn the_machine_has_names_and_limits() {
    assert_eq!(boot_id(), boot_id());
    assert!(!boot_id().is_empty() && !boot_id().contains(char::is_whitespace));
    let uname = Command::new("uname").arg("-n").output().expect("uname");
    assert_eq!(hostname(), String::from_utf8_lossy(&uname.stdout).trim());
    let limit = raise_nofile_limit().expect("up to the hard limit is always allowed");
    let ulimit = Command::new("/bin/sh").args(["-c", "ulimit -Sn"]).output().expect("sh");
    assert_eq!(
        String::from_utf8_lossy(&ulimit.stdout).trim().replace("unlimited", &u64::MAX.to_string()),
        limit.to_string()
    );
}

#[test]
fn a_detached_process_has_a_session_of_its_own_and_nothing_of_ours() {
    // A descriptor that a child inherits, such as a careless caller would leave.
    let (kept, _other) = nix::unistd::pipe().expect("a pipe without close-on-exec");
    let stray = std::os::fd::AsRawFd::as_raw_fd(&kept);
    assert!(crate::os::inheritable_fds().expect("fds").contains(&stray));
    let mut command = Command::new("/bin/sh");
    // Field 6 of stat is the session; the shell's pid must be its number.
    command.args([
        "-c",
        "read -r pid name state parent group session rest < /proc/$$/stat; echo $$ $session; ls /proc/$$/fd",
    ]);
    detach(&mut command);
    let output = command.output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let (pid, session) = lines.next().and_then(|line| line.split_once(' ')).expect("pid and session");
    assert_eq!(pid, session);
    assert!(!lines.any(|fd| fd == stray.to_string()), "{text}");
}

/// Other tests of this process use memory too, but not this much.
#[test]
#[cfg(target_env = "gnu")]
fn memory_freed_between_live_allocations_is_returned() {
    const PIECE: usize = 16 * 1024;
    let private = || memory(std::process::id()).and_then(|m| m.private_bytes).expect("our own");
    let mut pieces: Vec<Vec<u8>> = (0..6_000).map(|n| vec![n as u8 | 1; PIECE]).collect();
    let mut n = 0;
    pieces.retain(|_| {
        n += 1;
        n % 100 == 0
    });
    let before = private();
    give_memory_back();
    let given = before.saturating_sub(private());
    assert!(given > 3_000 * PIECE as u64, "{given} bytes");
    assert!(pieces.iter().all(|piece| piece[0] == piece[PIECE - 1]));
}
