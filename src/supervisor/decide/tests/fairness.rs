//! Slots under `max_agents` go by priority and age, and roles of equal urgency share them.

use super::*;
use crate::{
    admission::{Needy, Shortage},
    model::task::{MAX_WAIT, priority_step},
};

/// When the first task was accepted, in microseconds.
const FIRST: u64 = 1_790_000_000_000_000;
const HIGH: u64 = 0;
const NORMAL: u64 = 1;
const LOW: u64 = 2;

/// The place of a task of that priority, accepted so long after the first one.
fn place(priority: u64, after: Duration) -> u64 {
    FIRST + after.as_micros() as u64 + priority * priority_step(MAX_WAIT).as_micros() as u64
}

/// So many ready tasks of a role, accepted so long after the first one.
fn ready(c: &mut Case, role: &str, n: u64, priority: u64, after: Duration) {
    let place = place(priority, after);
    let heads = c.store.heads.entry(role.into()).or_default();
    heads.extend((0..n).map(|nth| place + nth));
    heads.sort_unstable();
    let ready = heads.len() as u64;
    c.ready(role, ready);
}

#[test]
fn a_high_task_of_one_role_goes_before_the_low_ones_of_another() {
    let mut c = case();
    c.max_agents = 2;
    ready(&mut c, "shell", 24, LOW, Duration::ZERO);
    ready(&mut c, "sonnet", 1, HIGH, Duration::from_secs(60));
    assert_eq!(c.short(), ["spawn sonnet-1", "spawn shell-1"]);
}

#[test]
fn roles_of_equal_priority_share_the_slots() {
    let mut c = case();
    c.max_agents = 4;
    ready(&mut c, "shell", 24, NORMAL, Duration::ZERO);
    ready(&mut c, "sonnet", 24, NORMAL, Duration::from_secs(10));
    assert_eq!(c.short(), ["spawn shell-1", "spawn sonnet-1", "spawn shell-2", "spawn sonnet-2"]);
    for n in 1..=3 {
        c.agent(&format!("shell-{n}"), "shell", AgentState::Busy);
    }
    assert_eq!(c.short(), ["spawn sonnet-1"], "the one with fewer agents goes first");
}

#[test]
fn a_low_task_that_has_waited_for_longer_than_max_wait_is_as_good_as_a_high_one() {
    let mut c = case();
    c.max_agents = 1;
    ready(&mut c, "shell", 1, LOW, Duration::ZERO);
    ready(&mut c, "sonnet", 9, HIGH, MAX_WAIT / 2);
    assert_eq!(c.short(), ["spawn sonnet-1"]);
    c.store.heads.remove("sonnet");
    ready(&mut c, "sonnet", 9, HIGH, MAX_WAIT * 2);
    assert_eq!(c.short(), ["spawn shell-1"]);
}

#[test]
fn an_idle_agent_leaves_although_its_role_has_less_urgent_tasks() {
    let mut c = case();
    c.max_agents = 2;
    c.agent("shell-1", "shell", AgentState::Busy);
    c.agent("shell-2", "shell", AgentState::Idle);
    ready(&mut c, "shell", 9, LOW, Duration::ZERO);
    ready(&mut c, "sonnet", 1, HIGH, Duration::from_secs(60));
    assert_eq!(c.short(), ["stop shell-2: another role needs its place: there are 2 (max_agents)"]);
    c.store.heads.clear();
    ready(&mut c, "shell", 9, NORMAL, Duration::ZERO);
    ready(&mut c, "sonnet", 1, LOW, Duration::from_secs(60));
    assert_eq!(c.short(), [] as [&str; 0], "its own tasks are more urgent");
}

/// Two busy agents of one role with low tasks in reserve, and a high task of another role.
fn at_work() -> Case {
    let mut c = case();
    c.max_agents = 2;
    c.agent("shell-1", "shell", AgentState::Busy);
    c.agent("shell-2", "shell", AgentState::Busy);
    ready(&mut c, "shell", 9, LOW, Duration::ZERO);
    ready(&mut c, "sonnet", 1, HIGH, Duration::from_secs(60));
    c
}

fn publish(c: &mut Case, roles: &[&str], holds_for: u64) {
    let needy = |role: &&str| Needy { role: (*role).to_owned(), place: place(HIGH, Duration::from_secs(60)) };
    c.store.shortage = Shortage { tasks: roles.iter().map(needy).collect(), tolerance: 1 };
    c.store.shortage_until = Some(Timestamp(NOW + holds_for));
}

#[test]
fn busy_agents_hear_that_a_more_urgent_task_of_another_role_lacks_a_slot() {
    let mut c = at_work();
    assert_eq!(c.short(), ["shortage: sonnet"]);
    publish(&mut c, &["sonnet"], 8_000);
    assert_eq!(c.short(), [] as [&str; 0], "it is known");
    publish(&mut c, &["sonnet"], 2_000);
    assert_eq!(c.short(), ["shortage: sonnet"], "it is known, and expires soon");
    publish(&mut c, &["sonnet", "sonnet"], 8_000);
    assert_eq!(c.short(), ["shortage: sonnet"], "there is one such task only");
}

#[test]
fn a_shortage_ends_when_an_agent_makes_room_or_the_task_has_gone() {
    let mut c = at_work();
    publish(&mut c, &["sonnet"], 8_000);
    c.agent("shell-3", "shell", AgentState::Stopping);
    assert_eq!(c.short(), ["shortage: "]);
    let mut c = at_work();
    publish(&mut c, &["sonnet"], 8_000);
    ready(&mut c, "sonnet", 0, HIGH, Duration::ZERO);
    c.store.heads.remove("sonnet");
    c.ready("sonnet", 0);
    assert_eq!(c.short(), ["shortage: "]);
}

#[test]
fn tasks_of_about_the_same_place_publish_no_shortage() {
    let mut c = at_work();
    c.store.heads.clear();
    ready(&mut c, "shell", 9, NORMAL, Duration::from_secs(60));
    ready(&mut c, "sonnet", 9, NORMAL, Duration::ZERO);
    assert_eq!(c.short(), [] as [&str; 0]);
}

#[test]
fn a_low_task_gets_the_next_slot_once_it_has_waited_for_max_wait() {
    for (waited, expected) in
        [(MAX_WAIT - Duration::from_secs(1), vec![]), (MAX_WAIT + Duration::from_secs(1), vec!["shortage: sonnet"])]
    {
        let mut c = at_work();
        c.store.heads.clear();
        ready(&mut c, "sonnet", 1, LOW, Duration::ZERO);
        ready(&mut c, "shell", 1, HIGH, waited);
        assert_eq!(c.short(), expected, "{waited:?}");
    }
}
