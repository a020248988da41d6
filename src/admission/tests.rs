//! Each gate, in the order in which they are shown.

use super::*;
use crate::model::{gate::GateCode, time::Timestamp};

const ROLE: &str = "shell";

fn quiet() -> Snapshot {
    let mut now = Snapshot { now: Timestamp(1_000), ..Snapshot::default() };
    now.configure([(ROLE, 2)].into_iter(), 4);
    now
}

fn codes(now: &Snapshot) -> Vec<GateCode> {
    gates(None, ROLE, now).iter().map(Gate::code).collect()
}

fn breaker(until: u64) -> Option<Breaker> {
    Some(Breaker { until: Timestamp(until), reason: "exit code 127".into() })
}

#[test]
fn where_nothing_is_in_the_way_there_is_no_gate() {
    assert_eq!(codes(&quiet()), []);
    assert_eq!(master_gates(&quiet()), []);
}

#[test]
fn each_fact_is_one_gate() {
    type Case<'a> = (&'a dyn Fn(&mut Snapshot), GateCode);
    let role = |change: fn(&mut RoleState)| move |now: &mut Snapshot| change(now.roles.get_mut(ROLE).unwrap());
    let suspended = |code| {
        move |now: &mut Snapshot| {
            let suspension = Suspension { code, until: Some(Timestamp(9_000)), reason: "r".into(), account: None };
            now.roles.get_mut(ROLE).unwrap().suspension = Some(suspension);
        }
    };
    let behind = |now: &mut Snapshot| {
        let role = now.roles.get_mut(ROLE).unwrap();
        (role.head, role.idle) = (Some(1_000), 1);
        now.shortage = Shortage { tasks: vec![Needy { role: "other".into(), place: 899 }], tolerance: 100 };
    };
    let (rate_limited, budget) = (suspended(GateCode::RateLimited), suspended(GateCode::BudgetTotal));
    let cases: [Case; 16] = [
        (&|now| now.stop = Some(Stop::Now), GateCode::Stopping),
        (&|now| now.stop = Some(Stop::Drain), GateCode::Draining),
        (&|now| now.supervised = false, GateCode::SupervisorDown),
        (&|now| now.recovering = true, GateCode::Recovery),
        (&|now| now.paused = true, GateCode::Paused),
        (&role(|role| role.paused = true), GateCode::RolePaused),
        (&role(|role| role.configured = false), GateCode::UnknownRole),
        (&role(|role| role.breaker = breaker(1_001)), GateCode::BreakerOpen),
        (&rate_limited, GateCode::RateLimited),
        (&budget, GateCode::BudgetTotal),
        (&role(|role| (role.slots, role.scaled_to_zero) = (Some(0), true)), GateCode::ScaledToZero),
        (&role(|role| role.taken = 2), GateCode::RoleSlots),
        (&behind, GateCode::MoreUrgentRole),
        (&role(|role| role.agents = 4), GateCode::MaxAgents),
        (&|now| now.short_of_memory = Some("little is left".into()), GateCode::Memory),
        (&|now| now.short_of_disk = Some("little is left".into()), GateCode::Disk),
    ];
    let mut all = quiet();
    let mut before = Vec::new();
    for (change, code) in cases {
        let mut now = quiet();
        change(&mut now);
        assert_eq!(codes(&now), [code]);
        let gate = &gates(None, ROLE, &now)[0];
        assert!(!gate.sentence(&[ROLE], now.now).is_empty(), "{gate:?}");
        if !matches!(code, GateCode::Draining | GateCode::BudgetTotal | GateCode::RoleSlots) {
            change(&mut all);
            before.push(code);
        }
    }
    before.retain(|code| *code != GateCode::RateLimited);
    before.insert(before.iter().position(|code| *code == GateCode::ScaledToZero).unwrap(), GateCode::RateLimited);
    assert_eq!(codes(&all), before, "all of them, in the order of the codes");
}

#[test]
fn a_breaker_ends_by_itself_and_the_master_has_its_own() {
    let mut now = quiet();
    now.roles.get_mut(ROLE).unwrap().breaker = breaker(1_000);
    now.masters_breaker = breaker(9_000);
    assert_eq!(codes(&now), []);
    let gates = master_gates(&now);
    let said = gates[0].sentence(&[], now.now);
    assert_eq!(said, "the master does not stay up (exit code 127); the next try is in 8.0s");
}

#[test]
fn with_an_idle_agent_only_what_blocks_its_claim_holds_a_task_up() {
    let mut now = quiet();
    (now.supervised, now.max_agents, now.paused) = (false, 0, true);
    now.roles.get_mut(ROLE).unwrap().breaker = breaker(9_000);
    let held_up = |now: &Snapshot| held_up_by(None, ROLE, now).iter().map(Gate::code).collect::<Vec<_>>();
    let without = [GateCode::SupervisorDown, GateCode::Paused, GateCode::BreakerOpen, GateCode::MaxAgents];
    assert_eq!(held_up(&now), without);
    now.roles.get_mut(ROLE).unwrap().idle = 1;
    assert_eq!(held_up(&now), [GateCode::Paused]);
}

#[test]
fn what_blocks_a_claim_keeps_an_agent_from_starting_and_not_the_other_way_round() {
    let starts_only = [Gate::SupervisorDown, Gate::UnknownRole, Gate::MaxAgents { agents: 1, max: 1 }];
    assert!(starts_only.iter().all(|gate| !gate.blocks_claim()));
    assert!(Gate::Paused.blocks_claim() && Gate::Paused.suspends_role());
    assert!(Gate::RoleSlots { slots: 1 }.blocks_claim() && !Gate::RoleSlots { slots: 1 }.suspends_role());
}

#[test]
fn as_many_agents_make_room_as_more_urgent_tasks_lack_a_slot() {
    let needy = |role: &str, place| Needy { role: role.to_owned(), place };
    let gated = |idle, taken, min, tasks: &[Needy]| {
        let mut now = quiet();
        now.max_agents = 100;
        let role = now.roles.get_mut(ROLE).unwrap();
        (role.head, role.idle, role.taken, role.min, role.slots) = (Some(1_000), idle, taken, min, None);
        now.shortage = Shortage { tasks: tasks.to_vec(), tolerance: 100 };
        codes(&now) == [GateCode::MoreUrgentRole]
    };
    let urgent = [needy("other", 10)];
    assert!(gated(1, 1, 0, &urgent) && gated(0, 2, 0, &urgent));
    assert!(!gated(2, 0, 0, &urgent), "another idle agent makes room already");
    assert!(gated(2, 0, 0, &[needy("other", 10), needy("third", 20)]));
    assert!(!gated(1, 1, 2, &urgent), "the role keeps its min");
    assert!(!gated(1, 1, 0, &[needy("other", 900)]), "about as urgent");
    assert!(!gated(1, 1, 0, &[needy(ROLE, 10)]), "a task of its own role");
}
