//! What is acknowledged, recorded and executed, broken by hand.

use super::{
    broken::{Way, breaks, forget, place},
    story::{Story, id},
};
use crate::model::{cause::Cause, time::Timestamp};

#[test]
fn accepted_tasks_are_known() {
    breaks(
        "accepted tasks are known",
        &[
            (|s| forget(s, 'h'), "t-000000000h: it was acknowledged at"),
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
                "stood for t-000000000a before",
            ),
        ],
    );
}

#[test]
fn every_task_comes_to_rest() {
    let delegated: Way = (|s| s.delegate('j', &[], None), "t-000000000j: it is ready although");
    breaks("every task comes to rest", &[delegated]);
}

#[test]
fn an_end_explains_itself() {
    breaks(
        "an end explains itself",
        &[
            (|s| s.task('h').task.cause = None, "it is failed, with no cause"),
            (|s| s.task('h').task.cause = Some(Cause::Success), "it is failed, with success"),
            (|s| s.task('d').task.reason = None, "it is held, and has no reason"),
            (|s| s.task('f').task.cause = Some(Cause::Lost), "it is cancelled, with lost"),
        ],
    );
}

#[test]
fn dead_letters_are_whole() {
    breaks(
        "dead letters are whole",
        &[
            (|s| s.task('h').task.description.clear(), "its text is gone"),
            (|s| s.history.outputs = Some(vec![(id('e'), 1), (id('h'), 1)]), "attempt 2 has no output"),
        ],
    );
}

#[test]
fn one_success() {
    /// Says of an attempt that it ended otherwise than it did, in its record and in its event.
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
                "it was tried again after attempt 1 succeeded",
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
fn attempts_are_as_told() {
    breaks(
        "attempts are as told",
        &[
            (
                |s| {
                    let place = place(s, 'a', "task.running", 0);
                    s.history.events[place].agent = Some("shell-7".into());
                },
                "attempt 1 was claimed by shell-7",
            ),
            (|s| s.task('h').attempts[0].cause = Some(Cause::RateLimited), "its record says rate_limited"),
            (
                |s| {
                    let untold = s.task('d').attempts[0].clone();
                    s.task('f').attempts.push(untold);
                },
                "0 claims are told, and 1 attempts recorded",
            ),
        ],
    );
}

#[test]
fn an_attempt_ends_once() {
    // The first attempt was given up as lost, and ends the task a second time.
    let twice: Way = (
        |s| {
            let place = place(s, 'b', "task.succeeded", 0);
            s.history.events[place].data = Some(serde_json::json!({"cause": "lost", "attempt": 1}));
        },
        "attempt 1 ended as lost by event 27-0 (task.succeeded), and had ended before",
    );
    // An earlier attempt, which nobody had ended, comes back.
    let late: Way = (
        |s| {
            let first = place(s, 'h', "task.delayed", 0);
            s.history.events[first].data = None;
            let last = place(s, 'h', "task.failed", 0);
            s.history.events[last].data = Some(serde_json::json!({"cause": "transient", "attempt": 1}));
            s.task('h').task.retries = 0;
            s.task('h').task.failures = 1;
        },
        "while attempt 2 held the lease",
    );
    breaks("an attempt ends once", &[twice, late]);
}

#[test]
fn tries_are_bounded() {
    breaks(
        "tries are bounded",
        &[
            (|s| s.task('h').task.failures = 3, "it failed 3 times (1 retries)"),
            (|s| s.task('b').task.lost = 3, "was lost 3 times (1 forgiven)"),
            (|s| s.task('h').task.retries = 5, "it was given up too early"),
            (|s| s.task('a').task.retries = 0, "it was not given up"),
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
            (|s| s.history.executions[0].agent = "shell-9".into(), "it was given to shell-1"),
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
    let at_once: Way = (
        |s| s.history.executions[0].ended_at = Some(Timestamp(s.history.executions[1].started_at.0 + 1)),
        "t-000000000a: the execution of attempt 2",
    );
    breaks("attempts do not overlap", &[at_once]);
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
