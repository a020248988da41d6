//! The events about one task, read without those about others.

use std::time::Duration;

use orch::model::{cause::Cause, event::Event, id::TaskId};

use super::{check, fixture::*};

fn of<'a>(id: &TaskId, events: &'a [Event]) -> Vec<&'a Event> {
    events.iter().filter(|e| e.task.as_deref() == Some(id.as_str())).collect()
}

#[tokio::test]
async fn the_events_about_a_task_are_those_of_the_stream() {
    let server = Server::start();
    let world = server.world("n");
    let [one, two] = [world.agent("shell-1").await, world.agent("shell-2").await];
    let mut tasks = Vec::new();
    for agent in [&one, &two, &one] {
        tasks.push(world.delegate(&task("x")).await);
        let claimed = world.claim(agent).await;
        world.finish(agent, &claimed, Cause::Permanent).await;
    }
    world.store.retry(&tasks[0], "a test").await.unwrap();
    let events = world.events().await;
    for id in &tasks {
        let (found, are_dropped) = world.store.events_of_task(id).await.unwrap().unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), of(id, &events), "{id}");
        assert!(found.len() >= 3 && !are_dropped);
    }
    assert_eq!(world.store.events_of_task(&TaskId::random()).await.unwrap(), None);
    check::structures(&world).await;
}

#[tokio::test]
async fn of_many_events_the_newest_are_listed() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    for n in 0..230 {
        world.store.progress(&capability(&agent, &claimed), &format!("step {n}")).await.unwrap();
    }
    let (found, _) = world.store.events_of_task(&id).await.unwrap().unwrap();
    assert!((50..=100).contains(&found.len()), "{}", found.len());
    let events = world.events().await;
    let all = of(&id, &events);
    assert_eq!(found.iter().collect::<Vec<_>>(), all[all.len() - found.len()..]);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_list_goes_with_its_task_and_nothing_begins_it_again() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Success).await;
    world.store.prune(Duration::ZERO, 10).await.unwrap();
    // The event of a late report names the task.
    assert_eq!(refusal(world.store.finish(&report(&agent, &claimed, Cause::Transient)).await), "stale");
    assert_eq!(world.store.events_of_task(&id).await.unwrap(), None);
    check::structures(&world).await;
}
