mod broken;
mod broken_order;
mod broken_records;
mod story;

use self::story::{Story, id};
use super::{INVARIANTS, LOST_DATA, check};
use crate::model::{agent::AgentState, cause::Cause};

/// Returns a history without violations that contains retries, losses, a late finish, dependencies, cancellations, a
/// hierarchy, two supervisors, and a clean stop.
///
/// - `a` fails once, and succeeds; `b` waits for it, is lost once, and succeeds.
/// - `c` is lost too often, and is a dead letter; `d`, which waits for it, is cancelled with it. A person retries both;
///   `c` succeeds, and `d` is held.
/// - `e` fails permanently, and with it its subtasks `f`, which was ready, and `g`, which was running.
/// - `h` fails twice, and is a dead letter.
/// - `m` fails with its subtask `n`; a person retries `n`, which is held, and removes the dead letter `m`.
fn good() -> Story {
    let mut s = Story::default();
    s.supervisor(10, 12);
    s.spawn("shell-1");
    s.delegate('a', &[], None);
    s.delegate('b', &['a'], None);
    s.claim('a', "shell-1");
    s.finish('a', Cause::Transient);
    s.make_ready('a', "its delay is over");
    s.claim('a', "shell-1");
    s.supervisor(11, 30);
    s.finish('a', Cause::Success);
    s.make_ready('b', "what it waited for has succeeded");
    s.claim('b', "shell-1");
    s.crash('b', "shell-1");
    s.make_ready('b', "its delay is over");
    s.spawn("shell-1");
    s.claim('b', "shell-1");
    s.event("task.stale", Some('b'), Some("shell-1"), "a late success with fence 3 was refused");
    s.finish('b', Cause::Success);

    s.delegate('c', &[], None);
    s.delegate('d', &['c'], None);
    for _ in 0..2 {
        s.claim('c', "shell-1");
        s.crash('c', "shell-1");
        if s.task('c').task.lost == 1 {
            s.make_ready('c', "its delay is over");
        }
        s.spawn("shell-1");
    }
    s.cancel('d');
    s.retry('c');
    s.claim('c', "shell-1");
    s.finish('c', Cause::Success);
    s.retry('d');
    s.claim('d', "shell-1");
    s.finish('d', Cause::NeedsPerson);

    s.spawn("shell-2");
    s.delegate('e', &[], None);
    s.locks('e', "src", None);
    s.claim('e', "shell-1");
    s.delegate('f', &[], Some('e'));
    s.delegate('g', &[], Some('e'));
    s.locks('g', "src/g.rs", None);
    s.claim('g', "shell-2");
    s.finish('e', Cause::Permanent);
    s.cancel('f');
    s.event("task.cancelling", Some('g'), Some("shell-2"), "its parent ended as failed").to = Some("running".into());
    s.finish('g', Cause::Cancelled);

    s.delegate('h', &[], None);
    s.claim('h', "shell-1");
    s.finish('h', Cause::Transient);
    s.make_ready('h', "its delay is over");
    s.claim('h', "shell-2");
    s.finish('h', Cause::Timeout);

    s.delegate('m', &[], None);
    s.claim('m', "shell-1");
    s.delegate('n', &[], Some('m'));
    s.finish('m', Cause::Permanent);
    s.cancel('n');
    s.retry('n');
    s.claim('n', "shell-1");
    s.finish('n', Cause::NeedsPerson);
    s.cancel('m');
    for agent in ["shell-1", "shell-2"] {
        s.move_agent(agent, Some(AgentState::Idle), AgentState::Stopping);
        s.move_agent(agent, Some(AgentState::Stopping), AgentState::Stopped);
    }
    s.event("supervisor.stopped", None, None, "everything has ended in order");
    s
}

#[test]
fn a_good_history_has_no_violations() {
    assert_eq!(check(&good().history), []);
}

#[test]
fn an_unsettled_history_may_have_open_tasks_and_live_agents() {
    let mut s = good();
    s.supervisor(12, 5);
    s.spawn("shell-3");
    s.delegate('j', &[], None);
    s.delegate('k', &['j'], None);
    s.claim('j', "shell-3");
    assert_eq!(broken::names(&s), ["every task ends or waits for a person"]);
    s.history.unsettled = true;
    assert_eq!(check(&s.history), []);
}

/// Wherever the stream is cut, the rest violates no invariant.
#[test]
fn a_trimmed_history_is_checked_by_its_remaining_events() {
    let whole = good();
    for cut in 0..whole.history.events.len() {
        let mut history = whole.history.clone();
        history.events.drain(..cut);
        history.trimmed = true;
        assert_eq!(check(&history), [], "without the first {cut} events");
    }
}

/// A Redis that lost its newest writes: records and events both lack everything that happened last.
#[test]
fn a_loss_of_data_suspends_only_the_affected_invariants() {
    let mut s = good();
    s.history.tasks.retain(|t| t.task.id != id('h'));
    s.history.events.retain(|e| e.task.as_deref() != Some(id('h').as_str()));
    let lost = broken::names(&s);
    assert!(lost.contains(&"accepted tasks are known") && lost.contains(&"programs run for attempts"), "{lost:?}");
    s.event(LOST_DATA.as_str(), None, None, "Redis came back with less than it had acknowledged");
    assert_eq!(check(&s.history), []);
    // An agent's first lease after the loss has the fence of an earlier lease.
    let mut again = s.history.executions[0].clone();
    (again.task, again.attempt) = (id('j'), 1);
    s.history.executions.push(again);
    assert_eq!(broken::names(&s), ["fences grow"]);
}

#[test]
fn a_history_survives_serialization() {
    let history = good().history;
    let text = serde_json::to_string(&history).unwrap();
    assert_eq!(serde_json::from_str::<super::History>(&text).unwrap(), history);
}

#[test]
fn every_invariant_has_a_unique_name_and_a_sentence() {
    let names: std::collections::BTreeSet<_> = INVARIANTS.iter().map(|i| i.name).collect();
    assert_eq!(names.len(), INVARIANTS.len());
    assert!(INVARIANTS.iter().all(|i| i.promise.len() > i.name.len()));
    let broken = concat!(include_str!("broken_records.rs"), include_str!("broken_order.rs"));
    for name in names {
        assert!(broken.contains(&format!("breaks(\"{name}\"")) || broken.contains(&format!("\"{name}\",\n")), "{name}");
    }
}
