//! What agents' programs wait for: told of once, told exactly, and taken back.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        wait::Needs,
        wait::{Need, Retry, Wait},
    },
    store::agents::Pulse,
};

use super::{check, fixture::*};

const WAITS: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_agent_that_newly_asks_is_told_of_once_for_as_long_as_it_asks() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let (busy, idle) = (world.agent("shell-1").await, world.agent("opus-master").await);
    let claimed = world.claim(&busy).await;
    let beat = async |agent: &Agent, needs: Option<Needs>| {
        let wait = needs.map(|what| Wait::Person(Need { what, of: String::new() }));
        let pulse = if agent.id == busy.id { pulse(&claimed) } else { Pulse::default() };
        world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &Pulse { wait, ..pulse }).await.unwrap();
        world.store.agent(&agent.id).await.unwrap().unwrap().agent
    };
    let told = async || {
        let told = world.store.take_notices(10).await.unwrap();
        told.into_iter().map(|n| (n.what, n.agent.unwrap(), n.task, n.needs.unwrap(), n.text)).collect::<Vec<_>>()
    };

    let asking = beat(&busy, Some(Needs::Permission)).await;
    assert_eq!(beat(&busy, Some(Needs::Permission)).await.needs_since, asking.needs_since);
    assert!(asking.needs_since.is_some());
    // The master has no lease.
    assert_eq!(beat(&idle, Some(Needs::Login)).await.needs, Some(Needs::Login));
    let text = format!("agent shell-1 waits for {id}: its program asks for permission: see its screen");
    let masters = "agent opus-master waits: its program asks for login".to_owned();
    assert_eq!(
        told().await,
        [
            ("needs".to_owned(), busy.id.clone(), Some(id.clone()), Needs::Permission, text.clone()),
            ("needs".to_owned(), idle.id.clone(), None, Needs::Login, masters)
        ]
    );
    beat(&busy, Some(Needs::Permission)).await;
    assert_eq!(told().await, [], "it still asks for the same");

    // Answered before anybody was told; asked again, it is told again.
    assert_eq!(beat(&busy, None).await.needs_since, None);
    beat(&busy, Some(Needs::Input)).await;
    beat(&busy, None).await;
    assert_eq!(told().await, []);
    beat(&busy, Some(Needs::Permission)).await;
    assert_eq!(told().await.len(), 1);

    world.store.end_agent(&idle.id, &idle.incarnation, &crash()).await.unwrap();
    let ended = world.store.agent(&idle.id).await.unwrap().unwrap().agent;
    assert_eq!((ended.needs, ended.needs_since), (None, None), "the dead ask for nothing");
    check::structures(&world).await;
}

#[tokio::test]
async fn what_exactly_is_asked_is_recorded_and_another_thing_of_the_same_kind_is_told_anew() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let beat = async |of: &str| {
        let wait = Some(Wait::Person(Need { what: Needs::Permission, of: of.into() }));
        let pulse = Pulse { wait, ..pulse(&claimed) };
        world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap();
        let agent = world.store.agent(&agent.id).await.unwrap().unwrap().agent;
        (agent.needs_for, agent.needs_since)
    };
    let told = async || {
        let told = world.store.take_notices(10).await.unwrap();
        told.into_iter().map(|n| (n.needs_for, n.text)).collect::<Vec<_>>()
    };
    let text = |asks: &str| format!("agent shell-1 waits for {id}: its program {asks}");
    let since = beat("").await.1;
    assert_eq!(beat("run Bash: ls").await, (Some("run Bash: ls".into()), since), "the same, and more is known");
    assert_eq!(told().await, [(None, text("asks for permission: see its screen"))]);
    beat("write x").await;
    assert_eq!(told().await, [(Some("write x".into()), text("asks to write x"))]);
    beat("write y").await;
    beat("write z").await;
    assert_eq!(told().await, [(Some("write z".into()), text("asks to write z"))], "what was answered is old news");
    beat("write q").await;
    beat("").await;
    assert_eq!(told().await, [(Some("write q".into()), text("asks to write q"))], "it asks, of what is not known now");
    beat("write z").await;
    let events = world.events().await;
    let asked: Vec<&str> =
        events.iter().filter(|e| e.kind.as_str() == "agent.needs").map(|e| e.reason.as_str()).collect();
    assert_eq!(asked[1..], ["x", "y", "z", "q"].map(|file| format!("its program asks to write {file}")));
    // Lua and Rust say the same.
    for what in Needs::ALL {
        let need = Need { what: *what, of: "this".into() };
        let pulse = Pulse { wait: Some(Wait::Person(need.clone())), ..pulse(&claimed) };
        world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap();
        assert_eq!(world.events().await.last().unwrap().reason, format!("its program {need}"));
    }
    world.finish(&agent, &claimed, Cause::Success).await;
    let agent = world.store.agent(&agent.id).await.unwrap().unwrap().agent;
    assert_eq!((agent.needs, agent.needs_for, agent.needs_since), (None, None, None));
    check::structures(&world).await;
}

#[tokio::test]
async fn a_question_of_a_program_is_what_its_agent_asks() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let asks = async || world.store.agent(&agent.id).await.unwrap().unwrap().agent.needs_for;
    world.store.ask(&capability(&agent, &claimed), "one", "Which\none?", &[], WAITS).await.unwrap();
    assert_eq!(asks().await.as_deref(), Some("Which one?"));
    world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse(&claimed)).await.unwrap();
    assert_eq!(asks().await.as_deref(), Some("Which one?"), "the heartbeat takes nothing back");
    let events = world.events().await;
    assert_eq!(events.iter().filter(|e| e.kind.as_str() == "agent.needs").count(), 1);
    world.store.answer(&(&id).into(), "answer", "that one", None, "a person").await.unwrap();
    assert_eq!(asks().await, None);
}

#[tokio::test]
async fn a_program_that_tries_again_is_told_of_once_and_counted_until_it_gets_on() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let beat = async |wait: Option<Wait>| {
        let pulse = Pulse { wait, ..pulse(&claimed) };
        world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap();
        world.store.agent(&agent.id).await.unwrap().unwrap().agent
    };
    let tries =
        |attempt| Retry { attempt: Some(attempt), of: Some(10), why: "overloaded (529)".into(), limited_until: None };
    let first = beat(Some(Wait::Service(tries(1)))).await.retrying.unwrap();
    let third = beat(Some(Wait::Service(tries(3)))).await.retrying.unwrap();
    assert_eq!((third.retry, third.since), (tries(3), first.since), "since it began to");
    let events = world.events().await;
    let told: Vec<&str> =
        events.iter().filter(|e| e.kind.as_str() == "agent.retrying").map(|e| e.reason.as_str()).collect();
    assert_eq!(told, ["its program tries again: overloaded (529)"]);
    // Now somebody is asked.
    let asks = Some(Wait::Person(Need { what: Needs::Login, of: String::new() }));
    let asking = beat(asks).await;
    assert_eq!((asking.needs, asking.retrying), (Some(Needs::Login), None));
    assert!(beat(Some(Wait::Service(tries(4)))).await.needs.is_none());
    assert_eq!(beat(None).await.retrying, None);
    assert_eq!(world.store.take_notices(10).await.unwrap().len(), 0, "it was let in, and a retry is nobody's work");
    beat(Some(Wait::Service(tries(5)))).await;
    world.finish(&agent, &claimed, Cause::Transient).await;
    assert_eq!(world.store.agent(&agent.id).await.unwrap().unwrap().agent.retrying, None);
}

#[tokio::test]
async fn a_question_is_told_of_once_and_not_as_an_asking_agent_too() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let beat = async |needs| {
        let wait = Option::map(needs, |what| Wait::Person(Need { what, of: String::new() }));
        let pulse = Pulse { wait, ..pulse(&claimed) };
        world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap();
    };
    let told = async || {
        let told = world.store.take_notices(10).await.unwrap();
        told.into_iter().map(|n| n.what).collect::<Vec<_>>()
    };
    world.store.ask(&capability(&agent, &claimed), "one", "Why?", &[], WAITS).await.unwrap();
    for needs in [None, Some(Needs::Input), None] {
        beat(needs).await;
    }
    assert_eq!(told().await, ["question"]);
    // While it waits for that, another part of it may ask for something else.
    beat(Some(Needs::Permission)).await;
    beat(Some(Needs::Input)).await;
    beat(Some(Needs::Permission)).await;
    assert_eq!(told().await, ["needs", "needs"]);
}
