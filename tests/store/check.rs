//! Holds all that is stored in a namespace together, and what was told of it.

use std::collections::BTreeMap;

use orch::{
    drill::history::{Ack, History, LivingAgent, check},
    model::time::Timestamp,
};
use redis::Connection;

use super::fixture::World;

/// What stands under each key, as Redis packs it.
pub type Dump = BTreeMap<String, Vec<u8>>;

/// Panics where two structures of the namespace disagree.
pub async fn structures(world: &World) {
    assert_eq!(world.store.audit().await.unwrap(), Vec::<String>::new());
}

/// Panics where what was told and what is recorded break a promise. Open tasks are none.
pub async fn history(world: &World) {
    let ids = world.store.task_ids(None).await.unwrap();
    let mut tasks = Vec::new();
    for id in &ids {
        tasks.push(world.detail(id).await);
    }
    let living = world.store.agents().await.unwrap().into_iter().map(|r| r.agent);
    let history = History {
        acknowledged: ids.into_iter().map(|id| Ack { at: Timestamp::default(), id, key: None }).collect(),
        tasks,
        agents: Some(living.map(|a| LivingAgent { id: a.id, state: a.state }).collect()),
        events: world.events().await,
        ..History::default()
    };
    let mut found = check(&history);
    // Tests stop where they like, and their attempts answer nothing.
    found.retain(|v| v.invariant != "every task ends or waits for a person" && !v.facts.contains("has no result"));
    assert_eq!(found, [], "{history:#?}");
}

/// Everything that is stored but the events and the clock: what is refused, or sent again, must not change it.
pub fn dump(world: &World) -> Dump {
    let mut all = dump_all(world);
    for not_compared in ["events", "wake:supervisor"] {
        all.remove(&world.store.keys().plain(not_compared));
    }
    // They list events.
    let trails = world.store.keys().plain("trail:");
    all.retain(|key, _| !key.starts_with(&trails));
    all
}

/// Everything that is stored.
pub fn dump_all(world: &World) -> Dump {
    let mut c = world.raw();
    let all: Vec<String> = query(&mut c, &["KEYS", &world.store.keys().plain("*")]);
    all.into_iter().map(|key| (key.clone(), query(&mut c, &["DUMP", &key]))).collect()
}

/// Makes it so again.
pub fn restore(world: &World, dump: &Dump) {
    let mut c = world.raw();
    let mut pipe = redis::pipe();
    pipe.cmd("FLUSHDB");
    for (key, value) in dump {
        pipe.cmd("RESTORE").arg(key).arg(0).arg(value);
    }
    pipe.exec(&mut c).unwrap();
}

fn query<T: redis::FromRedisValue>(c: &mut Connection, words: &[&str]) -> T {
    redis::cmd(words[0]).arg(&words[1..]).query(c).unwrap()
}
