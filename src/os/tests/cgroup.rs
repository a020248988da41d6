//! Cgroups, where the machine permits creating them.

use std::time::Duration;

use super::{RETRY_FOR, Script, eventually};
use crate::os::{Cgroup, Tree, end_tree, members};

/// A cgroup of this test, removed at its end; `None`, with a message, where none can be created.
struct Own(Cgroup);

impl Own {
    fn new() -> Option<Self> {
        let made = Cgroup::below_own(&format!("orch-os-test-{}", uuid::Uuid::new_v4().simple()))
            .map(|group| group.child("agent"))
            .filter(|cgroup| cgroup.create().is_ok());
        if made.is_none() {
            eprintln!(
                "skipped: no cgroup can be created here (this requires cgroup v2, and root or a delegated group)"
            );
        }
        made.map(Own)
    }

    /// A script that enters it, and then has no other connection to the test.
    fn script(&self, script: &str) -> Script {
        Script::start(&format!("echo 0 > {}/cgroup.procs || exit 1\n{script}", self.0.path().display()))
    }

    fn tree(&self) -> Tree {
        Tree { cgroups: vec![self.0.clone()], ..Tree::default() }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let ended = end_tree(&self.tree(), &[], Duration::ZERO, RETRY_FOR);
        let group = Cgroup::at(self.0.path().parent().expect("a group"));
        let removed = group.remove();
        if !std::thread::panicking() {
            assert_eq!(ended.expect("/proc").survivors, []);
            removed.expect("no process is inside");
            assert!(!group.exists());
        }
    }
}

#[test]
fn a_process_that_left_everything_else_behind_is_still_inside() {
    let Some(own) = Own::new() else { return };
    let mut script = own.script("env -i setsid sh -c '(exec sleep 1000 >/dev/null) &'; echo ready");
    script.wait();
    let lost = Tree { roots: vec![script.id], sessions: vec![script.id], ..script.by_marker() };
    assert_eq!(members(&lost, &[]).expect("/proc"), []);
    let found = members(&own.tree(), &[]).expect("/proc");
    assert_eq!(found.len(), 1);
    assert!(own.0.remove().is_err(), "a process is inside");
    let report = end_tree(&own.tree(), &[], Duration::from_millis(200), RETRY_FOR).expect("/proc");
    assert_eq!((report.ended, report.complete), (1, true));
    own.0.remove().expect("no process is inside");
    own.0.remove().expect("to remove it twice does no harm");
    assert_eq!(own.0.members().expect("gone"), [] as [u32; 0]);
}

#[test]
fn three_hundred_processes_that_ignore_signals_are_ended_quickly() {
    let Some(own) = Own::new() else { return };
    let deaf = "trap \"\" TERM HUP INT; setsid sh -c \"trap \\\"\\\" TERM HUP; exec sleep 1000\" & exec sleep 1000";
    let _script = own.script(&format!(
        "n=0; while [ $n -lt 150 ]; do env -i sh -c '{deaf}' >/dev/null & n=$((n+1)); done; echo ready; wait"
    ));
    let inside = || own.0.members().expect("readable").len();
    eventually("all of them", || inside() == 301);
    let report = end_tree(&own.tree(), &[], Duration::from_millis(50), RETRY_FOR).expect("/proc");
    assert_eq!((report.complete, inside()), (true, 0));
    assert!(report.ended >= 300, "{report:?}");
}

#[test]
fn a_cgroup_within_a_cgroup_belongs_to_it() {
    let Some(own) = Own::new() else { return };
    let inner = own.0.child("inner").child("agent");
    inner.create().expect("ours");
    let script = own.script(&format!("echo 0 > {}/cgroup.procs; echo ready; exec sleep 1000", inner.path().display()));
    assert_eq!(own.0.members().expect("readable"), [script.id.pid]);
    assert_eq!(own.0.children(), [own.0.child("inner")]);
}

#[test]
fn a_spared_process_is_spared_inside_too() {
    let Some(own) = Own::new() else { return };
    let script = own.script("sleep 1000 & echo ready; wait");
    let all = own.0.members().expect("readable");
    let kept = *all.iter().find(|pid| **pid != script.id.pid).expect("sleep");
    let report = end_tree(&own.tree(), &[kept], Duration::ZERO, RETRY_FOR).expect("/proc");
    assert_eq!((report.ended, own.0.members().expect("readable")), (1, vec![kept]));
}

#[test]
fn leaving_a_cgroup_from_outside_does_nothing() {
    let Some(own) = Own::new() else { return };
    let before = std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
    own.0.leave().expect("nothing to do");
    assert_eq!(std::fs::read_to_string("/proc/self/cgroup").expect("/proc"), before);
}
