//! Every state that two tasks and two agents can come to, and every step that anybody can take there: tried on the real
//! transitions, on a real server.
//!
//! A search goes breadth first over what decides about the future ([`state::State`]); at each node it takes every step
//! ([`steps`]), those of the late and the mistaken included, and looks at all that is stored before and after
//! ([`laws`]). Nothing is drawn at random and nothing is left out, within the bounds of a [`Scenario`]: the number of
//! retries, and which requests there are. Ended attempts and fences are not bounded: they do not decide about the future.
//! Time does not pass by itself: that a delay is over is a step, and so is the end of a lease (its agent is given up).
//! Who is late acts on the leases and incarnations of the way on which a state was first reached.
//!
//! From every state work alone must lead to an end, or to where a person is needed. And the search must be able to
//! fail: it finds each of a list of mistakes that somebody might make in a transition.
//!
//! What a Redis does that lost data is not searched.

mod laws;
mod machine;
mod search;
mod state;
mod steps;

use orch::model::edge::{Edge, OnFailure, When};

use self::{machine::Mistake, search::search};

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    shape: Shape,
    retries: u32,
    lost: u32,
    /// Field and value, each of which may stand or not.
    requests: &'static [(&'static str, &'static str)],
    /// How many tasks may run at once, if that is bounded.
    places: Option<u32>,
    /// Whether running tasks wait for others, which frees their places.
    waits: bool,
    /// Whether attempts end at the rate limit of their account, which holds the role back.
    limited: bool,
    /// Whether programs ask persons, who answer.
    asks: bool,
    /// Whether a person has to approve the second task.
    approval: bool,
    /// Whether a person accepts the result of the first task.
    acceptance: bool,
    /// Whether both tasks write the same, which a person may lock as well.
    locks: bool,
    /// Whether markers are taken, and who has taken one, is part of the state.
    markers: bool,
}

/// What the second task is to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It waits for it.
    Dependency,
    /// It is delegated from within it.
    Subtask,
    /// Both are the tasks of one plan.
    Plan {
        /// How the second comes after the first, if it does.
        edge: Option<Edge>,
        /// How many of them may run at once.
        slots: Option<u32>,
    },
    /// Nothing.
    Apart,
}

/// Two tasks, nothing is forgiven, and nobody requests anything.
const PLAIN: Scenario = Scenario {
    shape: Shape::Dependency,
    retries: 0,
    lost: 0,
    requests: &[],
    places: None,
    waits: false,
    limited: false,
    asks: false,
    approval: false,
    acceptance: false,
    locks: false,
    markers: false,
};
const STOP: (&str, &str) = ("stop", "now");

/// Searches, and says how much.
fn nothing_breaks(name: &str, scenario: &Scenario) {
    let began = std::time::Instant::now();
    let searched = search(scenario, None).unwrap_or_else(|broken| panic!("{name}:\n  {broken}"));
    println!("{name}: {} states, {} steps in {:?}", searched.states, searched.steps, began.elapsed());
}

#[test]
fn a_dependency_with_retries() {
    nothing_breaks("a dependency with retries", &Scenario { retries: 1, lost: 1, ..PLAIN });
}

#[test]
fn a_dependency_while_everything_is_stopped() {
    nothing_breaks("a dependency while everything is stopped", &Scenario { requests: &[STOP], ..PLAIN });
}

#[test]
fn a_subtask() {
    nothing_breaks("a subtask", &Scenario { shape: Shape::Subtask, ..PLAIN });
}

/// Two tasks of a plan, the second after the first.
fn in_a_plan(when: When, on_failure: OnFailure) -> Scenario {
    Scenario { shape: Shape::Plan { edge: Some(Edge { when, on_failure }), slots: None }, ..PLAIN }
}

#[test]
fn a_plan_that_fails_with_its_task() {
    nothing_breaks("a plan", &in_a_plan(When::Succeeded, OnFailure::Fail));
}

#[test]
fn a_plan_that_skips_a_task() {
    nothing_breaks("a plan that skips", &in_a_plan(When::Succeeded, OnFailure::Skip));
}

#[test]
fn a_plan_that_makes_up_for_a_failure() {
    nothing_breaks("a plan that makes up for a failure", &in_a_plan(When::Failed, OnFailure::Fail));
}

#[test]
fn the_tasks_of_a_plan_with_one_slot() {
    let shape = Shape::Plan { edge: None, slots: Some(1) };
    nothing_breaks("a plan with one slot", &Scenario { shape, ..PLAIN });
}

#[test]
fn nobody_sleeps_over_a_ready_task() {
    nothing_breaks("markers", &Scenario { markers: true, ..PLAIN });
}

#[test]
fn a_role_whose_suspension_ends_is_released() {
    nothing_breaks("a rate limit", &Scenario { limited: true, markers: true, ..PLAIN });
}

#[test]
fn a_question_is_answered_or_closed() {
    nothing_breaks("questions", &Scenario { asks: true, ..PLAIN });
}

#[test]
fn what_a_person_has_to_approve_does_not_run_before() {
    nothing_breaks("an approval before a dependency", &Scenario { approval: true, ..PLAIN });
    nothing_breaks("an approval of a subtask", &Scenario { approval: true, shape: Shape::Subtask, ..PLAIN });
}

#[test]
fn what_a_person_has_to_accept_counts_when_it_is_accepted() {
    nothing_breaks("an acceptance before a dependency", &Scenario { acceptance: true, ..PLAIN });
}

/// Two tasks of which only one may run at a time.
const LOCKS: Scenario = Scenario { shape: Shape::Apart, locks: true, ..PLAIN };

#[test]
fn tasks_that_write_the_same_never_run_together_and_each_gets_its_turn() {
    nothing_breaks("locks", &LOCKS);
}

#[test]
fn a_subtask_writes_what_the_task_above_it_has_locked() {
    nothing_breaks("locks of a subtask", &Scenario { shape: Shape::Subtask, ..LOCKS });
}

/// Wider bounds, for minutes: `ORCH_TEST_DEEP=1 cargo test --release --test store exhaustive -- --nocapture`.
#[test]
fn deep() {
    if std::env::var_os("ORCH_TEST_DEEP").is_none() {
        return;
    }
    let requests = &[STOP, ("stop", "drain"), ("drain", "1"), ("pause", "1")];
    nothing_breaks("requests", &Scenario { retries: 1, lost: 1, requests, ..PLAIN });
    nothing_breaks("markers", &Scenario { retries: 1, requests: &[STOP], markers: true, ..PLAIN });
    let family = Scenario { shape: Shape::Subtask, retries: 1, lost: 1, ..PLAIN };
    nothing_breaks("a subtask with retries", &family);
    nothing_breaks("one place", &Scenario { places: Some(1), waits: true, ..family });
    nothing_breaks("markers of a subtask", &Scenario { lost: 0, markers: true, ..family });
    nothing_breaks("locks of what is lost", &Scenario { lost: 1, ..LOCKS });
    nothing_breaks("locks with retries", &Scenario { retries: 1, lost: 1, requests: &[STOP], ..LOCKS });
    nothing_breaks("locks of one that waits", &Scenario { waits: true, locks: true, ..family });
    nothing_breaks("an acceptance of a family", &Scenario { acceptance: true, asks: true, ..family });
}

/// Mistakes that somebody might make in a transition, and by what the search finds each.
const MISTAKES: &[(Mistake, &str)] = &[
    (("redis.call('SREM', P .. 'running:' .. role, id)", ""), "and stands in running:shell"),
    (("if redis.call('ZREM', queue, id) == 0 then", "if false then"), "stands in queue:shell:normal:-"),
    (("append(drop, 'slot_at', 'agent',", "append(drop, 'agent',"), "and has a slot_at"),
    (("if from == 'idle' then redis.call('SREM'", "if false then redis.call('SREM'"), "stands in {\"idle:shell\"}"),
    (("or f[4] ~= fence then", "then"), "somebody who is late has changed something"),
    (("if known[1] then", "if false then"), "it was answered with"),
    (("('INCR', P .. 'fence')", "('INCRBY', P .. 'fence', 0)"), "1 leases were given"),
    (("if f[1] == 'blocked' and not f[6] or f[1] == 'held' and f[3] then", "if false then"), "it is blocked, and"),
    (
        ("if f[1] == 'blocked' and not f[6] or f[1] == 'held' and f[3] then", "if f[1] == 'blocked' then"),
        "it is held, and waits for",
    ),
    (("redis.call('HINCRBY', record, 'n:' .. from, -1)", "tostring(record)"), "tasks, and has"),
    (("n:running')) >= want[3]", "n:running')) > want[3]"), "tasks of the plan run"),
    (("if f[7] and from == 'running' then offer_slots", "if false then offer_slots"), "no work leads to an end"),
    (
        ("if f[5] then return nil, refuse('not_approved'", "if false then return nil, refuse('not_approved'"),
        "no person has approved",
    ),
    (("escalation and 'held' or", "false and 'held' or"), "no person has approved"),
    (("lost > number(f[6])", "lost > number(f[6]) + 1"), "ended as lost: it is delayed instead of failed"),
    (("if f[7] and cause ~= 'success' then", "if false then"), "instead of cancelled"),
    (
        ("id, agent, from, to, reason, data, code)", "id, agent, to, to, reason, data, code)"),
        "goes from cancelled to cancelled",
    ),
    (("state = end_attempt(task, {", "state = tostring(task, {"), "it is running, and its agent"),
    (("'-inf', now, 'LIMIT', 0", "'-inf', 0, 'LIMIT', 0"), "no work leads to an end from here"),
    (("    close_questions(id, 'the task has", "    tostring(id, 'the task has"), "open questions"),
    (("redis.call('ZREM', P .. 'asking', id)\nend", "end"), "open questions, and counts"),
    (("offer(ARGV[1]) end", "tostring(ARGV[1]) end"), "a task is ready, and nobody wakes the idle"),
    (
        ("    wake_role(role, nil, nil, from == 'blocked')\n  elseif", "  elseif"),
        "a task is ready, and nobody wakes the idle",
    ),
];

/// Where the search has to look for a mistake.
fn shape_of(mistake: &Mistake) -> Shape {
    let is_about = |words: &str| mistake.0.contains(words);
    match (is_about("slots") || is_about("want[3]"), is_about("'n:' ..")) {
        (true, _) => Shape::Plan { edge: None, slots: Some(1) },
        (_, true) => Shape::Plan { edge: Some(Edge::default()), slots: None },
        _ => Shape::Dependency,
    }
}

#[test]
fn a_mistake_is_found() {
    for (mistake, says) in MISTAKES {
        let scenario = Scenario {
            markers: says.contains("wakes"),
            limited: says.contains("wakes"),
            asks: says.contains("open questions"),
            approval: says.contains("approved") || says.contains("it is held"),
            shape: shape_of(mistake),
            ..PLAIN
        };
        is_found(&scenario, *mistake, says);
    }
}

fn is_found(scenario: &Scenario, mistake: Mistake, says: &str) {
    let found = search(scenario, Some(mistake)).expect_err(&format!("{mistake:?} breaks nothing"));
    assert!(found.contains(says), "{mistake:?}\nexpected: {says}\nfound: {found}");
}

#[test]
fn a_mistake_about_locks_is_found() {
    for (mistake, says) in [
        (("    release_locks(id)\n", "    tostring(id)\n"), "has \"a"),
        (("want, entry = lacked(id, wants)", "want, entry = nil, nil"), "exclude each other run"),
        (("  offer_locks(entries)\n  return #entries", "  return #entries"), "no work leads to an end from here"),
    ] {
        is_found(&LOCKS, mistake, says);
    }
}

#[test]
fn a_mistake_about_an_approval_is_found() {
    let mistake = ("is_accepted_first = to == 'succeeded'", "is_accepted_first = to == 'nothing'");
    is_found(&Scenario { acceptance: true, ..PLAIN }, mistake, "instead of held");
    let mistake = ("redis.call('ZADD', P .. 'approval_ends', question.till, id)", "");
    is_found(&Scenario { approval: true, ..PLAIN }, mistake, "is not in approval_ends");
}
