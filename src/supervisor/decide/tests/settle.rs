//! After a loss: who is waited for, and until when.

use super::*;
use crate::store::epoch::Epoch;

/// Redis lost data a second ago; a lease from then on is over in 29.
fn after_a_loss() -> Case {
    let mut c = case();
    c.store.epoch = Epoch {
        is_known: true,
        number: 1,
        lost_at: Some(Timestamp(NOW - 1_000)),
        loss: Some("something".into()),
        settling_until: Some(Timestamp(NOW + 29_000)),
    };
    c
}

fn ours(agent: &str) -> SessionInfo {
    let tags = Tags { namespace: "ns".into(), agent: agent.into(), incarnation: format!("{agent}#") };
    session(agent, Some(tags))
}

#[test]
fn nothing_is_started_or_closed_while_a_session_may_turn_out_to_be_an_agents() {
    let mut c = after_a_loss();
    c.ready("shell", 3);
    c.sessions.push(ours("shell-1"));
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.epoch.settling_until = Some(Timestamp(NOW));
    assert_eq!(c.short(), ["settle: every living agent has had the time of a lease to report"]);
    c.store.epoch.settling_until = None;
    assert_eq!(c.short(), ["close shell-1", "spawn shell-2", "spawn shell-3", "spawn shell-4"]);
}

#[test]
fn it_is_over_once_everybody_has_reported_since() {
    let mut c = after_a_loss();
    c.sessions.push(ours("shell-1"));
    c.agent("shell-1", "shell", AgentState::Busy).heartbeat_at = Some(Timestamp(NOW - 2_000));
    assert_eq!(c.short(), [] as [&str; 0], "what it is doing is not known yet");
    c.store.agents.last_mut().unwrap().agent.heartbeat_at = Some(Timestamp(NOW));
    assert_eq!(c.short(), ["settle: every agent that lives is known again"]);
}

#[test]
fn who_is_dead_is_not_waited_for() {
    let mut c = after_a_loss();
    c.agent("shell-1", "shell", AgentState::Busy).heartbeat_at = Some(Timestamp(NOW - 2_000));
    c.life("shell-1", Life::Dead(Death::Gone));
    assert_eq!(c.short(), ["reap shell-1 failed: crashed: its runner (pid 7) is gone"]);
}

#[test]
fn a_stop_does_not_wait() {
    let mut c = after_a_loss();
    c.sessions.push(ours("shell-1"));
    c.store.requests.stop = Some(false);
    assert_eq!(c.short(), ["settle: everything is being stopped"]);
}
