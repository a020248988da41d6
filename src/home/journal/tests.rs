//! The journal, as it is written and found again.

use std::time::Duration;

use super::*;
use crate::model::{cause::Cause, time::Timestamp};
use crate::samples;

fn task() -> Task {
    serde_json::from_value(serde_json::json!({
        "id": TaskId::random(), "role": "shell", "state": "running", "waiting": false, "children": [], "cancelling": false, "description": "a text", "context": null,
        "priority": "normal", "after": [], "labels": {}, "artifacts": [], "cwd": null, "depth": 0, "parent": null,
        "key": null, "failures": 0, "lost": 0, "retries": 3, "lost_max": 3,
        "timeout_ms": 1000, "created_at": Timestamp::default(),
    }))
    .unwrap()
}

fn report(task: &Task, attempt: u32, cause: Cause, text: &str) -> Report {
    Report {
        agent: "a-1".into(),
        incarnation: "i".into(),
        reason: text.into(),
        ..samples::report(&task.id, attempt, cause)
    }
}

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("h"));
    home.create().unwrap();
    (dir, home)
}

#[test]
fn an_end_is_unacknowledged_until_its_mark_follows() {
    let (_dir, home) = home();
    let (mut journal, task) = (Journal::new(&home, "i"), task());
    journal.begun(&task, 1).unwrap();
    assert_eq!(home.unacknowledged(|_| true), []);
    for text in ["short".to_owned(), "x".repeat(100_000)] {
        let report = report(&task, 1, Cause::Success, &text);
        journal.ended(&report).unwrap();
        assert_eq!(home.unacknowledged(|_| true), std::slice::from_ref(&report));
        journal.acknowledged(&task.id, 1, None).unwrap();
        assert_eq!(home.unacknowledged(|_| true), []);
    }
    let report = report(&task, 1, Cause::Success, "the runner dies now");
    journal.ended(&report).unwrap();
    assert_eq!(home.unacknowledged(|_| false), std::slice::from_ref(&report));
    home.acknowledge(&report);
    assert_eq!(home.unacknowledged(|_| false), []);
    assert_eq!(home.journaled_end(&task.id, 1).map(|end| end.reason), Some("short".into()), "it is still known");
}

#[test]
fn an_incomplete_line_hides_nothing() {
    let (_dir, home) = home();
    let (mut journal, task) = (Journal::new(&home, "i"), task());
    let report = report(&task, 1, Cause::Success, "done");
    journal.ended(&report).unwrap();
    let path = part_path(&home.journals(), "i", 0);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"acknowledged\":{\"ta").unwrap();
    assert_eq!(home.unacknowledged(|_| true), std::slice::from_ref(&report));
    // After a failed write, the writer continues on a new line.
    journal.is_torn = true;
    journal.begun(&task, 2).unwrap();
    assert_eq!(home.begun(&task.id, 2), Some(task.clone()));
    assert_eq!(home.journaled_end(&task.id, 1), Some(report));
}

#[test]
fn a_task_is_found_again_with_its_last_attempt_until_that_has_ended_for_good() {
    let (_dir, home) = home();
    let (mut journal, task, other) = (Journal::new(&home, "i"), task(), task());
    journal.begun(&task, 1).unwrap();
    journal.begun(&other, 1).unwrap();
    journal.ended(&report(&task, 1, Cause::Transient, "again")).unwrap();
    journal.begun(&task, 2).unwrap();
    let mut numbers: Vec<u32> = home.begun_and_not_ended().into_iter().map(|(_, attempt)| attempt).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    journal.ended(&report(&task, 2, Cause::Success, "done")).unwrap();
    assert_eq!(home.begun_and_not_ended(), [(other, 1)]);
    assert_eq!(home.journaled_ends(), [(task.id.clone(), 1), (task.id.clone(), 2)]);
}

#[test]
fn a_task_that_has_ended_with_its_last_retry_or_between_two_attempts_is_over() {
    let (_dir, home) = home();
    let mut journal = Journal::new(&home, "i");
    let [failed, delayed, cancelled] = [task(), task(), task()];
    let below = Task { parent: Some(cancelled.id.clone()), depth: 1, ..task() };
    for task in [&failed, &delayed, &cancelled, &below] {
        journal.begun(task, 1).unwrap();
        journal.ended(&report(task, 1, Cause::Transient, "again")).unwrap();
        let state = if *task == failed { TaskState::Failed } else { TaskState::Delayed };
        journal.acknowledged(&task.id, 1, Some(state)).unwrap();
    }
    let open = || {
        let mut open: Vec<TaskId> = home.begun_and_not_ended().into_iter().map(|(task, _)| task.id).collect();
        open.sort();
        open
    };
    let sorted = |tasks: &[&Task]| {
        let mut ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(open(), sorted(&[&delayed, &cancelled, &below]));
    home.record_decision(&Decision::Over(vec![cancelled.id.clone()])).unwrap();
    assert_eq!(open(), sorted(&[&delayed]));
    home.record_decision(&Decision::Retried(vec![cancelled.id.clone(), below.id.clone()])).unwrap();
    assert_eq!(open(), sorted(&[&delayed, &cancelled, &below]));
    // The failed one was retried, and has begun again.
    journal.begun(&failed, 2).unwrap();
    assert_eq!(open(), sorted(&[&failed, &delayed, &cancelled, &below]));
}

#[test]
fn a_long_journal_continues_in_another_part_and_only_old_parts_of_dead_runners_are_removed() {
    let (_dir, home) = home();
    let (mut journal, task) = (Journal::new(&home, "i"), task());
    let long = report(&task, 1, Cause::Success, &"x".repeat(PART as usize));
    let last = report(&task, 2, Cause::Success, "the last");
    journal.ended(&long).unwrap();
    journal.ended(&last).unwrap();
    assert_eq!(home.journal_parts().count(), 2);
    assert_eq!(home.unacknowledged(|_| true), [last]);
    home.remove_old_journals(Duration::from_secs(60), |_| false);
    home.remove_old_journals(Duration::ZERO, |incarnation| incarnation == "i");
    assert_eq!(home.journal_parts().count(), 2);
    home.remove_old_journals(Duration::ZERO, |_| false);
    assert_eq!(home.journal_parts().count(), 0);
}

#[test]
fn entries_that_are_not_files_are_skipped() {
    let (_dir, home) = home();
    nix::unistd::mkfifo(&home.journals().join("pipe.0.jsonl"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::create_dir(home.journals().join("folder.0.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", home.journals().join("endless.0.jsonl")).unwrap();
    fs::write(home.journals().join("words.0.jsonl"), "no JSON\n\n{}\n[1]\n").unwrap();
    assert_eq!(home.unacknowledged(|_| true), []);
    assert_eq!(home.begun_and_not_ended(), []);
}
