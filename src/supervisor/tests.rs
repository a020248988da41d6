//! Passes against a real private Redis and a recorded tmux. The runners are played by the test: each is a `sleep` that
//! reports for duty as a runner does. Every test has a project, a server and a state folder of its own.

mod guard;
mod world;

use std::{os::unix::fs::PermissionsExt, path::Path};

use self::world::{MASTER, SECRET, World};
use super::*;
use crate::{
    model::{agent::AgentState, cause::Cause, task::TaskState},
    mux::{Call, MuxError, SessionSpec, Tags},
};

#[tokio::test]
async fn a_ready_task_opens_one_session_and_its_secrets_are_in_the_launch_alone() {
    let mut world = World::with_master().await;
    world.delegate().await;
    world.pass().await;

    let agent = world.agent("shell-1").await;
    let launch = world.supervisor.home.launch(&agent.incarnation);
    let [spec] = &world.asked_for()[..] else { panic!("one session: {:?}", world.asked_for()) };
    assert_eq!((spec.name.as_str(), agent.state), ("shell-1", AgentState::Starting));
    assert_eq!(spec.tags, world.tags("shell-1", &agent.incarnation));
    assert_eq!(spec.argv, [std::env::current_exe().unwrap().as_os_str(), "run-agent".as_ref(), launch.as_os_str()]);
    let env: Vec<_> = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("ORCH_INCARNATION", agent.incarnation.as_str()), crate::os::SMALL]);
    assert!(!format!("{spec:?}").contains(SECRET));
    assert_eq!(mode(&launch), 0o600);

    world.pass().await;
    assert_eq!(world.asked_for().len(), 1, "the one that starts is enough for one task");

    let launch = world.report("shell-1").await;
    assert_eq!(launch.env["GIVEN_TOKEN"], SECRET);
    assert!(launch.secrets.iter().any(|value| value == SECRET));
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_session_that_does_not_open_fails_its_agent_and_holds_its_role_back() {
    let mut world = World::with_master().await;
    let task = world.delegate().await;
    world.mux.fail_next_open(MuxError::Refused("no room".into()));
    world.pass().await;

    let failed = world.agent("shell-1").await;
    assert_eq!(failed.state, AgentState::Failed);
    assert!(failed.reason.unwrap().contains("no room"));
    assert!(!world.supervisor.home.launch(&failed.incarnation).exists(), "there are secrets in it");
    let snapshot = world.supervisor.store.observe(&["shell".into()]).await.unwrap();
    let breaker = &snapshot.breakers["shell"];
    assert_eq!(breaker.failures, 1);

    world.pass_until("it is tried again", async |world| world.asked_for().len() == 2).await;
    let next = world.agent("shell-1").await;
    assert!(next.started_at >= breaker.until, "not before the pause is over");
    assert_eq!(next.state, AgentState::Starting);
    assert_eq!(world.task(&task).await.0, TaskState::Ready);
}

/// FLUSHALL, or a Redis that comes back with an empty folder, also removes what was recorded of sessions.toml.
#[tokio::test]
async fn limits_and_budgets_are_told_again_to_a_redis_that_was_emptied() {
    let mut world = World::with_master().await;
    let told = async |world: &World| {
        let mut redis = world.redis().await;
        let of = async |redis: &mut _, key: &str, field: &str| {
            ::redis::cmd("HGET")
                .arg(format!("orch:{{test}}:{key}"))
                .arg(field)
                .query_async::<Option<String>>(redis)
                .await
        };
        (
            of(&mut redis, "limits", "max:shell").await.unwrap(),
            of(&mut redis, "budgets", "account:shell").await.unwrap(),
        )
    };
    let before = told(&world).await;
    assert!(before.0.is_some() && before.1.is_some(), "{before:?}");
    ::redis::cmd("FLUSHALL").exec_async(&mut world.redis().await).await.unwrap();
    assert_eq!(told(&world).await, (None, None));
    world.pass_until("it knows them again", async |world| told(world).await == before).await;
}

#[tokio::test]
async fn nobody_is_given_up_because_tmux_is_away() {
    let (mut world, first) = World::with_shell().await;
    let second = world.delegate().await;
    world.mux.fail_all(Some(MuxError::Unreachable("no answer".into())));
    world.supervisor.observer.look_at_tmux();
    world.pass().await;
    world.pass().await;

    for id in [MASTER, "shell-1"] {
        assert_eq!(world.agent(id).await.state, AgentState::Idle, "{id}");
    }
    for task in [&first, &second] {
        assert_eq!(world.task(task).await.0, TaskState::Ready);
    }
    assert!(!world.mux.calls().iter().any(|call| matches!(call, Call::Close(..))));

    world.mux.fail_all(None);
    world.pass_until("the second task gets its agent", async |world| world.sessions().await.len() == 3).await;
    assert_eq!(world.sessions().await, [MASTER, "shell-1", "shell-2"]);
}

#[tokio::test]
async fn foreign_sessions_keep_their_names_and_are_never_closed() {
    let mut world = World::new().await;
    world.mux.add_foreign("shell-1");
    let open = async |name: &str, tags: Tags| {
        let (cwd, argv) = ("/".into(), vec!["true".into()]);
        let spec = SessionSpec { name: name.into(), cwd, argv, size: (80, 24), env: Vec::new(), tags };
        world.mux.open(&spec).await.unwrap();
    };
    open("neighbour", Tags { namespace: "another".into(), ..world.tags("shell-1", "x") }).await;
    open("forgotten", world.tags("shell-7", "nobody-has-it")).await;
    world.pass().await;
    world.report(MASTER).await;
    world.delegate().await;
    world.pass().await;
    assert_eq!(world.agent("shell-2").await.session, "shell-2");
    world.report("shell-2").await;

    let gone = async |world: &World| !world.sessions().await.contains(&"forgotten".into());
    world.pass_until("ours, which has no agent, is closed", gone).await;
    assert_eq!(world.sessions().await, ["neighbour", MASTER, "shell-1", "shell-2"]);
    let not_ours = |call: &Call| matches!(call, Call::Close(name, _) if name == "neighbour" || name == "shell-1");
    assert!(!world.mux.calls().iter().any(not_ours));
}

#[tokio::test]
async fn an_agent_whose_process_is_gone_is_reaped_with_all_it_had() {
    let (mut world, task) = World::with_shell().await;
    let agent = world.agent("shell-1").await;
    let claimed = world.supervisor.store.claim("shell-1", &agent.incarnation, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claimed.unwrap().task.id, task);
    world.kill_runner("shell-1");
    world.pass().await;

    let ended = world.agent("shell-1").await;
    assert_eq!(ended.state, AgentState::Failed);
    assert!(ended.reason.unwrap().starts_with("crashed: "));
    assert_eq!(world.task(&task).await, (TaskState::Delayed, Some(Cause::Lost)));
    let forgotten = async |world: &World| world.supervisor.store.observe(&[]).await.unwrap().orphans.is_empty();
    world.pass_until("nothing is left of it", forgotten).await;
    let closed = Call::Close("shell-1".into(), world.tags("shell-1", &agent.incarnation));
    assert!(world.mux.calls().contains(&closed));
    assert_eq!(world.agent(MASTER).await.state, AgentState::Idle);
}

#[tokio::test]
async fn a_runner_that_the_kernel_killed_for_memory_was_over_memory() {
    let (mut world, task) = World::with_shell().await;
    let agent = world.agent("shell-1").await;
    world.supervisor.store.claim("shell-1", &agent.incarnation, Duration::from_secs(60)).await.unwrap();
    // A folder in the place of the control group.
    let home = world.supervisor.home.path().to_owned();
    let cgroup = home.join("group").join(&agent.incarnation);
    std::fs::create_dir_all(&cgroup).unwrap();
    std::fs::write(cgroup.join("memory.events"), "oom_kill 1\n").unwrap();
    std::fs::write(home.join("cgroups"), format!("{}\n", home.join("group").display())).unwrap();
    world.kill_runner("shell-1");
    world.pass().await;

    let reason = world.agent("shell-1").await.reason.unwrap();
    assert!(reason.starts_with("over-memory: "), "{reason}");
    let attempt = world.supervisor.store.task(&task).await.unwrap().unwrap().attempts.remove(0);
    assert_eq!((attempt.cause, attempt.reason), (Some(Cause::Lost), Some(reason)));
}

#[tokio::test]
async fn a_runner_that_no_pass_has_seen_ends_with_the_fleet_whose_folder_is_removed() {
    let mut world = World::with_master().await;
    world.delegate().await;
    world.pass().await;
    world.report("shell-1").await;
    let runner = world.process("shell-1");
    world.mux.set_process("shell-1", runner.pid);
    // Between two passes the folder is removed, and Redis loses its data with it.
    let (home, mut redis) = (world.supervisor.home.path().to_owned(), world.redis().await);
    std::fs::rename(&home, home.with_extension("removed")).unwrap();
    ::redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    // Whether Redis still answers at its old place is not the question.
    let _ = world.supervisor.pass().await;
    assert!(world.supervisor.gone.is_some());
    world.supervisor.end_known().await;
    assert!(!runner.is_alive());
    std::fs::rename(home.with_extension("removed"), &home).unwrap();
}

#[tokio::test]
async fn a_stop_ends_the_agents_then_the_master_then_redis() {
    let (mut world, _) = World::with_shell().await;
    world
        .supervisor
        .store
        .request(&Request::Stop { drain: false }, EventKind::SupervisorStopping, "a test")
        .await
        .unwrap();
    let is = async |world: &World, id: &str, state| world.agent(id).await.state == state;

    world.pass_until("the agent is told", async |w| is(w, "shell-1", AgentState::Stopping).await).await;
    world.pass().await;
    assert!(is(&world, MASTER, AgentState::Idle).await, "it goes last");
    world.kill_runner("shell-1");
    world.pass_until("the master is told", async |w| is(w, MASTER, AgentState::Stopping).await).await;
    assert!(is(&world, "shell-1", AgentState::Stopped).await);
    assert_ne!(world.pass().await, Pass::ShutDown, "the master lives");
    world.kill_runner(MASTER);
    world.pass_until("the master has ended", async |w| is(w, MASTER, AgentState::Stopped).await).await;

    let began = Instant::now();
    while world.pass().await != Pass::ShutDown {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing lives any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(world.sessions().await.is_empty());
    let store = world.supervisor.store.clone();
    world.supervisor.shut_down().await.unwrap();
    assert!(store.info().await.unwrap_err().is_unreachable());
}

/// The task's own policy decides: the global `[retry]` would run it again after 250 ms.
#[tokio::test]
async fn a_lease_that_expires_without_its_agent_is_followed_by_the_delay_of_the_tasks_own_role() {
    let (mut world, task) = World::with_shell().await;
    let agent = world.agent("shell-1").await;
    let claimed = world.supervisor.store.claim("shell-1", &agent.incarnation, Duration::from_secs(60)).await;
    let observed = world.supervisor.observe().await.unwrap();
    ::redis::cmd("DEL").arg("orch:{test}:agent:shell-1").exec_async(&mut world.redis().await).await.unwrap();

    let fence = claimed.unwrap().unwrap().fence;
    let expire = decide::Action::Expire { task: task.clone(), fence, reason: "its lease ended".into() };
    world.supervisor.act(expire, &observed).await.unwrap();
    let attempt = world.supervisor.store.task(&task).await.unwrap().unwrap().attempts.remove(0);
    let delay = attempt.next_retry_at.unwrap().since(attempt.ended_at.unwrap());
    assert!(delay >= Duration::from_millis(750), "{delay:?}");
}
