//! What was observed about an agent whose end is decided: the facts that the rule used, and related ones.

use std::time::Duration;

use crate::{
    model::{
        agent::Agent,
        evidence::{Evidence, Observer, ProcessSeen, ProcessState, Rule, SessionState},
    },
    store::agents::Record,
    supervisor::world::{Death, Life, World},
};

/// What the world says about an agent, under the rule that decided.
pub(super) fn seen(world: &World, record: &Record, life: &Life, rule: Rule) -> Evidence {
    let agent = &record.agent;
    let age = |since: Option<_>| since.map(|at| ms(world.store.now.since(at)));
    Evidence {
        state: Some(agent.state),
        heartbeat_age_ms: age(agent.heartbeat_at),
        silence_ms: world.silence(agent.heartbeat_at).map(ms),
        undisturbed_ms: Some(ms(world.undisturbed)),
        // Of an earlier task, once that has ended: it says nothing about one that waits.
        progress_age_ms: age(record.progress_at).filter(|_| agent.task.is_some()),
        process: Some(process(agent, life)),
        session: Some(session(world, agent)),
        session_age_ms: Some(ms(world.sessions_age)),
        at: Some(world.store.now),
        ..Evidence::of(rule, Observer::Supervisor, &agent.id)
    }
}

fn process(agent: &Agent, life: &Life) -> ProcessSeen {
    let pid = agent.process.pid;
    let stat = || format!("/proc/{pid}/stat");
    let (state, letter, known_by) = match life {
        Life::Alive(letter @ ('T' | 't')) => (ProcessState::Stopped, Some(*letter), stat()),
        Life::Alive(letter @ 'D') => (ProcessState::Stuck, Some(*letter), stat()),
        Life::Alive(letter) => (ProcessState::Alive, Some(*letter), stat()),
        Life::Dead(Death::Zombie) => (ProcessState::Zombie, Some('Z'), stat()),
        Life::Dead(Death::Gone) => (ProcessState::Gone, None, "/proc: nobody has this pid and start time".into()),
        Life::Dead(Death::EarlierBoot) => (ProcessState::Gone, None, "the machine's boot id, which is another".into()),
        Life::Elsewhere => (ProcessState::Elsewhere, None, "its host name; only its heartbeat tells".into()),
        Life::Unknown => (ProcessState::Unrecorded, None, "its record".into()),
    };
    ProcessSeen { pid: (pid != 0).then_some(pid), state, letter, known_by }
}

fn session(world: &World, agent: &Agent) -> SessionState {
    let Some(sessions) = world.sessions else { return SessionState::Unknown };
    let is_its = |incarnation: &str| incarnation == agent.incarnation;
    match sessions.iter().any(|s| s.tags.as_ref().is_some_and(|tags| is_its(&tags.incarnation))) {
        true => SessionState::There,
        false => SessionState::Gone,
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
