//! Ends the processes that belong together, and no others.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{RETRY_FOR, Script, eventually};
use crate::os::{ProcessId, Processes, Tree, descendants, end_tree, members, rss_bytes};

const GRACE: Duration = Duration::from_millis(200);

/// Ends `tree` and expects that this takes time and leaves no process.
fn end(tree: &Tree, grace: Duration) -> usize {
    let report = end_tree(tree, &[], grace, RETRY_FOR).expect("/proc");
    assert_eq!((&report.survivors, report.complete), (&vec![], true));
    assert_eq!(members(tree, &[]).expect("/proc"), []);
    assert!(report.took < RETRY_FOR);
    report.ended
}

#[test]
fn descendants_that_left_the_session_and_ignore_term_are_ended() {
    let script = Script::start(
        "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & echo ready; wait' & nohup sleep 1001 >/dev/null & wait",
    );
    eventually("shell, setsid'ed shell, its sleep, nohup's sleep", || {
        members(&script.by_descent(), &[]).expect("/proc").len() == 4
    });
    assert!(end(&script.by_descent(), GRACE) >= 4);
}

#[test]
fn descendants_are_found_without_reading_all_processes() {
    let script = Script::start("setsid sh -c 'sleep 1000 & echo ready; wait' & sleep 1001 >/dev/null & wait");
    let found = || {
        let mut pids = descendants(&script.id).expect("/proc");
        pids.sort_unstable();
        pids
    };
    eventually("setsid'ed shell, its sleep, our sleep", || found().len() == 3);
    let by_scan = members(&script.by_descent(), &[script.id.pid]).expect("/proc");
    assert_eq!(found(), by_scan.iter().map(|process| process.pid).collect::<Vec<_>>());
    end(&script.by_descent(), GRACE);
}

#[test]
fn members_of_a_session_are_found_after_its_leader_is_gone() {
    let mut script = Script::start("sleep 1000 >/dev/null & echo ready");
    script.wait();
    assert_eq!(members(&script.by_descent(), &[]).expect("/proc"), [], "its parent is gone");
    assert_eq!(members(&script.by_session(), &[]).expect("/proc").len(), 1);
    let later = ProcessId { start_time: u64::MAX, ..script.id };
    let of_later = Tree { sessions: vec![later], ..Tree::default() };
    assert_eq!(members(&of_later, &[]).expect("/proc"), [], "a later session of the same number has other members");
    assert_eq!(end(&script.by_session(), Duration::ZERO), 1);
}

#[test]
fn a_marker_finds_a_daemon_that_forked_twice() {
    let mut script = Script::start("setsid sh -c '(exec sleep 1000 >/dev/null) & echo ready'");
    script.wait();
    for lost in [script.by_descent(), script.by_session()] {
        assert_eq!(members(&lost, &[]).expect("/proc"), []);
    }
    let almost = Tree { markers: vec![script.marker[..script.marker.len() - 1].to_owned()], ..Tree::default() };
    assert_eq!(members(&almost, &[]).expect("/proc"), [], "a marker is a whole entry");
    let later = ProcessId { start_time: u64::MAX, ..script.id };
    let of_later = Tree { roots: vec![later], ..script.by_marker() };
    assert_eq!(members(&of_later, &[]).expect("/proc"), [], "it is older than all that the marker was made for");
    let with_root = Tree { roots: vec![script.id], ..script.by_marker() };
    assert_eq!(members(&with_root, &[]).expect("/proc").len(), 1);
    assert_eq!(end(&script.by_marker(), GRACE), 1);
}

#[test]
fn a_process_that_does_not_belong_is_untouched() {
    let stranger = Script::start("echo ready; exec sleep 1000");
    let script = Script::start("sleep 1000 & echo ready; wait");
    let all = Tree {
        roots: vec![script.id],
        sessions: vec![script.id],
        markers: vec![script.marker.clone()],
        ..Tree::default()
    };
    assert!(!members(&all, &[]).expect("/proc").contains(&stranger.id));
    end(&all, Duration::ZERO);
    assert!(!script.id.is_alive());
    assert!(matches!(stranger.id.state(), Some('S' | 'R')), "neither stopped nor ended");
}

#[test]
fn a_stopped_tree_is_ended_by_being_asked() {
    let script = Script::start("sleep 1000 & echo ready; wait");
    let before = members(&script.by_descent(), &[]).expect("/proc");
    for process in &before {
        process.signal(Signal::SIGSTOP).expect("ours");
    }
    eventually("all stopped", || before.iter().all(|process| process.state() == Some('T')));
    let report = end_tree(&script.by_descent(), &[], RETRY_FOR, RETRY_FOR).expect("/proc");
    assert_eq!((report.ended, report.survivors), (before.len(), vec![]));
    assert!(report.took < RETRY_FOR / 2, "TERM was enough, the grace was not used up: {:?}", report.took);
}

#[test]
fn a_program_that_forks_faster_than_we_scan_is_ended() {
    // Each link of the chain starts the next and exits, in a session of its own, ignoring TERM. Bounded, so that a
    // failure here ends automatically; the last link proves that we were too slow.
    let folder = tempfile::tempdir().expect("a folder");
    let last = folder.path().join("last");
    let link = format!(
        "trap '' TERM; [ $1 -gt 0 ] || {{ : > {}; exit; }}; setsid sh -c \"$2\" sh $(($1-1)) \"$2\" & \
         [ $1 != 4990 ] || echo ready",
        last.display()
    );
    let script =
        Script::start(&format!("link=$(cat <<'END'\n{link}\nEND\n); sh -c \"$link\" sh 5000 \"$link\"; sleep 1000"));
    end(&script.by_marker(), Duration::ZERO);
    assert!(!last.exists(), "the chain was ended before its last link");
}

#[test]
fn a_limit_is_observed_and_reported_after_at_least_one_round_of_kill() {
    let script = Script::start("trap '' TERM; echo ready; exec sleep 1000");
    let report = end_tree(&script.by_descent(), &[], RETRY_FOR, Duration::ZERO).expect("/proc");
    assert!(report.took < RETRY_FOR / 2, "{report:?}");
    assert!(report.ended + report.survivors.len() == 1 && !report.complete, "{report:?}");
    eventually("the end by KILL", || !script.id.is_alive());
    let again = end_tree(&script.by_descent(), &[], RETRY_FOR, RETRY_FOR).expect("/proc");
    assert!(again.complete);
}

#[test]
fn a_spared_process_survives_with_what_it_started() {
    let script = Script::start("sh -c 'sleep 1000 & echo ready; wait' & wait");
    let all = members(&script.by_descent(), &[]).expect("/proc");
    let [root, shell, sleep] = all[..] else { panic!("{all:?}") };
    assert_eq!(root, script.id);
    assert_eq!(members(&script.by_descent(), &[shell.pid]).expect("/proc"), [root]);
    assert_eq!(
        members(&script.by_descent(), &[root.pid]).expect("/proc"),
        [shell, sleep],
        "the children of a root are not spared"
    );
    let report = end_tree(&script.by_descent(), &[shell.pid], GRACE, RETRY_FOR).expect("/proc");
    assert_eq!((report.ended, report.survivors), (1, vec![]));
    assert!(shell.is_alive() && sleep.is_alive());
}

#[test]
fn this_process_and_its_ancestors_are_never_members() {
    let parent = ProcessId::of(nix::unistd::getppid().as_raw() as u32).expect("cargo, or a shell");
    let first = ProcessId::of(1).expect("the first process");
    let roots = vec![parent, ProcessId::current(), first];
    let found = Processes::scan().expect("/proc").members(&Tree { roots, ..Tree::default() }, &[]);
    assert!(!found.contains(&ProcessId::current()) && !found.contains(&parent) && !found.contains(&first));
    let of_first = Tree { roots: vec![first], ..Tree::default() };
    assert_eq!(members(&of_first, &[]).expect("/proc"), [], "not everybody belongs to the first process");
}

#[test]
fn a_tree_that_is_gone_costs_no_grace() {
    let script = Script::start("echo ready; exec sleep 1000");
    let reused = ProcessId { start_time: script.id.start_time - 1, ..script.id };
    let tree = Tree {
        roots: vec![reused],
        sessions: vec![reused],
        markers: vec!["ORCH_OS_TEST=nobody".to_owned()],
        ..Tree::default()
    };
    let report = end_tree(&tree, &[], RETRY_FOR, RETRY_FOR).expect("/proc");
    assert_eq!((report.ended, report.survivors), (0, vec![]));
    assert!(report.took < RETRY_FOR && script.id.is_alive());
}

#[test]
fn every_member_of_a_tree_has_memory_of_its_own() {
    let script = Script::start("sleep 1000 & echo ready; wait");
    assert!(rss_bytes(script.id.pid).expect("it runs") > 0);
    eventually("sleep has been exec'ed", || {
        let below = descendants(&script.id).expect("/proc");
        below.len() == 1 && below.iter().all(|pid| rss_bytes(*pid).is_some_and(|bytes| bytes > 0))
    });
}
