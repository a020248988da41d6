//! Violations of the invariants of acknowledgements, records and executions.

use super::{
    broken::{Way, breaks, index, remove_task},
    story::{Story, id},
};
use crate::model::{cause::Cause, time::Timestamp};

#[test]
fn accepted_tasks_are_known() {
    breaks(
        "accepted tasks are known",
        &[
            (|s| remove_task(s, 'h'), "t-000000000h: it was acknowledged at"),
            (
                |s| {
                    let twice = s.task('h').clone();
                    s.history.tasks.push(twice);
                },
                "the store shows it 2 times",
            ),
        ],
    );
}

#[test]
fn one_occurrence_one_decision() {
    fn decide(s: &mut Story, at: u64, run: Option<&str>, reason: &str) {
        let data = serde_json::json!({"schedule": "a", "at": at, "to": at, "run": run, "reason": reason});
        s.event("schedule.run", None, None, "a schedule").data = Some(data);
    }
    breaks(
        "one occurrence, one decision",
        &[
            (
                |s| {
                    decide(s, 1, Some("t-000000000x"), "it runs");
                    decide(s, 1, None, "skipped");
                },
                "a: its occurrence 1 was decided twice",
            ),
            (
                |s| {
                    decide(s, 1, Some("t-000000000x"), "it runs");
                    decide(s, 2, Some("t-000000000x"), "it runs");
                },
                "its run t-000000000x stands for another occurrence",
            ),
            (|s| decide(s, 1, None, ""), "was decided without a reason"),
        ],
    );
}

#[test]
fn one_key_one_task() {
    breaks(
        "one key, one task",
        &[
            (|s| s.history.acknowledged[1].key = Some("key of a".into()), "t-000000000b: its key 'key of a'"),
            (
                |s| {
                    s.history.acknowledged[1].key = None;
                    s.task('b').task.key = Some("key of a".into());
                },
                "belonged to t-000000000a before",
            ),
        ],
    );
}

#[test]
fn every_task_ends_or_waits_for_a_person() {
    let delegated: Way = (|s| s.delegate('j', &[], None), "t-000000000j: it is ready although");
    breaks("every task ends or waits for a person", &[delegated]);
}

#[test]
fn every_end_has_a_cause_and_a_reason() {
    breaks(
        "every end has a cause and a reason",
        &[
            (|s| s.task('h').task.cause = None, "it is failed, with no cause"),
            (|s| s.task('h').task.cause = Some(Cause::Success), "it is failed, with success"),
            (|s| s.task('d').task.reason = None, "it is held, and has no reason"),
            (|s| s.task('f').task.cause = Some(Cause::Lost), "it is cancelled, with lost"),
        ],
    );
}

#[test]
fn dead_letters_are_complete() {
    breaks(
        "dead letters are complete",
        &[
            (|s| s.task('h').task.description.clear(), "its text is gone"),
            (|s| s.history.outputs = Some(vec![(id('e'), 1), (id('h'), 1)]), "attempt 2 has no output"),
        ],
    );
}

#[test]
fn one_success() {
    /// Changes the cause of an attempt, in its record and in its event.
    fn ended(s: &mut Story, letter: char, number: usize, cause: Cause) {
        s.task(letter).attempts[number - 1].cause = Some(cause);
        let about = |e: &&mut crate::model::event::Event| {
            let attempt = e.data.as_ref().and_then(|d| d["attempt"].as_u64());
            e.task.as_deref() == Some(id(letter).as_str()) && attempt == Some(number as u64)
        };
        let event = s.history.events.iter_mut().find(about).unwrap();
        event.data = Some(serde_json::json!({"cause": cause, "attempt": number}));
    }
    breaks(
        "one success",
        &[
            (|s| ended(s, 'a', 1, Cause::Success), "attempts 1 and 2 both succeeded"),
            (|s| ended(s, 'e', 1, Cause::Success), "attempt 1 succeeded, and the task is failed"),
            (
                |s| {
                    ended(s, 'b', 1, Cause::Success);
                    ended(s, 'b', 2, Cause::Lost);
                },
                "it was retried after attempt 1 succeeded",
            ),
            (
                |s| {
                    ended(s, 'b', 2, Cause::RateLimited);
                    s.history.executions.retain(|e| e.task != id('b'));
                },
                "none of its attempts has",
            ),
        ],
    );
}

#[test]
fn fences_grow() {
    breaks(
        "fences grow",
        &[
            (
                |s| {
                    s.task('a').attempts[1].fence = 1;
                    s.history.executions[1].fence = None;
                },
                "attempt 2 got fence 1 after attempt 1 of t-000000000a had got 1",
            ),
            (
                |s| {
                    s.task('b').attempts[0].fence = 99;
                    s.history.executions[2].fence = None;
                },
                "after attempt 1 of t-000000000b had got 99",
            ),
        ],
    );
}

#[test]
fn attempts_match_their_events() {
    breaks(
        "attempts match their events",
        &[
            (
                |s| {
                    let index = index(s, 'a', "task.running", 0);
                    s.history.events[index].agent = Some("shell-7".into());
                },
                "attempt 1 was claimed by shell-7",
            ),
            (|s| s.task('h').attempts[0].cause = Some(Cause::RateLimited), "its record says rate_limited"),
            (
                |s| {
                    let unclaimed = s.task('d').attempts[0].clone();
                    s.task('f').attempts.push(unclaimed);
                },
                "0 events record a claim, and 1 attempts are recorded",
            ),
        ],
    );
}

#[test]
fn an_attempt_ends_once() {
    // The first attempt was lost, and ends the task a second time.
    let twice: Way = (
        |s| {
            let index = index(s, 'b', "task.succeeded", 0);
            s.history.events[index].data = Some(serde_json::json!({"cause": "lost", "attempt": 1}));
        },
        "attempt 1 ended as lost by event 27-0 (task.succeeded), and had ended before",
    );
    // An earlier attempt without a recorded end reports one.
    let late: Way = (
        |s| {
            let first = index(s, 'h', "task.delayed", 0);
            s.history.events[first].data = None;
            let last = index(s, 'h', "task.failed", 0);
            s.history.events[last].data = Some(serde_json::json!({"cause": "transient", "attempt": 1}));
            s.task('h').task.retries = 0;
            s.task('h').task.failures = 1;
        },
        "while attempt 2 held the lease",
    );
    breaks("an attempt ends once", &[twice, late]);
}

#[test]
fn attempts_are_bounded() {
    breaks(
        "attempts are bounded",
        &[
            (|s| s.task('h').task.failures = 3, "it failed 3 times (1 retries)"),
            (|s| s.task('b').task.lost = 3, "was lost 3 times (1 permitted)"),
            (|s| s.task('h').task.retries = 5, "it failed too early"),
            (|s| s.task('a').task.retries = 0, "it did not fail"),
        ],
    );
}

#[test]
fn programs_run_for_attempts() {
    breaks(
        "programs run for attempts",
        &[
            (
                |s| {
                    let mut more = s.history.executions[0].clone();
                    (more.task, more.fence) = (id('f'), None);
                    s.history.executions.push(more);
                },
                "no such attempt is recorded",
            ),
            (|s| s.history.executions[0].agent = "shell-9".into(), "it belongs to shell-1"),
            (|s| s.history.executions[0].fence = Some(77), "another fence than 1"),
        ],
    );
}

#[test]
fn an_attempt_runs_once() {
    let twice: Way = (
        |s| {
            let again = s.history.executions[0].clone();
            s.history.executions.push(again);
        },
        "came after the execution of attempt 1",
    );
    breaks("an attempt runs once", &[twice]);
}

#[test]
fn attempts_do_not_overlap() {
    let overlap: Way = (
        |s| s.history.executions[0].ended_at = Some(Timestamp(s.history.executions[1].started_at.0 + 1)),
        "t-000000000a: the execution of attempt 2",
    );
    breaks("attempts do not overlap", &[overlap]);
}

#[test]
fn results_are_kept() {
    breaks(
        "results are kept",
        &[
            (|s| s.history.executions[0].exit_code = Some(0), "succeeded, and was recorded as transient"),
            (|s| s.task('a').result = None, "it has succeeded, and has no result"),
            (|s| s.history.executions[1].text = Some("something else".into()), "gave 'something else'"),
            (|s| drop(s.history.executions.remove(1)), "attempt 2 succeeded, and was not executed"),
        ],
    );
}
