//! The beginning of an id finds its tasks, also where an earlier release has accepted some.

use std::time::Duration;

use orch::model::id::TaskId;

use super::{check, fixture::*};

async fn beginning(world: &World, beginning: &str) -> Vec<TaskId> {
    let mut found = world.store.tasks_beginning(beginning, 1_000).await.unwrap();
    found.sort();
    found
}

#[tokio::test]
async fn the_beginning_of_an_id_finds_all_its_tasks_also_those_of_an_earlier_release() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(world.delegate(&task(&n.to_string())).await);
    }
    ids.sort();
    let finds_all = async |asked: &[TaskId], all: &[TaskId]| {
        for id in asked {
            for n in 2..=12 {
                let text = &id.as_str()[..n];
                let of: Vec<TaskId> = all.iter().filter(|id| id.as_str().starts_with(text)).cloned().collect();
                assert_eq!(beginning(&world, text).await, of, "{text}");
            }
        }
    };
    finds_all(&ids, &ids).await;
    assert_eq!(world.store.tasks_beginning("t-", 7).await.unwrap().len(), 7);

    // An earlier release does not know this order.
    let order = world.store.keys().plain("ids");
    let ordered = || -> u64 { redis::cmd("ZCARD").arg(&order).query(&mut world.raw()).unwrap() };
    redis::cmd("ZREM").arg(&order).arg(ids[3].as_str()).exec(&mut world.raw()).unwrap();
    finds_all(&ids[..5], &ids).await;
    world.store.migrate().await.unwrap();
    assert_eq!(ordered(), 100);
    finds_all(&ids[..5], &ids).await;
    redis::cmd("SET").arg(&order).arg("damaged").exec(&mut world.raw()).unwrap();
    world.store.migrate().await.unwrap();
    assert_eq!(ordered(), 100);

    world.store.cancel(&ids, "a test").await.unwrap();
    world.store.prune(Duration::ZERO, 60).await.unwrap();
    assert_eq!(ordered(), 40);
    let mut left = world.store.task_ids(None).await.unwrap();
    left.sort();
    finds_all(&ids, &left).await;
    check::structures(&world).await;
}
