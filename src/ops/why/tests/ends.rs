//! How ends are told: in number, once, and each as what it is.

use super::*;
use crate::model::evidence::{Observer, Rule};
use crate::model::task::Spec;

#[test]
fn one_of_anything_is_one() {
    let config = configured();
    let said = |cause| {
        let facts = about(Task {
            cause: Some(cause),
            failures: 2,
            lost: 1,
            spec: Spec { retries: 1, lost_max: 1, delays_ms: Default::default(), ..recorded(TaskState::Failed).spec },
            ..recorded(TaskState::Failed)
        });
        task::explain(&around(&config), &facts).sentences.join("\n")
    };
    assert!(said(Cause::Transient).contains("Its one retry is used."), "{}", said(Cause::Transient));
    assert!(said(Cause::Lost).contains("It was lost 1 time, and 1 is forgiven:"), "{}", said(Cause::Lost));
}

#[test]
fn what_a_held_task_waits_for_is_said_once_and_nobody_is_sent_where_nothing_is() {
    let config = configured();
    let mut facts = about(Task { reason: Some("claude asks to log in".into()), ..recorded(TaskState::Held) });
    facts.detail.attempts = vec![tried(1, Some(Cause::NeedsPerson), "claude asks to log in")];
    let mut around = around(&config);
    around.snapshot.agents = vec![recorded_agent("shell-1", AgentState::Idle)];
    let out = task::explain(&around, &facts);
    assert_eq!(
        out.sentences,
        [
            "It waits for a person: claude asks to log in.",
            "Attempt 1 (shell-1, 12s) ended as needs_person.",
            "Retry it once that is resolved.",
        ]
    );
    let id = &facts.detail.task.id;
    assert_eq!(out.hints, [format!("orch logs --task {id}"), format!("orch retry {id}"), format!("orch cancel {id}")]);
}

#[test]
fn evidence_says_which_attempt_it_is_of() {
    let config = configured();
    let mut facts = about(recorded(TaskState::Failed));
    let evidence = Some(Box::new(Evidence::of(Rule::Lease, Observer::Supervisor, "shell-1")));
    facts.detail.attempts = vec![
        Attempt { evidence: evidence.clone(), ..tried(1, Some(Cause::Lost), "hung") },
        tried(2, Some(Cause::Transient), "exit code 1"),
    ];
    let out = task::explain(&around(&config), &facts);
    assert_eq!((out.evidence_attempt, out.evidence), (Some(1), evidence));
}
