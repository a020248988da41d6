//! The configuration of the private Redis, changed from outside.

use std::time::Duration;

use super::{
    super::{guard::Guard, redis::Redis},
    world::World,
};
use crate::{
    model::event::EventKind,
    redis_server::{User, socket_path, url_with_password},
    store::Store,
};

async fn call(user: &str, world: &World, words: &[&str]) -> ::redis::RedisResult<::redis::Value> {
    let socket = socket_path(world.supervisor.home.path()).unwrap();
    let url = match user {
        "" => format!("redis+unix://{}", socket.display()),
        _ => url_with_password(world.supervisor.home.path(), User::Supervisor).unwrap(),
    };
    let mut connection = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut cmd = ::redis::cmd(words[0]);
    cmd.arg(&words[1..]);
    cmd.query_async(&mut connection).await
}

async fn setting(world: &World, name: &str) -> String {
    let answer = call("supervisor", world, &["CONFIG", "GET", name]).await.unwrap();
    ::redis::from_redis_value::<Vec<String>>(answer).unwrap().remove(1)
}

#[tokio::test]
async fn what_was_changed_from_outside_is_put_back_and_recorded() {
    let world = World::new().await;
    let mut guard = Guard::of(&world.supervisor.redis, &world.supervisor.config).unwrap().unwrap();
    guard.look().await.unwrap();
    let store = &world.supervisor.store;
    assert_eq!(store.tampering().await.unwrap(), None, "maxmemory follows sessions.toml without a word");
    assert_eq!(setting(&world, "maxmemory").await, (1u64 << 30).to_string());

    for words in [
        &["CONFIG", "SET", "appendonly", "no"][..],
        &["CONFIG", "SET", "appendfsync", "no"],
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
        &["ACL", "SETUSER", "default", "on", "nopass"],
        &["ACL", "SETUSER", "runner", "+flushall"],
        &["ACL", "SETUSER", "mallory", "on", "nopass", "~*", "+@all"],
    ] {
        call("supervisor", &world, words).await.unwrap();
    }
    assert!(call("", &world, &["DBSIZE"]).await.is_ok());
    guard.look().await.unwrap();
    for (name, value) in [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")] {
        assert_eq!(setting(&world, name).await, value);
    }
    assert_eq!(call("", &world, &["DBSIZE"]).await.unwrap_err().code(), Some("NOAUTH"));
    let found = store.tampering().await.unwrap().unwrap();
    for named in ["appendonly is \"no\"", "appendfsync", "maxmemory-policy", "user default", "user runner", "mallory"] {
        assert!(found.what.contains(named), "{named}: {}", found.what);
    }
    assert_eq!(found.left, "");
    let events = store.events_last(5).await.unwrap();
    assert!(events.iter().any(|event| event.kind == EventKind::RedisChanged), "{events:?}");
    guard.look().await.unwrap();
    assert_eq!(store.tampering().await.unwrap(), Some(found), "one change is recorded once");
}

#[tokio::test]
async fn removed_passwords_are_written_again() {
    let world = World::new().await;
    let mut guard = Guard::of(&world.supervisor.redis, &world.supervisor.config).unwrap().unwrap();
    std::fs::remove_file(world.supervisor.home.redis().join("passwords.json")).unwrap();
    guard.look().await.unwrap();
    assert!(call("supervisor", &world, &["PING"]).await.is_ok());
    assert!(world.supervisor.store.tampering().await.unwrap().unwrap().what.contains("passwords"));
}

/// Upgrade: the server of an earlier release runs, and so may its agents.
#[tokio::test]
async fn a_server_without_passwords_gets_them_and_nobody_is_cut_off() {
    let world = World::new().await;
    let task = world.delegate().await;
    let home = world.supervisor.home.clone();
    for words in [
        &["ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all"][..],
        &["ACL", "DELUSER", "supervisor", "runner", "person"],
    ] {
        // The second one ends its own connection.
        let _ = call("supervisor", &world, words).await;
    }
    std::fs::remove_file(home.redis().join("passwords.json")).unwrap();
    std::fs::remove_file(home.redis().join("users.acl")).unwrap();
    world.supervisor.store.log_in_again().await;
    assert!(call("", &world, &["DBSIZE"]).await.is_ok(), "as an earlier release leaves it");
    let socket = socket_path(home.path()).unwrap();
    let old = ::redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap();
    let mut old = old.get_multiplexed_async_connection().await.unwrap();

    let redis = Redis::start(&world.supervisor.config).await.unwrap();
    let mut guard = Guard::of(&redis, &world.supervisor.config).unwrap().unwrap();
    guard.look().await.unwrap();
    assert_eq!(call("", &world, &["DBSIZE"]).await.unwrap_err().code(), Some("NOAUTH"));
    ::redis::cmd("DBSIZE").query_async::<u64>(&mut old).await.expect("an agent of the earlier release goes on");
    let person = Store::private(home.path(), "test", User::Person, Duration::ZERO).unwrap();
    assert!(person.task(&task).await.unwrap().is_some(), "nothing is lost");
    assert_eq!(person.tampering().await.unwrap(), None, "an upgrade is no alarm");
}
