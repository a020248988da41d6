//! Each transition of an agent, called in each of its six states.

use orch::{
    model::{
        agent::AgentState::{self, *},
        cause::Cause,
        id::new_incarnation,
        task::TaskState,
    },
    store::{
        StoreError,
        agents::{Ending, Pulse},
        tasks::Claimed,
    },
};

use super::{check, fixture::*};

struct Case {
    world: World,
    agent: Agent,
    claimed: Option<Claimed>,
}

/// An agent in a given state, and one ready task of its role (where it is busy, it has another).
async fn bring(server: &Server, state: AgentState) -> Case {
    let world = server.world(state.as_str());
    let agent = world.spawn("shell-1", ROLE).await;
    let Agent { id, incarnation } = agent.clone();
    let mut claimed = None;
    if state != Starting {
        let hello = world.store.hello(&id, &incarnation, &process(1)).await;
        assert_eq!(hello.unwrap(), Idle);
    }
    match state {
        Busy => {
            world.delegate(&task("its own")).await;
            claimed = world.try_claim(&agent).await;
        }
        Stopping => {
            let stop = world.store.stop_agent(&id, &incarnation, true, "told to").await;
            assert_eq!(stop.unwrap(), Stopping);
        }
        Stopped | Failed => {
            let ending = Ending { to: state, ..crash() };
            world.store.end_agent(&id, &incarnation, &ending).await.unwrap();
        }
        Starting | Idle => {}
    }
    world.delegate(&task("ready")).await;
    assert_eq!(world.agent_state(&agent).await, state);
    Case { world, agent, claimed }
}

/// Brings an agent into each state, calls, and compares with `expected`: the answer, and the state afterwards.
async fn in_each_state<F>(call: F, expected: [(&str, AgentState); 6])
where
    F: AsyncFn(&Case) -> Result<String, StoreError>,
{
    let server = Server::start();
    for (state, (answer, after)) in AgentState::ALL.iter().zip(expected) {
        let case = bring(&server, *state).await;
        let answered = match call(&case).await {
            Ok(answer) => answer,
            Err(e) => e.refusal().unwrap_or_else(|| panic!("{e}")).to_string(),
        };
        assert_eq!(answered, answer, "the answer while {state}");
        let is = case.world.agent_state(&case.agent).await;
        assert_eq!(is, after, "the state after {state}");
        check::structures(&case.world).await;
    }
}

#[tokio::test]
async fn spawn_of_the_same_incarnation_changes_nothing() {
    let spawn = async |Case { world, agent, .. }: &Case| {
        let (id, incarnation) = (&agent.id, &agent.incarnation);
        let before = world.events().await.len();
        let spawned = world.store.spawn_agent(id, ROLE, id, incarnation, false, "again", None);
        spawned.await?;
        assert_eq!(world.events().await.len(), before);
        Ok("ok".into())
    };
    let unchanged: Vec<_> = AgentState::ALL.iter().map(|s| ("ok", *s)).collect();
    in_each_state(spawn, unchanged.try_into().unwrap()).await;
}

#[tokio::test]
async fn spawn_of_a_successor_needs_an_id_that_nobody_living_has() {
    let spawn = async |Case { world, agent, .. }: &Case| {
        let before = world.store.agent(&agent.id).await?.unwrap().agent;
        let incarnation = new_incarnation();
        let spawned = world.store.spawn_agent(&agent.id, ROLE, "s", &incarnation, true, "next", None);
        spawned.await?;
        let after = world.store.agent(&agent.id).await?.unwrap().agent;
        assert_eq!((after.pid, after.task, after.master), (None, None, true));
        assert_eq!(after.restarts, u32::from(before.state == Failed));
        let late = world.store.hello(&agent.id, &agent.incarnation, &process(1)).await;
        assert_eq!(refusal(late), "stale", "the incarnation before it");
        Ok("ok".into())
    };
    in_each_state(
        spawn,
        [
            ("taken", Starting),
            ("taken", Idle),
            ("taken", Busy),
            ("taken", Stopping),
            ("ok", Starting),
            ("ok", Starting),
        ],
    )
    .await;
}

#[tokio::test]
async fn hello_reports_for_duty() {
    let hello = async |Case { world, agent, .. }: &Case| {
        let state = world.store.hello(&agent.id, &agent.incarnation, &process(9)).await?;
        let record = world.store.agent(&agent.id).await?.unwrap().agent;
        assert_eq!((record.pid, record.process), (Some(9), process(9)));
        Ok(state.to_string())
    };
    in_each_state(
        hello,
        [("idle", Idle), ("idle", Idle), ("busy", Busy), ("stopping", Stopping), ("stale", Stopped), ("stale", Failed)],
    )
    .await;
}

#[tokio::test]
async fn place_notes_the_process() {
    let place = async |Case { world, agent, .. }: &Case| {
        let process_8 = process(8);
        let placed = world.store.place_agent(&agent.id, &agent.incarnation, &process_8);
        placed.await?;
        let other = world.store.place_agent(&agent.id, "another", &process(7)).await;
        assert_eq!(refusal(other), "stale");
        let record = world.store.agent(&agent.id).await?.unwrap().agent;
        assert_eq!(record.process, process(8));
        Ok("ok".into())
    };
    let unchanged: Vec<_> = AgentState::ALL.iter().map(|s| ("ok", *s)).collect();
    in_each_state(place, unchanged.try_into().unwrap()).await;
}

#[tokio::test]
async fn claim_is_for_the_idle_and_answers_the_busy_with_what_they_have() {
    let claim = async |Case { world, agent, claimed }: &Case| {
        let answer = world.store.claim(&agent.id, &agent.incarnation, LEASE).await?;
        if let (Some(before), Some(now)) = (claimed, &answer) {
            assert_eq!((before.fence, before.attempt), (now.fence, now.attempt));
        }
        Ok(answer.map_or("nothing".into(), |c| c.task.description))
    };
    in_each_state(
        claim,
        [
            ("nothing", Starting),
            ("ready", Busy),
            ("its own", Busy),
            ("nothing", Stopping),
            ("stale", Stopped),
            ("stale", Failed),
        ],
    )
    .await;
}

#[tokio::test]
async fn heartbeat_tells_who_shall_leave() {
    let beat = async |Case { world, agent, claimed }: &Case| {
        let pulse = claimed.as_ref().map_or_else(Pulse::default, pulse);
        let beat = world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse);
        let answer = format!("{:?}", beat.await?);
        let record = world.store.agent(&agent.id).await?.unwrap().agent;
        assert!(record.heartbeat_age_ms.is_some());
        Ok(answer)
    };
    in_each_state(
        beat,
        [
            ("Go", Starting),
            ("Go", Idle),
            ("Go", Busy),
            (r#"Stop("told to")"#, Stopping),
            ("stale", Stopped),
            ("stale", Failed),
        ],
    )
    .await;
}

#[tokio::test]
async fn stop_tells_whoever_lives() {
    let stop = async |Case { world, agent, .. }: &Case| {
        let other = world.store.stop_agent(&agent.id, "another", false, "x").await;
        assert_eq!(refusal(other), "stale");
        let stop = world.store.stop_agent(&agent.id, &agent.incarnation, false, "x");
        Ok(stop.await?.to_string())
    };
    in_each_state(
        stop,
        [
            ("stopping", Stopping),
            ("stopping", Stopping),
            ("stopping", Stopping),
            ("stopping", Stopping),
            ("stopped", Stopped),
            ("failed", Failed),
        ],
    )
    .await;
}

#[tokio::test]
async fn stop_of_the_idle_leaves_the_busy_alone() {
    let stop = async |Case { world, agent, .. }: &Case| {
        let stop = world.store.stop_agent(&agent.id, &agent.incarnation, true, "x");
        Ok(stop.await?.to_string())
    };
    in_each_state(
        stop,
        [
            ("stopping", Stopping),
            ("stopping", Stopping),
            ("busy", Busy),
            ("stopping", Stopping),
            ("stopped", Stopped),
            ("failed", Failed),
        ],
    )
    .await;
}

#[tokio::test]
async fn end_agent_from_every_state() {
    for to in [Stopped, Failed] {
        let end = async |Case { world, agent, .. }: &Case| {
            let ending = Ending { to, ..crash() };
            let other = world.store.end_agent(&agent.id, "another", &ending).await;
            assert_eq!(refusal(other), "stale");
            let ended = world.store.end_agent(&agent.id, &agent.incarnation, &ending).await?;
            let table = world.events().await.into_iter().filter(|e| e.agent.as_deref() == Some(&agent.id));
            for event in table.filter(|e| e.kind.is_about_agent()) {
                if let (Some(from), Some(to)) = (event.from, event.to) {
                    let (from, to): (AgentState, AgentState) = (from.parse().unwrap(), to.parse().unwrap());
                    assert!(from.may_become(to), "{from} to {to}");
                }
            }
            Ok(ended.map_or("no task".into(), |(_, state)| state.to_string()))
        };
        in_each_state(
            end,
            [
                ("no task", to),
                ("no task", to),
                ("delayed", to),
                ("no task", to),
                ("no task", Stopped),
                ("no task", Failed),
            ],
        )
        .await;
    }
}

/// What is refused must be refused before the first write.
#[tokio::test]
async fn an_end_that_is_none_is_refused_whole() {
    let server = Server::start();
    let case = bring(&server, Busy).await;
    let ending = Ending { to: Idle, ..crash() };
    let Agent { id, incarnation } = &case.agent;
    let answer = case.world.store.end_agent(id, incarnation, &ending).await;
    assert!(answer.is_err());
    assert_eq!(case.world.agent_state(&case.agent).await, Busy);
    check::structures(&case.world).await;
}

#[tokio::test]
async fn an_agent_told_to_stop_while_busy_ends_its_task_first() {
    let server = Server::start();
    let case = bring(&server, Busy).await;
    let (world, agent, claimed) = (&case.world, &case.agent, case.claimed.as_ref().unwrap());
    world.store.stop_agent(&agent.id, &agent.incarnation, false, "x").await.unwrap();
    let report = report(agent, claimed, Cause::Success);
    let (finished, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
    assert_eq!(finished.unwrap(), TaskState::Succeeded);
    assert!(next.unwrap().is_none(), "it takes nothing more");
    let record = world.store.agent(&agent.id).await.unwrap().unwrap().agent;
    assert_eq!((record.state, record.task, record.tasks_done), (Stopping, None, 1));
    check::structures(world).await;
}
