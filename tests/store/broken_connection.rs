//! A server that dies, and one that forgets its scripts, while calls are made.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orch::{
    model::{cause::Cause, task::TaskState},
    store::Store,
};

use super::{check, fixture::*};

/// Makes tasks and does them until told to stop; the ids of what was acknowledged: delegated, succeeded.
async fn work(world: World, agent: String, stop: Arc<AtomicBool>) -> [HashSet<String>; 2] {
    let (mut delegated, mut done) = (HashSet::new(), HashSet::new());
    let agent = world.agent(&agent).await;
    let mut last = None;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..2 {
            delegated.insert(world.delegate(&task("x")).await.to_string());
        }
        let claimed = match last.take() {
            Some(claimed) => claimed,
            None => world.claim(&agent).await,
        };
        let report = report(&agent, &claimed, Cause::Success);
        let (finished, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!(finished.unwrap(), TaskState::Succeeded);
        assert!(done.insert(claimed.task.id.to_string()), "{} was done twice", claimed.task.id);
        last = next.unwrap();
        assert!(last.iter().all(|next| next.fence > claimed.fence));
    }
    [delegated, done]
}

#[tokio::test]
async fn calls_outlive_a_server_that_is_killed_and_nothing_acknowledged_is_lost() {
    let mut server = Server::start();
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> =
        (0..3).map(|i| tokio::spawn(work(server.world("n"), format!("shell-{i}"), stop.clone()))).collect();
    let world = server.world("n");
    let mut seen = 0;
    for _ in 0..4 {
        // Each death falls into work that goes on.
        loop {
            let counts = world.store.task_counts().await.unwrap();
            let now: u64 = counts.iter().map(|(_, n)| n).sum();
            if now >= seen + 100 {
                seen = now;
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.start_again();
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let [delegated, done] = worker.await.unwrap();
        let ids: Vec<_> = delegated.iter().chain(&done).map(|id| id.parse().unwrap()).collect();
        assert_eq!(world.store.tasks(&ids).await.unwrap().len(), ids.len(), "all are there");
        for id in done {
            assert_eq!(world.state(&id.parse().unwrap()).await, TaskState::Succeeded);
        }
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn calls_outlive_a_server_that_forgets_its_scripts() {
    let server = Server::start();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn(work(server.world("n"), "shell-1".into(), stop.clone()));
    let mut raw = server.raw();
    for _ in 0..300 {
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut raw).unwrap();
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    worker.await.unwrap();
    check::structures(&server.world("n")).await;
}

/// A new server that knows `claim` (another agent has called it) and not `finish`: the claim must not run before the
/// finish, or it answers with the very attempt that is being reported, and the work is done twice.
#[tokio::test]
async fn a_claim_never_overtakes_the_finish_before_it() {
    let server = Server::start();
    let world = server.world("n");
    let (agent, other) = (world.agent("shell-1").await, world.agent("shell-2").await);
    for known in [Some(&other), None] {
        world.delegate(&task("x")).await;
        let claimed = world.claim(&agent).await;
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut server.raw()).unwrap();
        if let Some(other) = known {
            assert!(world.try_claim(other).await.is_none());
        }
        let report = report(&agent, &claimed, Cause::Success);
        let (finished, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
        assert_eq!(finished.unwrap(), TaskState::Succeeded);
        assert!(next.unwrap().is_none(), "there was one task");
    }
}

#[tokio::test]
async fn a_missing_server_is_unreachable_once_the_retry_deadline_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none");
    let store = Store::at_socket(&socket, None, "n", Duration::from_millis(50)).unwrap();
    let error = store.delegate(&task("x")).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
    let woken = store.supervisor_waker().wait(LONG).await;
    assert!(woken.unwrap_err().is_unreachable());
}

/// A script that takes long, another client's say, makes the server answer BUSY for a while: that is no answer.
#[tokio::test]
async fn a_server_that_is_busy_is_waited_for() {
    let server = Server::start();
    let world = server.world("n");
    let mut raw = server.raw();
    let () = redis::cmd("CONFIG").arg(&["SET", "lua-time-limit", "1"]).query(&mut raw).unwrap();
    world.delegate(&task("before")).await;
    let long = tokio::task::spawn_blocking(move || {
        let endless = redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut raw);
        endless.unwrap_err();
    });
    let mut other = loop {
        // `raw` waits for a PONG, which a busy server does not give.
        let client = redis::Client::open(format!("redis+unix://{}", server.socket().display())).unwrap();
        let mut connection = client.get_connection().unwrap();
        match redis::cmd("PING").query::<String>(&mut connection) {
            Err(e) if e.code() == Some("BUSY") => break connection,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let call = tokio::spawn(async move { world.store.delegate(&task("meanwhile")).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let () = redis::cmd("SCRIPT").arg("KILL").query(&mut other).unwrap();
    long.await.unwrap();
    assert!(call.await.unwrap().unwrap().created);
}

#[tokio::test]
async fn a_full_memory_is_said_and_not_waited_for() {
    let server = Server::start();
    let world = server.world("n");
    let mut raw = server.raw();
    let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query(&mut raw).unwrap();
    let error = world.store.delegate(&task("x")).await.unwrap_err();
    assert!(matches!(error, orch::store::StoreError::CannotWrite(_)), "{error:?}");
    let error = orch::error::Error::from(error);
    assert!(
        error.message.contains("memory is full") && error.hint.unwrap().contains("max_memory"),
        "{}",
        error.message
    );
}

/// What was accepted goes on: only what is new needs room.
#[tokio::test]
async fn a_full_memory_lets_reports_and_ends_through() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let [first, second, third] = [(); 3].map(|()| task("x"));
    for task in [&first, &second, &third] {
        world.delegate(task).await;
    }
    let claimed = world.claim(&agent).await;
    let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query(&mut server.raw()).unwrap();
    assert!(world.store.delegate(&task("y")).await.is_err());
    world.store.can_write().await.unwrap();
    world.store.cancel(std::slice::from_ref(&third.id), "a test").await.unwrap();
    let report = report(&agent, &claimed, Cause::Success);
    let (finished, next) = world.store.finish_and_claim(&report, LEASE).await.unwrap();
    assert_eq!(finished.unwrap(), TaskState::Succeeded);
    assert!(next.unwrap().is_some(), "the next one is claimed");
    world.store.count_supervisor_start().await.unwrap();
    assert_eq!(world.state(&third.id).await, TaskState::Cancelled);
}

#[tokio::test]
async fn no_error_shows_the_hash_of_a_script() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let keys = world.store.keys().clone();
    let () = redis::cmd("SET").arg(keys.plain("events")).arg("damaged").query(&mut server.raw()).unwrap();
    let error = world.store.delegate(&task("y")).await.unwrap_err().to_string();
    assert!(error.contains("WRONGTYPE") && !error.contains("script: ") && !error.contains("f_"), "{error}");
}
