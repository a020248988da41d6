//! What comes line by line.

use std::borrow::Cow;

use super::*;
use crate::{
    model::{
        event::Event,
        event::EventKind,
        task::{TaskDetail, TaskResult},
    },
    ops::types::{Changed, LogLine, Stopped},
};

#[test]
fn a_log_line_names_its_agent_and_marks_standard_error() {
    let line = |stream, text: &str| LogLine {
        at: ago(3),
        agent: "sonnet-1".into(),
        task: id(1),
        attempt: 1,
        stream: Cow::Borrowed(stream),
        text: text.into(),
    };
    let shown = |stream, text| log::line(&line(stream, text), &view(Some(40)));
    assert_eq!(shown("stdout", "building"), "07:42:21 sonnet-1| building\n");
    assert_eq!(shown("stderr", "oh \x1b[31mno"), "07:42:21 sonnet-1! oh no\n");
    let long = "x".repeat(200);
    assert!(shown("stdout", &long).contains(&long), "a log is not cut");
}

#[test]
fn events_stand_under_each_other_and_keep_their_reasons() {
    let event = Event {
        id: "1-0".into(),
        at: ago(5),
        kind: EventKind::TaskFailed,
        code: EventKind::TaskFailed.into(),
        task: Some(id(1).to_string()),
        agent: Some("sonnet-1".into()),
        from: Some("running".into()),
        to: Some("failed".into()),
        reason: "exit code 1: no network; failed\n4 times".into(),
        data: None,
    };
    let idle = Event { kind: EventKind::AgentIdle, reason: "t-0000000001 ended as failed".into(), ..event.clone() };
    let drained = Event {
        kind: EventKind::SupervisorStopping,
        task: None,
        agent: None,
        reason: "a person".into(),
        ..event.clone()
    };
    let shown = |width| [&event, &idle, &drained].map(|e| event::event(e, &view(width))).concat();
    same(
        &shown(Some(80)),
        "
07:42:19 task.failed     t-0000000001  exit code 1: no network; failed 4 times
                                       (sonnet-1)
07:42:19 agent.idle      sonnet-1      t-0000000001 ended as failed
07:42:19 supervisor.stopping           a person
",
    );
    same(
        &shown(Some(40)),
        "
07:42:19 task.failed t-0000000001 exit
    code 1: no network; failed 4 times
    (sonnet-1)
07:42:19 agent.idle sonnet-1
    t-0000000001 ended as failed
07:42:19 supervisor.stopping a person
",
    );
    assert_eq!(shown(None).lines().count(), 3, "one line each where nobody looks");
}

#[test]
fn an_end_says_how_and_what() {
    let mut task = a_task(1, TaskState::Succeeded, "text");
    task.ended_at = Some(Timestamp(task.created_at.0 + 3_200));
    let result = TaskResult { text: "the answer\nin two lines".into(), ..TaskResult::default() };
    let mut detail = TaskDetail { result: Some(result), ..TaskDetail::of(task) };
    assert_eq!(task::life::end_in_one_line(&detail, &view(Some(80))), "t-0000000001 succeeded in 3.2s: the answer…\n");
    detail.task.state = TaskState::Failed;
    detail.task.reason = Some("exit code 65".into());
    assert_eq!(task::life::end_in_one_line(&detail, &view(Some(80))), "t-0000000001 failed in 3.2s: exit code 65\n");
    assert_eq!(task::life::end_in_one_line(&detail, &view(Some(30))), "t-0000000001 failed in 3.2s\n");
}

#[test]
fn changes_are_described() {
    let change = |from, state, changed| Changed { id: id(1), from, state, changed, others: Vec::new() };
    let cancelled = |from, state, changed| task::cancelled(&change(from, state, changed), &view(None));
    use TaskState::*;
    assert_eq!(cancelled(Ready, Cancelled, true), "t-0000000001: cancelled (was ready)\n");
    assert_eq!(cancelled(Running, Running, true), "t-0000000001: its agent was asked to stop it\n");
    assert_eq!(cancelled(Running, Running, false), "t-0000000001: is being cancelled already\n");
    assert_eq!(cancelled(Succeeded, Succeeded, false), "t-0000000001: succeeded already, nothing to do\n");
    let retried = task::retried(&change(Failed, Ready, true), &view(None));
    assert_eq!(retried, "t-0000000001: ready again (was failed)\n");
}

#[test]
fn a_stop_says_what_is_kept() {
    let said = |open_tasks| lifecycle::stopped(&Stopped { stopped: true, open_tasks, ..Stopped::default() });
    assert_eq!(said(None), "stopped; nothing is left running\n");
    assert_eq!(said(Some(0)), "stopped; nothing is left running\n");
    assert!(said(Some(1)).ends_with("\n1 task has not ended; it is kept for the next orch start\n"));
    assert!(said(Some(7)).contains("7 tasks"));
}

#[test]
fn a_question_keeps_its_lines_and_none_of_them_looks_like_ours() {
    let asked = "May it?\n  | if x; then\n  |     rm   -rf build\n\nneeds you:\u{1b}[2J";
    assert_eq!(
        text::verbatim("  ", &text::safe(asked), None),
        "  May it?\n    | if x; then\n    |     rm   -rf build\n\n  needs you:\n"
    );
    let narrow = text::verbatim("  ", "0123456789abc\nx", Some(10));
    assert_eq!(narrow, "  01234567\n  89abc\n  x\n");
    let asked = "Should the reconciliation job delete the rows?\n    let x = 1;";
    let narrow = text::verbatim("  ", asked, Some(24));
    assert_eq!(narrow, "  Should the\n  reconciliation job\n  delete the rows?\n      let x = 1;\n");
    assert_eq!(text::verbatim("question 1  ", "", None), "question 1\n");
}
