//! Violations of the invariants of order.

use super::{
    broken::{Way, breaks, index},
    story::{Story, id},
};
use crate::{
    drill::history::LivingAgent,
    model::{agent::AgentState, cause::Cause, task::TaskState, time::Timestamp},
};

#[test]
fn dependencies_come_first() {
    let early: Way = (
        |s| {
            // Moves all events of `b` before the success of `a`.
            let success = index(s, 'a', "task.succeeded", 0);
            let event = s.history.events.remove(success);
            s.history.events.push(event);
        },
        "t-000000000b: it was claimed by event",
    );
    breaks("dependencies come first", &[early]);
}

#[test]
fn locks_exclude_each_other() {
    // `j` runs with what both lock, `k` is claimed meanwhile.
    fn both(s: &mut Story, reads: Option<&str>, other: &str) {
        s.supervisor(12, 50);
        for (letter, agent) in [('j', "shell-1"), ('k', "shell-2")] {
            s.spawn(agent);
            s.delegate(letter, &[], None);
        }
        s.locks('j', "src/*.rs", reads);
        s.locks('k', other, None);
        s.claim('j', "shell-1");
        s.claim('k', "shell-2");
        s.history.unsettled = true;
    }
    let mut apart = super::good();
    both(&mut apart, None, "docs");
    assert_eq!(super::check(&apart.history), []);
    breaks(
        "locks exclude each other",
        &[
            (|s| both(s, None, "src/a.rs"), "t-000000000k: it was claimed by event"),
            (|s| both(s, Some("docs"), "."), "while t-000000000j ran, which excludes it"),
        ],
    );
    let parked: Way = (
        |s| {
            s.event("task.parked", Some('a'), None, "waits for the lock of src");
        },
        "and it declares none",
    );
    breaks("only what locks waits for a lock", &[parked]);
}

#[test]
fn nothing_stays_blocked() {
    breaks(
        "nothing stays blocked",
        &[
            (
                |s| {
                    // `j` is not cancelled together with its dependency `k`.
                    s.delegate('k', &[], None);
                    s.delegate('j', &['k'], None);
                    s.cancel('k');
                    s.make_ready('j', "a mistake");
                    s.cancel('j');
                },
                "left it blocked, and did not cancel it",
            ),
            (
                // Its dependency had already ended when it was delegated.
                |s| s.delegate('j', &['a'], None),
                "it is blocked, and nothing that it waits for is open",
            ),
        ],
    );
}

#[test]
fn plans_keep_their_bound() {
    // Two tasks of a plan of which one may run.
    fn plan(s: &mut Story) {
        s.supervisor(12, 50);
        s.spawn("shell-1");
        s.spawn("shell-2");
        for letter in ['j', 'k'] {
            s.delegate(letter, &[], None);
            let spec = &mut s.task(letter).task.spec;
            (spec.plan, spec.max_parallel) = (Some("p-0000000001".parse().unwrap()), Some(1));
        }
        s.claim('j', "shell-1");
    }
    breaks(
        "plans keep their bound",
        &[(
            |s| {
                plan(s);
                s.claim('k', "shell-2");
                s.finish('j', Cause::Success);
                s.finish('k', Cause::Success);
            },
            "2 of its tasks ran after event",
        )],
    );
}

#[test]
fn subtasks_end_with_their_parent() {
    // A running parent, and its subtask.
    fn family(s: &mut Story) {
        s.supervisor(12, 50);
        s.spawn("shell-1");
        s.spawn("shell-2");
        s.delegate('j', &[], None);
        s.claim('j', "shell-1");
        s.delegate('k', &[], Some('j'));
    }
    let ready: Way = (
        |s| {
            family(s);
            s.finish('j', Cause::Permanent);
            s.claim('k', "shell-2");
            s.finish('k', Cause::Success);
        },
        "ended its parent t-000000000j, and it became running",
    );
    let running: Way = (
        |s| {
            family(s);
            s.claim('k', "shell-2");
            s.finish('j', Cause::Permanent);
            s.finish('k', Cause::NeedsPerson);
        },
        "ended its parent t-000000000j, and it became held",
    );
    breaks("subtasks end with their parent", &[ready, running]);
}

#[test]
fn tasks_follow_the_transition_table() {
    breaks(
        "tasks follow the transition table",
        &[
            (
                |s| {
                    let index = index(s, 'a', "task.ready", 1);
                    s.history.events.remove(index);
                },
                "goes from ready to running, after delayed",
            ),
            (
                |s| {
                    let first = index(s, 'h', "task.ready", 0);
                    s.history.events[first].from = Some("succeeded".into());
                },
                "goes from succeeded to ready, after nothing",
            ),
            (
                |s| {
                    let first = index(s, 'h', "task.ready", 0);
                    s.history.events.remove(first);
                },
                "goes from ready to running, after nothing",
            ),
        ],
    );
}

#[test]
fn agents_follow_the_transition_table() {
    breaks(
        "agents follow the transition table",
        &[
            (
                |s| {
                    let second = s.history.events.iter().rposition(|e| e.kind.as_str() == "agent.starting").unwrap();
                    s.history.events.remove(second);
                },
                "goes from starting to idle, after nothing",
            ),
            (
                |s| {
                    // It is started again while it is alive.
                    let end = s.history.events.iter().position(|e| e.kind.as_str() == "agent.failed").unwrap();
                    s.history.events.remove(end);
                },
                "goes from failed to starting, after busy",
            ),
        ],
    );
}

#[test]
fn the_last_event_matches_the_state() {
    breaks(
        "the last event matches the state",
        &[
            (
                |s| {
                    let task = &mut s.task('f').task;
                    (task.state, task.cause) = (TaskState::Failed, Some(Cause::Permanent));
                },
                "its last event says cancelled, its record failed",
            ),
            (
                |s| {
                    // Its acceptance was not acknowledged.
                    s.history.acknowledged.retain(|a| a.id != id('f'));
                    s.history.tasks.retain(|t| t.task.id != id('f'));
                },
                "its last event says cancelled, its record nothing",
            ),
            (
                |s| {
                    let agents = s.history.agents.get_or_insert_default();
                    let (id, state) = ("shell-1".to_owned(), AgentState::Idle);
                    agents.push(LivingAgent { id, state });
                },
                "shell-1: its last event says nothing, its record idle",
            ),
        ],
    );
}

#[test]
fn every_event_has_a_reason() {
    let silent: Way = (|s| s.history.events[3].reason = " ".into(), "it has no reason");
    breaks("every event has a reason", &[silent]);
}

#[test]
fn one_supervisor() {
    let two: Way = (
        |s| s.history.supervisors[0].until = Timestamp(s.history.supervisors[1].from.0 + 1),
        "supervisor 11: it ran at",
    );
    breaks("one supervisor", &[two]);
}

#[test]
fn a_clean_stop_is_complete() {
    breaks(
        "a clean stop is complete",
        &[
            (
                |s| {
                    s.history
                        .events
                        .retain(|e| e.agent.as_deref() != Some("shell-2") || e.kind.as_str() != "agent.stopped");
                    let state = AgentState::Stopping;
                    let id = "shell-2".to_owned();
                    s.history.agents = Some(vec![LivingAgent { id, state }]);
                },
                "shell-2: it was stopping at event",
            ),
            (
                |s| {
                    s.spawn("shell-1");
                    s.move_agent("shell-1", Some(AgentState::Idle), AgentState::Failed);
                },
                "(agent.starting) came after event",
            ),
        ],
    );
}
