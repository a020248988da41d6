//! The behaviour of a subreaper. Each test runs in a process of its own: the flag applies to the whole process, and so
//! do its children, which must not include those of tests that run concurrently.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{RETRY_FOR, eventually};
use crate::os::{ProcessId, Tree, become_subreaper, end_children, end_tree, has_children, members};

/// Marks this test binary, started by itself, as the separate process.
const ALONE: &str = "ORCH_OS_TEST_ALONE";

/// Runs `body` as a subreaper in a process that runs the test `name` alone; fails if the test fails there.
fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        become_subreaper().expect("a subreaper");
        // A failing test leaves no process behind either.
        let result = catch_unwind(AssertUnwindSafe(body));
        end_children(&[], Duration::ZERO, RETRY_FOR).expect("/proc");
        return result.unwrap_or_else(|panic| resume_unwind(panic));
    }
    let binary = std::env::current_exe().expect("this test");
    let mut command = Command::new(binary);
    command
        .args([&format!("os::tests::children::{name}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1");
    let output = command.stdin(Stdio::null()).output().expect("this test's binary");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
}

/// Starts a shell with `script`; its exit status is not waited for.
fn start(script: &str) -> ProcessId {
    // Output to /dev/null: what outlives a failed test must not keep the outer test's pipe open.
    let mut command = Command::new("/bin/sh");
    let command = command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ProcessId::of(command.spawn().expect("/bin/sh").id()).expect("only we reap it")
}

fn descendants() -> usize {
    let own = Tree { roots: vec![ProcessId::current()], ..Tree::default() };
    members(&own, &[]).expect("/proc").len()
}

#[test]
fn daemons_that_lost_their_parents_are_ended_and_reaped() {
    alone("daemons_that_lost_their_parents_are_ended_and_reaped", || {
        assert!(!has_children());
        start("setsid env -i sh -c 'trap \"\" TERM; sleep 1000 & sleep 1001 & wait' & exit 0");
        eventually("a shell and two sleeps, cut off from the first shell", || descendants() == 3);
        assert!(has_children());
        let report = end_children(&[], Duration::from_millis(100), RETRY_FOR).expect("/proc");
        assert!(report.ended >= 3, "{report:?}");
        assert_eq!(report.survivors, []);
        assert!(!has_children(), "no zombie is left either");
    });
}

#[test]
fn zombies_alone_are_reaped() {
    alone("zombies_alone_are_reaped", || {
        let child = start("exit 3");
        eventually("a zombie", || child.state() == Some('Z'));
        assert!(has_children(), "a zombie is a child");
        let report = end_children(&[], RETRY_FOR, RETRY_FOR).expect("/proc");
        assert_eq!((report.ended, report.survivors), (0, vec![]));
        assert!(!has_children() && ProcessId::of(child.pid).is_none());
    });
}

#[test]
fn a_kept_process_is_neither_ended_nor_reaped() {
    alone("a_kept_process_is_neither_ended_nor_reaped", || {
        let mut over = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().expect("/bin/sh");
        let over_id = ProcessId::of(over.id()).expect("not reaped");
        eventually("a zombie", || !over_id.is_alive());
        let kept = start("sleep 1000 & wait");
        let other = start("exec sleep 1000");
        eventually("shell, its sleep, the other sleep", || descendants() == 3);
        let report = end_children(&[kept.pid, over.id()], Duration::ZERO, RETRY_FOR).expect("/proc");
        assert_eq!((report.ended, report.survivors), (1, vec![]));
        assert!(!other.is_alive() && kept.is_alive());
        assert_eq!(descendants(), 2, "what it started is kept with it");
        assert_eq!(over.wait().expect("its status is still there").code(), Some(7));
        end_children(&[], Duration::ZERO, RETRY_FOR).expect("/proc");
    });
}

#[test]
fn a_chain_of_forks_without_a_marker_is_ended() {
    alone("a_chain_of_forks_without_a_marker_is_ended", || {
        let folder = tempfile::tempdir().expect("a folder");
        let (far, last) = (folder.path().join("far"), folder.path().join("last"));
        // dash forks a link without exec: several thousand per second. Bounded, so that a failure ends automatically.
        start(&format!(
            "trap '' TERM; link() {{ [ $1 -gt 0 ] || {{ : > {}; exit; }}; (link $(($1-1))) & \
             [ $1 != 29900 ] || : > {}; }}; link 30000",
            last.display(),
            far.display()
        ));
        eventually("the hundredth link", || far.exists());
        let report = end_children(&[], Duration::from_millis(50), RETRY_FOR).expect("/proc");
        assert!(report.complete && report.survivors.is_empty(), "{report:?}");
        assert!(!has_children());
        assert!(!last.exists(), "the chain was ended before its last link");
    });
}

#[test]
fn hundreds_of_descendants_are_ended_at_once() {
    alone("hundreds_of_descendants_are_ended_at_once", || {
        // One shell, 80 sleeps, 80 sleeps in sessions of their own, 40 shells deaf to TERM with a sleep each.
        start(
            "i=0; while [ $i -lt 80 ]; do sleep 1000 & setsid sleep 1000 & i=$((i+1)); done; \
             i=0; while [ $i -lt 40 ]; do sh -c 'trap \"\" TERM HUP; sleep 1000 & wait' & i=$((i+1)); done; wait",
        );
        eventually("241 descendants", || descendants() == 241);
        let began = Instant::now();
        let report = end_children(&[], Duration::ZERO, RETRY_FOR).expect("/proc");
        println!("241 descendants ended and reaped in {:?}", began.elapsed());
        assert_eq!((report.ended, report.survivors), (241, vec![]));
        assert!(!has_children());
    });
}

#[test]
fn those_of_a_dead_runner_are_ended_by_descent_from_its_subreaper() {
    alone("those_of_a_dead_runner_are_ended_by_descent_from_its_subreaper", || {
        let runner = start("setsid env -i sleep 1000 & wait");
        eventually("shell and sleep", || descendants() == 2);
        let tree = Tree { roots: vec![runner], ..Tree::default() };
        let report = end_tree(&tree, &[], Duration::from_millis(100), RETRY_FOR).expect("/proc");
        assert_eq!((report.ended, report.survivors), (2, vec![]));
        assert!(has_children(), "end_tree reaps nothing: other code may wait for the status");
        end_children(&[], Duration::ZERO, RETRY_FOR).expect("/proc");
    });
}
