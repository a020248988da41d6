//! The format of what is stored: newer ones are refused and left alone, older ones become that of this release.

use std::time::Duration;

use orch::{
    model::{event::EventKind, format::FORMAT, task::TaskState},
    store::{Store, StoreError, requests::Request},
};

use super::{check, fixture::*};

fn redis_cmd(world: &World, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(world.store.keys().plain(words[1])).arg(&words[2..]);
    command.exec(&mut world.raw()).unwrap();
}

fn format_of(world: &World) -> Option<String> {
    redis::cmd("GET").arg(world.store.keys().plain("format")).query(&mut world.raw()).unwrap()
}

/// A store with a connection of its own, as each process has it.
fn another(world: &World) -> Store {
    Store::at_socket(&world.socket, None, "n", Duration::from_secs(20)).unwrap()
}

fn supervisors(world: &World) -> Store {
    another(world).accepting_older_formats()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, found: &str) {
    let error = answer.unwrap_err();
    assert_eq!(error, StoreError::Format { found: found.into() });
    let error = orch::error::Error::from(error);
    assert_eq!(error.kind.exit_code(), 4);
    assert!(error.message.contains(found) && error.hint.is_some(), "{error}");
}

#[tokio::test]
async fn the_first_event_of_a_namespace_comes_with_the_number() {
    let server = Server::start();
    let world = server.world("n");
    assert_eq!(world.store.task_counts().await.unwrap().len(), TaskState::ALL.len());
    assert_eq!(format_of(&world), None, "who only looks writes nothing");
    world.delegate(&task("x")).await;
    assert_eq!(format_of(&world), Some(FORMAT.to_string()));
    another(&world).tasks(&[]).await.unwrap();
    check::structures(&world).await;
}

#[tokio::test]
async fn a_newer_format_and_one_that_does_not_read_are_refused_and_nothing_is_touched() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    for (stored, found) in [("3", "3"), ("two", "'two'"), ("", "''")] {
        redis_cmd(&world, &["SET", "format", stored]);
        redis_cmd(&world, &["HSET", "intent", "pause", "1"]);
        let before = check::dump(&world);
        for store in [another(&world), supervisors(&world)] {
            refused(store.task(&id).await, found);
            refused(store.delegate(&task("y")).await, found);
            refused(store.request(&Request::Drain, EventKind::RequestDrain, "r").await, found);
            refused(store.claim("shell-1", "x", LEASE).await, found);
            refused(store.migrate().await, found);
        }
        assert_eq!(check::dump(&world), before);
    }
}

/// A newer supervisor has started meanwhile: who is connected since before is refused by the next transition.
#[tokio::test]
async fn a_process_that_was_there_before_a_newer_release_touches_nothing_more() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    world.delegate(&task("x")).await;
    redis_cmd(&world, &["SET", "format", "3"]);
    let before = check::dump(&world);
    refused(world.store.claim(&agent.id, &agent.incarnation, LEASE).await, "3");
    refused(world.store.delegate(&task("y")).await, "3");
    refused(world.store.request(&Request::Drain, EventKind::RequestDrain, "r").await, "3");
    assert_eq!(check::dump(&world), before);
}

#[tokio::test]
async fn the_present_format_without_its_number_gets_it_back() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    redis_cmd(&world, &["DEL", "format"]);
    refused(another(&world).task(&id).await, "1");
    assert_eq!(supervisors(&world).migrate().await.unwrap(), Some(1));
    assert_eq!(format_of(&world), Some(FORMAT.to_string()));
    assert_eq!(another(&world).task(&id).await.unwrap().unwrap().task.state, TaskState::Ready);
    check::structures(&world).await;
}

/// What the first release wrote under other names.
fn write_the_first_format(world: &World) {
    for words in [
        &["DEL", "format"][..],
        &["HSET", "intent", "pause", "1", "scale:shell", "3", "spawn:shell:abc", "1"],
        &[
            "HSET",
            "remains",
            "an-incarnation",
            r#"{"agent":"shell-1","session":"shell-1","process":{"host":"here","boot_id":"b","pid":7,"start_time":7}}"#,
        ],
        &["HSET", "budgets", "unfit:shell", "no program", "account:shell", "role shell"],
        &["HSET", "damaged:t-1", "text", "half a record"],
        &["HSET", "damaged:t-*[2]", "text", "another"],
        &["SET", "wished:abc", "1", "PX", "3600000"],
    ] {
        redis_cmd(world, words);
    }
}

#[tokio::test]
async fn the_first_format_is_migrated_and_nothing_is_lost() {
    let server = Server::start();
    let world = server.world("n");
    let other = server.world("other");
    redis::cmd("SET").arg(other.store.keys().plain("wished:x")).arg("1").exec(&mut world.raw()).unwrap();
    let id = world.delegate(&task("x")).await;
    write_the_first_format(&world);
    for store in [another(&world), another(&world)] {
        refused(store.requests().await, "1");
        refused(store.delegate(&task("y")).await, "1");
    }

    let store = supervisors(&world);
    assert_eq!(store.migrate().await.unwrap(), Some(1));
    assert_eq!(store.migrate().await.unwrap(), None, "it is done");

    let snapshot = another(&world).observe(&[ROLE.into()]).await.unwrap();
    assert!(snapshot.requests.pause);
    assert_eq!(snapshot.orphans["an-incarnation"].process, process(7));
    let (suspended, _) = another(&world).suspended(&[ROLE.into()]).await.unwrap();
    assert_eq!(suspended[ROLE].reason, "no program");
    let mut raw = world.raw();
    let mut names: Vec<String> = redis::cmd("KEYS").arg("orch:{n}:*").query(&mut raw).unwrap();
    names.retain(|name| name.contains("quarantine") || name.contains("requested") || name.contains("damaged"));
    names.sort();
    assert_eq!(
        names,
        ["quarantine:t-*[2]", "quarantine:t-1", "requested:abc"].map(|name| format!("orch:{{n}}:{name}"))
    );
    let left: i64 = redis::cmd("PTTL").arg(world.store.keys().plain("requested:abc")).query(&mut raw).unwrap();
    assert!(left > 0, "it still expires: {left}");
    let gone: u64 = redis::cmd("EXISTS").arg(&["orch:{n}:intent", "orch:{n}:remains"]).query(&mut raw).unwrap();
    assert_eq!((gone, world.state(&id).await), (0, TaskState::Ready));
    let elsewhere: u64 = redis::cmd("EXISTS").arg(other.store.keys().plain("wished:x")).query(&mut raw).unwrap();
    assert_eq!(elsewhere, 1, "another namespace is another's");
}

/// A crash leaves some steps done, and fields under both names.
#[tokio::test]
async fn a_migration_that_was_cut_off_is_finished_by_the_next_one() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    write_the_first_format(&world);
    supervisors(&world).migrate().await.unwrap();
    let done = check::dump(&world);
    redis_cmd(&world, &["DEL", "format"]);
    // Written in its new place, and not yet removed from the old one; and one that was not moved at all.
    redis_cmd(&world, &["HSET", "intent", "pause", "1"]);
    redis_cmd(&world, &["HDEL", "requests", "spawn:shell:abc"]);
    redis_cmd(&world, &["HSET", "intent", "spawn:shell:abc", "1"]);
    supervisors(&world).migrate().await.unwrap();
    assert_eq!(check::dump(&world), done);
}
