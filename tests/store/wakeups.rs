//! Who waits is woken, by one marker each, and no place stays empty while a task is ready.

use std::time::Duration;

use futures_util::FutureExt;
use orch::{
    model::{
        agent::AgentState,
        cause::Cause,
        event::EventKind,
        task::TaskState,
        wait::{Need, Needs, Wait},
    },
    store::{Store, agents::Pulse, requests::Request, tasks::NewTask},
};

use super::{check, fixture::*};

/// Long enough that only a lost wake-up takes it.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// Whether a marker lies there for the taking.
async fn marker(waker: &mut orch::store::wake::Waker<'_>) -> bool {
    waker.wait(Duration::from_millis(1)).await.unwrap()
}

async fn drain_markers(store: &Store) {
    while marker(&mut store.role_waker(ROLE)).await {}
    while marker(&mut store.supervisor_waker()).await {}
}

/// Waits until `n` clients of the server sleep in a blocking pop.
fn until_blocked(server: &Server, n: usize) {
    let mut raw = server.raw();
    let deadline = std::time::Instant::now() + RETRY_FOR;
    loop {
        let info: String = redis::cmd("INFO").arg("clients").query(&mut raw).unwrap();
        if info.contains(&format!("blocked_clients:{n}\r")) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{info}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An idle agent as its runner does it: claim, else wait, then look again.
async fn claim_or_wait(world: World, agent: Agent) -> orch::store::tasks::Claimed {
    let mut waker = world.store.role_waker(ROLE);
    loop {
        if let Some(claimed) = world.try_claim(&agent).await {
            return claimed;
        }
        assert!(waker.wait(RETRY_FOR).await.unwrap(), "{} was not woken", agent.id);
    }
}

/// The master is idle for ever and takes no task: it must not stand for an agent of its role that could.
#[tokio::test]
async fn an_idle_master_is_no_idle_agent_of_its_role() {
    let server = Server::start();
    let world = server.world("n");
    let incarnation = orch::model::id::new_incarnation();
    world.store.spawn_agent("opus-master", ROLE, "opus-master", &incarnation, true, "a test", None).await.unwrap();
    world.store.hello("opus-master", &incarnation, &process(5)).await.unwrap();
    drain_markers(&world.store).await;
    world.delegate(&task("x")).await;
    assert!(marker(&mut world.store.supervisor_waker()).await, "nobody is there to take it");
    check::structures(&world).await;
}

#[tokio::test]
async fn n_tasks_wake_n_idle_agents() {
    const N: usize = 8;
    let server = Server::start();
    let mut idle = Vec::new();
    for i in 0..N {
        let world = server.world("n");
        let agent = world.agent(&format!("shell-{i}")).await;
        idle.push(tokio::spawn(claim_or_wait(world, agent)));
    }
    until_blocked_async(&server, N).await;
    let world = server.world("n");
    for _ in 0..N {
        world.delegate(&task("x")).await;
    }
    for agent in idle {
        agent.await.unwrap();
    }
    assert_eq!(world.store.observe(&[ROLE.into()]).await.unwrap().load[ROLE].running, N as u64);
    check::structures(&world).await;
}

async fn until_blocked_async(server: &Server, n: usize) {
    // The sleepers are tasks of this very thread: let them come as far.
    let mut raw = server.raw();
    loop {
        let info: String = redis::cmd("INFO").arg("clients").query(&mut raw).unwrap();
        if info.contains(&format!("blocked_clients:{n}\r")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn one_task_wakes_one_agent() {
    let server = Server::start();
    let world = server.world("n");
    let mut sleepers = Vec::new();
    for _ in 0..3 {
        let world = server.world("n");
        sleepers.push(tokio::spawn(async move { world.store.role_waker(ROLE).wait(RETRY_FOR).await.unwrap() }));
    }
    until_blocked_async(&server, 3).await;
    world.delegate(&task("x")).await;
    until_blocked_async(&server, 2).await;
    // The others are woken by what comes later.
    world.delegate(&task("y")).await;
    until_blocked_async(&server, 1).await;
    world.delegate(&task("z")).await;
    for sleeper in sleepers {
        assert!(sleeper.await.unwrap());
    }
}

#[tokio::test]
async fn a_waker_that_sleeps_hears_of_what_comes() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let other = server.world("n");
    let sleeper = tokio::spawn(async move { other.store.agent_waker("shell-1").wait(RETRY_FOR).await.unwrap() });
    until_blocked_async(&server, 1).await;
    world.store.stop_agent(&agent.id, &agent.incarnation, false, "x").await.unwrap();
    assert!(sleeper.await.unwrap());

    let other = server.world("n");
    drain_markers(&world.store).await;
    let sleeper = tokio::spawn(async move { other.store.supervisor_waker().wait(RETRY_FOR).await.unwrap() });
    until_blocked_async(&server, 1).await;
    world.delegate(&NewTask { spec: Spec { role: "nobody".into(), ..task("x").spec }, ..task("x") }).await;
    assert!(sleeper.await.unwrap(), "a task without an idle agent is the supervisor's business");
}

/// A wait that is dropped must not take a marker with it later.
#[tokio::test]
async fn a_wait_that_was_given_up_takes_no_marker() {
    let server = Server::start();
    let world = server.world("n");
    let mut waker = world.store.role_waker(ROLE);
    for _ in 0..5 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), waker.wait(RETRY_FOR)).await;
        assert!(given_up.is_err());
        until_blocked_async(&server, 0).await;
        world.delegate(&task("x")).await;
        assert!(waker.wait(RETRY_FOR).await.unwrap());
    }
}

#[tokio::test]
async fn a_waker_survives_a_restart() {
    let mut server = Server::start();
    let world = server.world("n");
    let mut waker = world.store.role_waker(ROLE);
    assert!(!marker(&mut waker).await);
    server.kill();
    server.start_again();
    world.delegate(&task("x")).await;
    // The first look may hear of the broken connection; the next one connects anew.
    let woken = match waker.wait(RETRY_FOR).await {
        Err(e) if e.is_unreachable() => waker.wait(RETRY_FOR).await,
        answer => answer,
    };
    assert!(woken.unwrap());
}

#[tokio::test]
async fn cancelling_wakes_the_agent_that_has_the_task() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    world.claim(&agent).await;
    let mut waker = world.store.agent_waker("shell-1");
    assert!(!marker(&mut waker).await);
    world.cancel(&id).await;
    assert!(marker(&mut waker).await);
    world.cancel(&id).await;
    assert!(!marker(&mut waker).await, "it was told");
}

#[tokio::test]
async fn the_end_of_a_pause_wakes_the_idle_again() {
    let server = Server::start();
    for pause in [Request::Pause(None), Request::Pause(Some(ROLE.into())), Request::Stop { drain: true }] {
        let world = server.world(&format!("{pause:?}").to_lowercase());
        let agents = [world.agent("shell-1").await, world.agent("shell-2").await];
        world.store.request(&pause, EventKind::RequestPause, "a test").await.unwrap();
        world.delegate(&task("x")).await;
        world.delegate(&task("y")).await;
        // Woken, and sent back to sleep: the markers are spent.
        for agent in &agents {
            assert!(world.try_claim(agent).await.is_none());
        }
        drain_markers(&world.store).await;
        world.store.withdraw(&[pause], EventKind::RequestResume, "a test").await.unwrap();
        let mut waker = world.store.role_waker(ROLE);
        for agent in &agents {
            assert!(marker(&mut waker).await);
            world.claim(agent).await;
        }
        assert!(marker(&mut world.store.supervisor_waker()).await);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_waiting_task_frees_its_place() {
    let server = Server::start();
    let world = server.world("n");
    world.store.set_limits(&[(ROLE.into(), 1)]).await.unwrap();
    let parent = world.agent("shell-1").await;
    world.delegate(&task("parent")).await;
    let claimed = world.claim(&parent).await;
    let child = world.delegate(&subtask("child", &parent, &claimed)).await;
    let idle = world.agent("shell-2").await;
    assert!(world.try_claim(&idle).await.is_none(), "one place, and it is taken");
    drain_markers(&world.store).await;

    let me = capability(&parent, &claimed);
    world.store.mark_waiting(&me, std::slice::from_ref(&child), LONG).await.unwrap();
    assert!(marker(&mut world.store.role_waker(ROLE)).await, "an agent can take the place");
    assert!(marker(&mut world.store.supervisor_waker()).await, "or the supervisor start one");
    let of_child = world.claim(&idle).await;
    assert_eq!(of_child.task.id, child);
    let load = world.store.observe(&[ROLE.into()]).await.unwrap().load[ROLE];
    assert_eq!((load.running, load.waiting), (2, 1));
    drain_markers(&world.store).await;

    world.delegate(&task("another")).await;
    assert!(marker(&mut world.store.supervisor_waker()).await);
    let third = world.agent("shell-3").await;
    assert!(world.try_claim(&third).await.is_none());
    world.finish(&idle, &of_child, Cause::Success).await;
    world.store.mark_waiting(&me, &[], Duration::ZERO).await.unwrap();
    assert!(world.try_claim(&third).await.is_none(), "the parent has its place again");
    check::structures(&world).await;
}

/// An agent that was woken and found no place is woken when there is one, however the place came free.
#[tokio::test]
async fn a_place_that_becomes_free_wakes_an_idle_agent() {
    let server = Server::start();
    for how in ["finish", "end", "stop", "expire"] {
        let world = server.world(how);
        world.store.set_limits(&[(ROLE.into(), 1)]).await.unwrap();
        let (busy, idle) = (world.agent("shell-1").await, world.agent("shell-2").await);
        world.delegate(&task("x")).await;
        let claimed = world.claim(&busy).await;
        world.delegate(&task("y")).await;
        assert!(world.try_claim(&idle).await.is_none());
        drain_markers(&world.store).await;
        match how {
            "finish" => drop(world.finish(&busy, &claimed, Cause::Success).await),
            "end" => {
                let end = world.store.end_agent(&busy.id, &busy.incarnation, &crash()).await;
                assert_eq!(end.unwrap().unwrap().1, TaskState::Delayed);
            }
            "stop" => {
                world.store.stop_agent(&busy.id, &busy.incarnation, false, "x").await.unwrap();
                world.finish(&busy, &claimed, Cause::Success).await;
            }
            _ => {
                let key = world.store.keys().of("agent", &busy.id);
                let () = redis::cmd("DEL").arg(key).query(&mut world.raw()).unwrap();
                world.store.expire(&claimed.task.id, claimed.fence, "gone").await.unwrap();
            }
        }
        assert!(marker(&mut world.store.role_waker(ROLE)).await, "after {how}");
        assert_eq!(world.claim(&idle).await.task.description, "y");
    }
}

/// An agent took a marker, and then was told to leave, or died, before it could claim.
#[tokio::test]
async fn a_marker_taken_by_an_agent_that_leaves_is_passed_on() {
    let server = Server::start();
    for how in ["stop", "crash"] {
        let world = server.world(how);
        let (leaves, idle) = (world.agent("shell-1").await, world.agent("shell-2").await);
        world.delegate(&task("x")).await;
        assert!(marker(&mut world.store.role_waker(ROLE)).await);
        if how == "stop" {
            let stop = world.store.stop_agent(&leaves.id, &leaves.incarnation, true, "x").await;
            assert_eq!(stop.unwrap(), AgentState::Stopping);
            assert!(world.try_claim(&leaves).await.is_none());
        } else {
            world.store.end_agent(&leaves.id, &leaves.incarnation, &crash()).await.unwrap();
        }
        assert!(marker(&mut world.store.role_waker(ROLE)).await, "after {how}");
        world.claim(&idle).await;
    }
}

/// What `orch scale ROLE 0` means: who is at work finishes, and takes nothing more.
#[tokio::test]
async fn a_role_without_a_place_takes_nothing_more() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    world.delegate(&task("y")).await;
    world.store.set_limits(&[(ROLE.into(), 0)]).await.unwrap();
    world.finish(&agent, &claimed, Cause::Success).await;
    assert!(world.try_claim(&agent).await.is_none());
    world.store.set_limits(&[(ROLE.into(), 1)]).await.unwrap();
    world.claim(&agent).await;
}

#[tokio::test]
async fn a_raised_limit_wakes_the_idle() {
    let server = Server::start();
    let world = server.world("n");
    world.store.set_limits(&[(ROLE.into(), 1)]).await.unwrap();
    let (busy, idle) = (world.agent("shell-1").await, world.agent("shell-2").await);
    world.delegate(&task("x")).await;
    world.claim(&busy).await;
    world.delegate(&task("y")).await;
    assert!(world.try_claim(&idle).await.is_none());
    drain_markers(&world.store).await;
    world.store.set_limits(&[(ROLE.into(), 2)]).await.unwrap();
    assert!(marker(&mut world.store.role_waker(ROLE)).await);
    world.claim(&idle).await;
}

#[tokio::test]
async fn the_end_of_a_task_is_told_to_who_watches() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let after = world.delegate(&task_after("y", &[&id])).await;
    let mut ends = world.store.watch_work(&[id.clone(), after], &[]).await.unwrap();
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Permanent).await;
    for _ in 0..2 {
        assert!(tokio::time::timeout(RETRY_FOR, ends.next()).await.unwrap());
    }
    until_blocked(&server, 0);
    drop(server);
    assert!(!tokio::time::timeout(RETRY_FOR, ends.next()).await.unwrap(), "the connection broke");
}

#[tokio::test]
async fn a_task_that_needs_a_person_or_is_delayed_wakes_its_watchers() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let [asks, held, delayed, needs] = [(); 4].map(|()| task("x"));
    let woken = async |task, by: &str| {
        let id = world.delegate(&task).await;
        let mut news = world.store.watch_work(std::slice::from_ref(&id), &[]).await.unwrap();
        let claimed = world.claim(&agent).await;
        assert!(news.next().now_or_never().is_none(), "{by}: nothing has happened yet");
        match by {
            "asks" => drop(world.store.ask(&capability(&agent, &claimed), "t", "Which?", &[], LEASE).await.unwrap()),
            "held" => drop(world.finish(&agent, &claimed, Cause::NeedsPerson).await),
            "delayed" => drop(world.finish(&agent, &claimed, Cause::Transient).await),
            _ => {
                let need = Need { what: Needs::Permission, of: "run ls".into() };
                let pulse = Pulse { wait: Some(Wait::Person(need)), ..pulse(&claimed) };
                world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap();
            }
        }
        assert!(tokio::time::timeout(RETRY_FOR, news.next()).await.expect(by), "{by}");
        if by == "asks" || by == "needs" {
            world.finish(&agent, &claimed, Cause::Success).await;
        }
    };
    for (task, by) in [(asks, "asks"), (held, "held"), (delayed, "delayed"), (needs, "needs")] {
        woken(task, by).await;
    }
}
