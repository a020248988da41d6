//! Each end with its rule, and with what was seen.

use super::*;
use crate::model::evidence::{ProcessState, Rule, SessionState};

/// The evidence of the one agent that is reaped.
fn evidence(c: &Case) -> Evidence {
    let reaped = c.decide().into_iter().find_map(|action| match action {
        Action::Reap { evidence, .. } => Some(*evidence),
        _ => None,
    });
    reaped.expect("somebody is reaped")
}

#[test]
fn each_end_names_the_rule_its_bound_and_what_exceeded_it() {
    let rule = |change: &dyn Fn(&mut Case)| {
        let mut c = case();
        let agent = c.agent("shell-1", "shell", AgentState::Busy);
        agent.heartbeat_at = Some(Timestamp(NOW - 1_000));
        change(&mut c);
        let e = evidence(&c);
        (e.rule, e.bound_ms, e.measured_ms)
    };
    fn shell(c: &mut Case) -> &mut Agent {
        &mut c.store.agents[1].agent
    }
    let starting = |c: &mut Case, since| {
        (shell(c).state, shell(c).since) = (AgentState::Starting, Timestamp(since));
    };
    assert_eq!(rule(&|c| c.life("shell-1", Life::Dead(Death::Gone))), (Rule::ProcessGone, None, None));
    assert_eq!(rule(&|c| c.life("shell-1", Life::Dead(Death::EarlierBoot))), (Rule::Boot, None, None));
    assert_eq!(
        rule(&|c| shell(c).heartbeat_at = Some(Timestamp(NOW - 31_000))),
        (Rule::Lease, Some(30_000), Some(31_000))
    );
    let stall = case().config.roles["shell"].stall_timeout.as_millis() as u64;
    assert_eq!(
        rule(&|c| c.store.agents[1].progress_at = Some(Timestamp(NOW - stall - 1))),
        (Rule::StallTimeout, Some(stall), Some(stall + 1))
    );
    assert_eq!(rule(&|c| starting(c, NOW - 21_000)), (Rule::Start, Some(20_000), Some(21_000)));
    let unplaced = |c: &mut Case| {
        starting(c, NOW - 6_000);
        c.life("shell-1", Life::Unknown);
    };
    assert_eq!(rule(&unplaced), (Rule::Open, Some(1_000), Some(6_000)), "tmux has no such session");
    let unknown = |c: &mut Case| {
        unplaced(c);
        c.tmux_answers = false;
    };
    assert_eq!(rule(&unknown), (Rule::Open, Some(5_000), Some(6_000)), "tmux does not answer");
    let leaving = |c: &mut Case| {
        (shell(c).state, shell(c).since) = (AgentState::Stopping, Timestamp(NOW - 9_000));
    };
    assert_eq!(rule(&leaving), (Rule::Leave, Some(8_000), Some(9_000)));
}

#[test]
fn the_evidence_holds_what_was_seen_beside_the_rule() {
    let mut c = case();
    let agent = c.agent("shell-1", "shell", AgentState::Busy);
    (agent.heartbeat_at, agent.task) = (Some(Timestamp(NOW - 90_000)), Some(TaskId::random()));
    c.store.agents[1].progress_at = Some(Timestamp(NOW - 95_000));
    c.undisturbed = Duration::from_secs(40);
    c.life("shell-1", Life::Alive('T'));
    let tags = |incarnation: &str| Tags { namespace: "ns".into(), agent: "x".into(), incarnation: incarnation.into() };
    c.sessions.push(session("shell-1", Some(tags("shell-1#"))));
    let seen = evidence(&c);
    assert_eq!(
        (seen.heartbeat_age_ms, seen.silence_ms, seen.progress_age_ms),
        (Some(90_000), Some(40_000), Some(95_000))
    );
    let process = seen.process.unwrap();
    assert_eq!((process.pid, process.state, process.letter), (Some(7), ProcessState::Stopped, Some('T')));
    assert_eq!(process.known_by, "/proc/7/stat");
    assert_eq!((seen.session, seen.session_age_ms), (Some(SessionState::There), Some(3_000)));
    assert_eq!((seen.state, seen.at), (Some(AgentState::Busy), Some(Timestamp(NOW))));
    c.sessions.clear();
    assert_eq!(evidence(&c).session, Some(SessionState::Gone));
    c.tmux_answers = false;
    assert_eq!(evidence(&c).session, Some(SessionState::Unknown), "silence of tmux says nothing about its sessions");
    c.life("shell-1", Life::Dead(Death::Zombie));
    let process = evidence(&c).process.unwrap();
    assert_eq!((process.state, process.letter), (ProcessState::Zombie, Some('Z')));
}
