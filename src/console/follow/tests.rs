//! What is reported about tasks.

use super::*;
use crate::model::task::Spec;
use crate::model::{
    cause::Cause,
    task::{Attempt, Task, TaskResult},
    time::{Timestamp, Zone},
};
use crate::samples;

const ID: &str = "t-7k2m9qx4hz";
const CHILD: &str = "t-8k2m9qx4hz";
const VIEW: View = View {
    width: Some(80),
    colour: false,
    terminal: false,
    ascii: false,
    prompt: false,
    now: Timestamp(0),
    zone: Zone::Utc,
};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn task(id_: &str, parent: Option<&str>, state: TaskState) -> TaskDetail {
    let task = Task {
        id: id(id_),
        description: "fix the tests".into(),
        parent: parent.map(id),
        spec: Spec { role: "sonnet".into(), ..samples::task(state).spec },
        ..samples::task(state)
    };
    TaskDetail::of(task)
}

/// Adds an attempt that began; with `end`, one that ended for this reason and is tried again after that many ms.
fn attempt(detail: &mut TaskDetail, end: Option<(&str, Option<u64>)>) {
    detail.attempts.push(Attempt {
        ended_at: end.map(|_| Timestamp(2_000)),
        reason: end.map(|(reason, _)| reason.to_owned()),
        next_retry_at: end.and_then(|(_, after)| after).map(|ms| Timestamp(2_000 + ms)),
        ..samples::attempt(detail.attempts.len() as u32 + 1, "sonnet-1", Timestamp(1_000))
    });
}

fn event(kind: &str, task: &str, from: Option<&str>) -> Event {
    let to = kind.split_once('.').map(|(_, to)| to.to_owned());
    let (task, from) = (Some(task.to_owned()), from.map(str::to_owned));
    let (agent, reason) = (Some("sonnet-1".to_owned()), "its program asks for permission".to_owned());
    let kind: EventKind = kind.parse().unwrap();
    Event { id: "1-0".into(), at: Timestamp(0), kind, code: kind.into(), task, agent, from, to, reason, data: None }
}

fn following() -> Followed {
    let mut followed = Followed::default();
    assert!(followed.begin(&id(ID), 0));
    followed
}

#[test]
fn each_step_is_reported_once_and_the_last_one_has_the_answer() {
    let mut followed = following();
    assert_eq!(life::accepted(&id(ID), "sonnet", TaskState::Ready), "t-7k2m9qx4hz accepted for sonnet");
    let mut detail = task(ID, None, TaskState::Ready);
    assert_eq!(followed.report(&detail, &VIEW), None);
    detail.task.state = TaskState::Running;
    attempt(&mut detail, None);
    assert_eq!(followed.report(&detail, &VIEW).unwrap(), "t-7k2m9qx4hz running on sonnet-1");
    assert_eq!(followed.report(&detail, &VIEW), None);
    detail.attempts.clear();
    attempt(&mut detail, Some(("exit code 1", Some(2_000))));
    detail.task.state = TaskState::Delayed;
    assert_eq!(followed.report(&detail, &VIEW).unwrap(), "t-7k2m9qx4hz delayed 2.0s: exit code 1");
    detail.task.state = TaskState::Succeeded;
    attempt(&mut detail, Some(("done", None)));
    let text = "\x1b[2Jall green\n".to_owned();
    detail.result = Some(TaskResult { text, duration_ms: 4_200, ..TaskResult::default() });
    assert_eq!(
        followed.report(&detail, &VIEW).unwrap(),
        "t-7k2m9qx4hz running on sonnet-1 (attempt 2)\nt-7k2m9qx4hz succeeded in 4.2s\n  all green"
    );
    assert!(followed.is_empty());
    assert_eq!(followed.report(&detail, &VIEW), None);
}

#[test]
fn what_happened_in_one_burst_is_reported_completely() {
    let mut followed = following();
    let mut detail = task(ID, None, TaskState::Failed);
    attempt(&mut detail, Some(("exit code 1", Some(1_000))));
    attempt(&mut detail, Some(("exit code 1", None)));
    detail.task.reason = Some("exit code 1; failed 2 times".into());
    assert_eq!(
        followed.report(&detail, &VIEW).unwrap().lines().map(|l| l.replace(ID, "T")).collect::<Vec<_>>(),
        [
            "T running on sonnet-1",
            "T delayed 1.0s: exit code 1",
            "T running on sonnet-1 (attempt 2)",
            "T failed: exit code 1; failed 2 times",
            "  orch why T"
        ]
    );
}

#[test]
fn a_held_task_is_reported_once_with_what_to_type() {
    let mut followed = following();
    let mut detail = task(ID, None, TaskState::Held);
    attempt(&mut detail, Some(("claude asks to log in", None)));
    detail.task.reason = Some("claude asks to log in".into());
    let text = followed.report(&detail, &VIEW).unwrap();
    assert!(text.contains("held: claude asks to log in\n"), "{text}");
    assert!(text.contains("\n  orch why t-7k2m9qx4hz\n  orch retry t-7k2m9qx4hz\n"), "{text}");
    assert_eq!(followed.report(&detail, &VIEW), None);
    attempt(&mut detail, Some(("claude asks to log in", None)));
    assert!(followed.report(&detail, &VIEW).unwrap().contains("held"));
    detail.task.state = TaskState::Cancelled;
    (detail.task.cause, detail.task.reason) = (Some(Cause::Cancelled), Some("a person cancelled it".into()));
    assert_eq!(followed.report(&detail, &VIEW).unwrap(), "t-7k2m9qx4hz cancelled: a person cancelled it");
}

#[test]
fn subtasks_are_indented_and_short() {
    let mut followed = following();
    let mut child = task(CHILD, Some(ID), TaskState::Running);
    attempt(&mut child, None);
    assert_eq!(
        followed.report(&child, &VIEW).unwrap(),
        "  ↳ t-8k2m9qx4hz accepted for sonnet  fix the tests\n  ↳ t-8k2m9qx4hz running on sonnet-1"
    );
    child.task.state = TaskState::Succeeded;
    child.result = Some(TaskResult { text: "long".into(), duration_ms: 10, ..TaskResult::default() });
    assert_eq!(followed.report(&child, &VIEW).unwrap(), "  ↳ t-8k2m9qx4hz succeeded in 10ms");
    assert_eq!(followed.ids(), [id(ID)]);
    assert_eq!(followed.report(&task(CHILD, Some("t-9k2m9qx4hz"), TaskState::Ready), &VIEW), None, "not ours");
}

#[test]
fn only_events_about_followed_tasks_cause_a_read() {
    let followed = following();
    assert_eq!(followed.receive(&event("task.running", ID, Some("ready")), &VIEW), Reaction::Read(id(ID)));
    assert_eq!(followed.receive(&event("task.running", CHILD, Some("ready")), &VIEW), Reaction::Ignore);
    assert_eq!(
        followed.receive(&event("task.ready", CHILD, None), &VIEW),
        Reaction::Read(id(CHILD)),
        "may be a subtask"
    );
    assert_eq!(Followed::default().receive(&event("task.ready", CHILD, None), &VIEW), Reaction::Ignore);
    assert_eq!(followed.receive(&event("agent.busy", ID, Some("idle")), &VIEW), Reaction::Ignore);
    let Reaction::Needs(asks, text) = followed.receive(&event("agent.needs", CHILD, None), &VIEW) else {
        panic!("not said")
    };
    assert_eq!(asks, id(CHILD));
    assert_eq!(text, format!("sonnet-1 waits for {CHILD}: its program asks for permission\n  orch attach sonnet-1"));
    assert_eq!(followed.receive(&event("task.asks", CHILD, None), &VIEW), Reaction::Questions(id(CHILD)));
}

#[test]
fn an_open_task_from_before_is_followed_from_its_present_state() {
    let mut followed = Followed::default();
    let mut detail = task(ID, None, TaskState::Running);
    attempt(&mut detail, Some(("exit code 1", Some(1_000))));
    attempt(&mut detail, None);
    detail.task.agent = Some("sonnet-1".into());
    assert_eq!(followed.adopt(&detail, &VIEW).unwrap(), "t-7k2m9qx4hz running on sonnet-1  fix the tests");
    assert_eq!(followed.adopt(&detail, &VIEW), None);
    assert_eq!(followed.report(&detail, &VIEW), None);
    assert_eq!(followed.adopt(&task(CHILD, Some("t-9k2m9qx4hz"), TaskState::Ready), &VIEW), None);
    assert!(followed.adopt(&task(CHILD, Some(ID), TaskState::Ready), &VIEW).unwrap().starts_with("  ↳ "));
    detail.task.state = TaskState::Succeeded;
    assert!(followed.report(&detail, &VIEW).unwrap().contains("succeeded"));
}

#[test]
fn a_long_answer_is_cut_and_names_the_command_that_shows_all() {
    let mut followed = following();
    let mut detail = task(ID, None, TaskState::Succeeded);
    let text = "line\n".repeat(1_000);
    detail.result = Some(TaskResult { text, ..TaskResult::default() });
    let said = followed.report(&detail, &VIEW).unwrap();
    assert_eq!(said.lines().count(), 1 + life::RESULT_LINES + 1);
    assert!(said.ends_with("… orch result t-7k2m9qx4hz shows all"), "{said}");
}

#[test]
fn the_number_of_followed_tasks_is_bounded() {
    let mut followed = Followed::default();
    while followed.begin(&TaskId::random(), 0) {
        assert!(followed.tasks.len() <= MAX_FOLLOWED);
    }
    assert_eq!(followed.tasks.len(), MAX_FOLLOWED);
}
