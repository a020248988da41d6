//! The decision as a table of cases; in `any`, what must hold for any world.

mod any;
mod ceilings;
mod evidence;
mod fairness;
mod memory;
mod room;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{Config, Env},
    model::{
        agent::Agent,
        id::{Process, TaskId},
        time::Timestamp,
    },
    mux::{SessionInfo, Tags},
    samples,
    store::{
        agents::Record,
        observe::{Breaker, Load, Overdue, Snapshot},
    },
    supervisor::{
        background::Hands,
        ceilings::Ceilings,
        world::{Death, Life, Limits},
    },
};

const NOW: u64 = 1_000_000_000;

/// A world to which each test adds what it is about.
struct Case {
    config: Config,
    store: Snapshot,
    lives: BTreeMap<String, Life>,
    sessions: Vec<SessionInfo>,
    tmux_answers: bool,
    undisturbed: Duration,
    ceilings: Ceilings,
    hands: Hands,
    max_agents: u32,
    short_of_memory: bool,
}

fn case() -> Case {
    let env = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
    let config = Config::load_with(&env, None).unwrap();
    let mut case = Case {
        config,
        store: Snapshot { now: Timestamp(NOW), ..Snapshot::default() },
        lives: BTreeMap::new(),
        sessions: Vec::new(),
        tmux_answers: true,
        undisturbed: Duration::from_secs(3600),
        ceilings: Ceilings::default(),
        hands: Hands::default(),
        max_agents: 50,
        short_of_memory: false,
    };
    case.agent("opus-master", "opus", AgentState::Idle).master = true;
    case
}

impl Case {
    /// A healthy agent, an hour old.
    fn agent(&mut self, id: &str, role: &str, state: AgentState) -> &mut Agent {
        let incarnation = format!("{id}#");
        self.lives.insert(incarnation.clone(), Life::Alive('S'));
        let agent = Agent {
            role: role.into(),
            incarnation,
            process: Process { host: "h".into(), boot_id: "b".into(), pid: 7, start_time: 7 },
            heartbeat_age_ms: Some(0),
            heartbeat_at: Some(Timestamp(NOW)),
            started_at: Timestamp(NOW - 3_600_000),
            since: Timestamp(NOW - 1_000),
            tasks_done: 1,
            ..samples::agent(id, state)
        };
        self.store.agents.push(Record { agent, progress_at: Some(Timestamp(NOW)), deadline: None, last_task: None });
        &mut self.store.agents.last_mut().unwrap().agent
    }
    fn life(&mut self, id: &str, life: Life) {
        self.lives.insert(format!("{id}#"), life);
    }
    fn ready(&mut self, role: &str, ready: u64) {
        self.store.load.insert(role.into(), Load { ready, ..Load::default() });
    }
    fn decide(&self) -> Vec<Action> {
        let taken_names: Vec<String> = self.sessions.iter().map(|s| s.name.clone()).collect();
        decide(&World {
            store: &self.store,
            lives: self.lives.clone(),
            sessions: self.tmux_answers.then_some(self.sessions.as_slice()),
            sessions_age: Duration::from_secs(3),
            taken_names: &taken_names,
            undisturbed: self.undisturbed,
            ceilings: &self.ceilings,
            hands: &self.hands,
            namespace: "ns",
            roles: &self.config.roles,
            master: &self.config.master,
            short_of_memory: self.short_of_memory.then(|| "little is left".to_owned()),
            short_of_disk: None,
            limits: Limits {
                lease: Duration::from_secs(30),
                max_agents: self.max_agents,
                max_wait: crate::model::task::MAX_WAIT,
                kill_grace: Duration::from_secs(3),
            },
        })
    }
    /// Actions in short: `spawn shell-1`, `reap a failed: why`...
    fn short(&self) -> Vec<String> {
        self.decide().iter().map(short).collect()
    }
}

fn short(action: &Action) -> String {
    match action {
        Action::ReleaseDue => "release".into(),
        Action::EndLate => "end late".into(),
        Action::EndLocks => "end locks".into(),
        Action::ExpireApprovals => "expire approvals".into(),
        Action::Reap { agent, to, reason, .. } => format!("reap {agent} {to}: {reason}"),
        Action::Expire { task, fence, .. } => format!("expire {task} {fence}"),
        Action::EndOrphans { orphans, .. } => format!("end {}", orphans.agent),
        Action::CloseSession { session, .. } => format!("close {session}"),
        Action::Stop { agent, reason, .. } => format!("stop {agent}: {reason}"),
        Action::Spawn { agent, .. } => format!("spawn {agent}"),
        Action::DropRequest { role, .. } => format!("drop request {role}"),
        Action::PublishShortage { shortage, .. } => {
            let roles: Vec<&str> = shortage.tasks.iter().map(|task| task.role.as_str()).collect();
            format!("shortage: {}", roles.join(" "))
        }
        Action::Recovered { role, .. } => format!("recovered {role}"),
        Action::Settle { reason } => format!("settle: {reason}"),
        Action::ShutDown => "shut down".into(),
    }
}

#[test]
fn a_quiet_world_needs_nothing() {
    assert_eq!(case().short(), [] as [&str; 0]);
}

#[test]
fn ready_tasks_get_agents_up_to_the_roles_and_the_namespaces_bounds() {
    let mut c = case();
    c.ready("shell", 9);
    assert_eq!(c.short(), ["spawn shell-1", "spawn shell-2", "spawn shell-3", "spawn shell-4"]);
    c.max_agents = 2;
    assert_eq!(c.short(), ["spawn shell-1", "spawn shell-2"]);
    c.agent("shell-1", "shell", AgentState::Starting);
    assert_eq!(c.short(), ["spawn shell-2"]);
}

#[test]
fn an_idle_agent_takes_the_task_and_no_other_is_started() {
    let mut c = case();
    c.agent("shell-2", "shell", AgentState::Idle);
    c.ready("shell", 1);
    assert_eq!(c.short(), [] as [&str; 0]);
    c.ready("shell", 2);
    assert_eq!(c.short(), ["spawn shell-1"]);
}

#[test]
fn who_waits_for_its_subtasks_takes_no_place() {
    let mut c = case();
    c.config.roles.get_mut("shell").unwrap().max = 1;
    c.agent("shell-1", "shell", AgentState::Busy).waiting = true;
    c.max_agents = 1;
    c.ready("shell", 1);
    assert_eq!(c.short(), ["spawn shell-2"]);
}

#[test]
fn a_name_that_a_strangers_session_has_is_left_out() {
    let mut c = case();
    c.sessions.push(session("shell-1", None));
    c.ready("shell", 1);
    assert_eq!(c.short(), ["spawn shell-2"]);
}

#[test]
fn pause_stop_and_breaker_hold_back() {
    let mut c = case();
    c.ready("shell", 3);
    c.store.requests.pause = true;
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.requests.pause = false;
    c.store.requests.paused_roles = vec!["shell".into()];
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.requests.paused_roles.clear();
    let breaker = |until| Breaker { failures: 3, until: Timestamp(until), reason: "x".into() };
    c.store.breakers.insert("shell".into(), breaker(NOW + 1));
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.breakers.insert("shell".into(), breaker(NOW));
    assert_eq!(c.short().len(), 3);
}

#[test]
fn an_idle_agent_leaves_its_place_to_a_role_that_needs_one() {
    let mut c = case();
    c.max_agents = 3;
    c.config.roles.get_mut("shell").unwrap().min = 1;
    for n in 1..=3 {
        c.agent(&format!("shell-{n}"), "shell", AgentState::Idle);
    }
    c.ready("sonnet", 1);
    assert_eq!(c.short(), ["stop shell-3: another role needs its place: there are 3 (max_agents)"]);
    c.ready("sonnet", 9);
    assert_eq!(c.short().len(), 2, "its minimum stays");
    c.store.agents[3].agent.state = AgentState::Stopping;
    c.ready("sonnet", 1);
    assert_eq!(c.short(), [] as [&str; 0], "one is leaving already");
    c.store.agents[3].agent.state = AgentState::Idle;
    c.ready("shell", 3);
    assert_eq!(c.short(), [] as [&str; 0], "they have only not heard of their tasks yet");
}

#[test]
fn a_persons_request_passes_the_breaker_but_not_the_bound() {
    let mut c = case();
    c.config.roles.get_mut("shell").unwrap().max = 1;
    c.store.breakers.insert("shell".into(), Breaker { failures: 9, until: Timestamp(NOW + 1), reason: "x".into() });
    c.store.requests.spawn = vec![("shell".into(), "spawn:shell:a".into()), ("shell".into(), "spawn:shell:b".into())];
    assert_eq!(c.short(), ["drop request shell", "spawn shell-1"]);
}

#[test]
fn scale_is_a_number_neither_more_nor_fewer() {
    let mut c = case();
    c.store.requests.scale.insert("shell".into(), 2);
    assert_eq!(c.short(), ["spawn shell-1", "spawn shell-2"]);
    for n in 1..=3 {
        c.agent(&format!("shell-{n}"), "shell", AgentState::Idle);
    }
    assert_eq!(c.short(), ["stop shell-3: role shell has 3 agents, 2 at most"]);
}

#[test]
fn an_idle_agent_above_the_minimum_leaves_after_its_time() {
    let mut c = case();
    c.config.roles.get_mut("shell").unwrap().min = 1;
    c.agent("shell-1", "shell", AgentState::Idle).since = Timestamp(NOW - 400_000);
    c.agent("shell-2", "shell", AgentState::Idle).since = Timestamp(NOW - 400_000);
    assert_eq!(c.short(), ["stop shell-2: idle for 6m40s (idle_timeout)"]);
}

#[test]
fn a_dead_runner_is_reaped_and_one_that_was_told_to_stop_has_stopped() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Busy);
    c.life("shell-1", Life::Dead(Death::Gone));
    assert_eq!(c.short(), ["reap shell-1 failed: crashed: its runner (pid 7) is gone"]);
    c.store.agents[1].agent.state = AgentState::Stopping;
    c.store.agents[1].agent.reason = Some("orch stop".into());
    assert_eq!(c.short(), ["reap shell-1 stopped: orch stop"]);
}

#[test]
fn silence_longer_than_the_lease_is_a_hang_unless_all_was_away() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Busy).heartbeat_at = Some(Timestamp(NOW - 31_000));
    c.life("shell-1", Life::Alive('T'));
    assert_eq!(c.short(), ["reap shell-1 failed: hung: no heartbeat for 31s; its runner is stopped (SIGSTOP)"]);
    c.undisturbed = Duration::from_secs(29);
    assert_eq!(c.short(), [] as [&str; 0]);
}

#[test]
fn an_agent_whose_session_was_never_opened_is_given_up_soon() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Starting).since = Timestamp(NOW - 1_500);
    c.life("shell-1", Life::Unknown);
    assert_eq!(c.short(), ["reap shell-1 failed: lost: its session was not opened within 1.0s"]);
    // It is there: its runner is about to report.
    let tags = Tags { namespace: "ns".into(), agent: "shell-1".into(), incarnation: "shell-1#".into() };
    c.sessions = vec![session("shell-1", Some(tags))];
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.agents.last_mut().unwrap().agent.since = Timestamp(NOW - 5_500);
    assert_eq!(c.short(), ["reap shell-1 failed: lost: its session was not opened within 5.0s"]);
}

#[test]
fn a_session_that_is_being_opened_is_waited_for() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Starting).since = Timestamp(NOW - 10_000);
    c.life("shell-1", Life::Unknown);
    c.hands.opening.insert("shell-1#".into());
    assert_eq!(c.short(), [] as [&str; 0]);
    c.hands.opening.clear();
    assert_eq!(c.short(), ["reap shell-1 failed: lost: its session was not opened within 1.0s"]);
}

#[test]
fn an_agent_whose_end_is_being_recorded_is_neither_reaped_again_nor_replaced_yet() {
    let mut c = case();
    for id in ["opus-master", "shell-1"] {
        c.life(id, Life::Dead(Death::Gone));
    }
    c.agent("shell-1", "shell", AgentState::Idle);
    c.life("shell-1", Life::Dead(Death::Gone));
    c.ready("shell", 1);
    let reap = |id: &str| format!("reap {id} failed: crashed: its runner (pid 7) is gone");
    assert_eq!(c.short(), [reap("opus-master"), reap("shell-1")]);
    c.hands.reaping.extend(["opus-master#".to_owned(), "shell-1#".to_owned()]);
    assert_eq!(c.short(), [] as [&str; 0], "what follows is decided once their ends are recorded");
    c.store.requests.spawn = vec![("shell".into(), "spawn:shell:a".into())];
    assert_eq!(c.short(), ["spawn shell-2"], "what a person requests does not depend on it");
}

#[test]
fn a_clock_that_was_set_ahead_makes_nobody_old() {
    let mut c = case();
    for (id, state) in [("shell-1", AgentState::Starting), ("shell-2", AgentState::Stopping)] {
        c.agent(id, "shell", state).since = Timestamp(NOW - 3_600_000);
    }
    c.undisturbed = Duration::from_secs(1);
    assert_eq!(c.short(), [] as [&str; 0]);
    c.undisturbed = Duration::from_secs(60);
    assert_eq!(c.short().len(), 2);
}

#[test]
fn no_progress_is_a_hang_but_not_of_who_waits_or_asks() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Busy);
    c.store.agents[1].progress_at = Some(Timestamp(NOW - 601_000));
    assert_eq!(c.short(), ["reap shell-1 failed: hung: no sign of progress for 10m01s (stall_timeout)"]);
    c.store.agents[1].agent.waiting = true;
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.agents[1].agent.waiting = false;
    c.store.agents[1].agent.needs = Some(crate::model::wait::Needs::Permission);
    assert_eq!(c.short(), [] as [&str; 0]);
}

#[test]
fn a_proven_agent_closes_its_roles_breaker() {
    let mut c = case();
    let agent = c.agent("shell-1", "shell", AgentState::Idle);
    (agent.tasks_done, agent.started_at) = (0, Timestamp(NOW - 100));
    c.store.breakers.insert("shell".into(), Breaker { failures: 2, until: Timestamp(NOW), reason: "x".into() });
    assert_eq!(c.short(), [] as [&str; 0]);
    c.store.agents[1].agent.tasks_done = 1;
    assert_eq!(c.short(), ["recovered shell"]);
}

#[test]
fn an_attempt_without_its_agent_ends_with_its_lease() {
    let mut c = case();
    let task = TaskId::random();
    c.store.overdue.push(Overdue { task: task.clone(), fence: 5, agent: "shell-9".into() });
    assert_eq!(c.short(), [format!("expire {task} 5")]);
    c.agent("shell-9", "shell", AgentState::Busy).task = Some(task);
    assert_eq!(c.short(), [] as [&str; 0], "its agent lives: its heartbeat decides");
}

#[test]
fn a_session_of_ours_without_an_agent_is_closed_and_no_other() {
    let mut c = case();
    let tags = |ns: &str, incarnation: &str| {
        Some(Tags { namespace: ns.into(), agent: "x".into(), incarnation: incarnation.into() })
    };
    c.sessions.push(session("mine", None));
    c.sessions.push(session("others", tags("other", "y")));
    c.sessions.push(session("opus-master", tags("ns", "opus-master#")));
    c.sessions.push(session("left-over", tags("ns", "z")));
    assert_eq!(c.short(), ["close left-over"]);
}

#[test]
fn a_stop_ends_agents_then_the_master_then_all() {
    let mut c = case();
    c.store.requests.stop = Some(false);
    c.agent("shell-1", "shell", AgentState::Busy);
    assert_eq!(c.short(), ["stop shell-1: orch stop"]);
    c.store.agents.pop();
    assert_eq!(c.short(), ["stop opus-master: orch stop"]);
    c.store.agents.clear();
    c.hands.ending.insert("x".into());
    assert_eq!(c.short(), [] as [&str; 0], "something is still being ended");
    c.hands.ending.clear();
    assert_eq!(c.short(), ["shut down"]);
}

#[test]
fn a_draining_stop_lets_running_tasks_have_the_agents_they_wait_for() {
    let mut c = case();
    c.store.requests.stop = Some(true);
    c.store.running = 1;
    c.ready("shell", 3);
    c.config.roles.get_mut("shell").unwrap().min = 2;
    assert_eq!(c.short(), [] as [&str; 0], "nobody waits for any of them");
    c.store.load.insert("opus".into(), Load { running: 1, waiting: 1, ready: 0 });
    assert_eq!(c.short(), ["spawn shell-1"]);
    c.store.running = 0;
    assert_eq!(c.short(), ["stop opus-master: orch stop"]);
}

fn session(name: &str, tags: Option<Tags>) -> SessionInfo {
    SessionInfo { name: name.into(), created: 0, attached: 0, pane_id: "%1".into(), pane_pid: Some(1), tags }
}
