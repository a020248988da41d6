//! Of an account that may have reached a limit, a few attempts start first.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        gate::GateCode,
        task::{TaskResult, Usage},
    },
    store::{attempts::Report, spend::Budget, tasks::Claimed},
};

use crate::{
    check,
    fixture::{Agent, ROLE, Server, World, report, task},
};

/// A world with a role of an account, and that many agents and tasks.
async fn world_of(server: &Server, name: &str, budget: Budget, agents: usize) -> (World, Vec<Agent>) {
    let world = server.world(name);
    world.store.set_budget(&Budget { role: ROLE.into(), ..budget }).await.unwrap();
    let mut idle = Vec::new();
    for n in 1..=agents {
        idle.push(world.agent(&format!("shell-{n}")).await);
        world.delegate(&task("x")).await;
    }
    (world, idle)
}

fn claude() -> Budget {
    Budget { account: "claude".into(), is_tried: true, ..Budget::default() }
}

/// Which of these agents get a task when they ask one after the other.
async fn claimed(world: &World, agents: &[Agent]) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    for agent in agents {
        claimed.extend(world.try_claim(agent).await);
    }
    claimed
}

fn later(world: &World, by: Duration) {
    let offset = u64::try_from(by.as_millis()).unwrap();
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(offset).query(&mut world.raw()).unwrap();
}

fn limited(agent: &Agent, claimed: &Claimed, left: Duration) -> Report {
    let retry_after_ms = Some(u64::try_from(left.as_millis()).unwrap());
    Report { account: Some("claude".into()), retry_after_ms, ..report(agent, claimed, Cause::RateLimited) }
}

fn answered(agent: &Agent, claimed: &Claimed) -> Report {
    let usage = Some(Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() });
    let result = Some(TaskResult { text: "done".into(), usage, ..TaskResult::default() });
    Report { result, ..report(agent, claimed, Cause::Success) }
}

#[tokio::test]
async fn after_a_pause_two_attempts_start_and_the_others_soon_after() {
    let server = Server::start();
    let (world, agents) = world_of(&server, "n", claude(), 5).await;
    assert_eq!(world.store.suspensions(&[ROLE.into()]).await.unwrap().rooms[ROLE], 2, "no more agents are started");
    assert_eq!(claimed(&world, &agents).await.len(), 2);
    let (held, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    assert_eq!((held[ROLE].code, &held[ROLE].account), (GateCode::StartRate, &None));
    assert!(held[ROLE].reason.contains("2 attempts try whether its service answers"), "{held:?}");
    later(&world, Duration::from_millis(9_000));
    assert!(claimed(&world, &agents[2..]).await.is_empty());
    later(&world, Duration::from_millis(11_000));
    assert_eq!(claimed(&world, &agents[2..]).await.len(), 3);
    check::structures(&world).await;
}

#[tokio::test]
async fn an_answer_of_the_service_ends_the_trial() {
    let server = Server::start();
    let (world, agents) = world_of(&server, "n", claude(), 5).await;
    let first = claimed(&world, &agents).await;
    assert_eq!(first.len(), 2);
    world.store.finish(&answered(&agents[0], &first[0])).await.unwrap();
    assert_eq!(claimed(&world, &agents[2..]).await.len(), 3);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_limit_of_hours_is_met_by_two_attempts_and_its_end_by_one() {
    let server = Server::start();
    let (world, agents) = world_of(&server, "n", claude(), 5).await;
    let hours = Duration::from_secs(3 * 3600);
    let first = claimed(&world, &agents).await;
    assert_eq!(first.len(), 2);
    for (agent, claimed) in agents.iter().zip(&first) {
        world.store.finish(&limited(agent, claimed, hours)).await.unwrap();
    }
    for minutes in [0, 1, 60, 179] {
        later(&world, Duration::from_secs(minutes * 60));
        assert!(claimed(&world, &agents).await.is_empty(), "after {minutes} min");
    }
    // It was read wrongly, or is another one: again one attempt meets it.
    later(&world, hours + Duration::from_secs(60));
    assert_eq!(world.store.suspensions(&[ROLE.into()]).await.unwrap().rooms[ROLE], 1);
    let one = claimed(&world, &agents).await;
    assert_eq!(one.len(), 1);
    assert!(world.store.suspended(&[ROLE.into()]).await.unwrap().0[ROLE].reason.contains("one attempt tries"));
    world.store.finish(&limited(&agents[0], &one[0], hours)).await.unwrap();
    assert!(claimed(&world, &agents).await.is_empty());

    // It has ended: after an answer, the others start.
    later(&world, 2 * hours + Duration::from_secs(180));
    let one = claimed(&world, &agents).await;
    assert_eq!(one.len(), 1);
    world.store.finish(&answered(&agents[0], &one[0])).await.unwrap();
    assert_eq!(claimed(&world, &agents[1..]).await.len(), 1, "the others have met the limit, and are delayed");
    check::structures(&world).await;
}

#[tokio::test]
async fn an_attempt_that_says_nothing_keeps_the_others_for_half_a_minute() {
    let server = Server::start();
    let (world, agents) = world_of(&server, "n", claude(), 3).await;
    let first = claimed(&world, &agents[..1]).await;
    world.store.finish(&limited(&agents[0], &first[0], Duration::from_secs(60))).await.unwrap();
    later(&world, Duration::from_secs(62));
    assert_eq!(claimed(&world, &agents).await.len(), 1);
    later(&world, Duration::from_secs(62 + 28));
    assert!(claimed(&world, &agents[1..]).await.is_empty());
    later(&world, Duration::from_secs(62 + 31));
    assert_eq!(
        claimed(&world, &agents[1..]).await.len(),
        1,
        "the limited one is delayed until then, and claimed first"
    );
    check::structures(&world).await;
}

#[tokio::test]
async fn what_a_person_says_of_an_account_and_roles_without_a_service_are_not_tried() {
    let server = Server::start();
    let without_a_service = Budget { is_tried: false, ..claude() };
    let limited_by_a_person = Budget { slots: Some((4, vec![ROLE.into()])), ..claude() };
    for (name, budget) in [("a", without_a_service), ("b", limited_by_a_person)] {
        let (world, agents) = world_of(&server, name, budget, 4).await;
        assert_eq!(claimed(&world, &agents).await.len(), 4, "{name}");
    }
}
