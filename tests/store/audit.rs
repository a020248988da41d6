//! The audit finds what is damaged by hand, and nothing in what is only moving.

use std::time::Duration;

use orch::{model::cause::Cause, store::tasks::NewTask};

use super::{check, fixture::*};

/// Two attempts, a dependent, a subtask, and tasks in six states; each is known by its text.
async fn family(world: &World) {
    let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let parent = world.delegate(&task("parent")).await;
    let claimed = world.claim(&one).await;
    world.delegate(&subtask("child", &one, &claimed)).await;
    let claimed = world.claim(&two).await;
    world.finish(&two, &claimed, Cause::Transient).await;
    world.delegate(&task_after("dependent", &[&parent])).await;
    for (text, cause) in [("held", Cause::NeedsPerson), ("failed", Cause::Permanent)] {
        world.delegate(&task(text)).await;
        let claimed = world.claim(&two).await;
        world.finish(&two, &claimed, cause).await;
    }
    world.delegate(&NewTask { spec: Spec { role: "other".into(), ..task("ready").spec }, ..task("ready") }).await;
    let ended = world.agent("shell-3").await;
    world.store.end_agent(&ended.id, &ended.incarnation, &crash()).await.unwrap();
}

/// What is done, in Redis's words, and what the audit then says. `{parent}` stands for that task's id, and so on.
const DAMAGES: &[(&str, &str)] = &[
    ("HSET task:{parent} state asleep", "its state is 'asleep'"),
    ("HSET task:{parent} state held", "it is held, and stands in"),
    ("ZREM state:running {parent}", "it is running, and stands in running:shell instead of"),
    ("ZADD state:held 1 {parent}", "stands in running:shell, state:held, state:running instead of"),
    ("ZADD ready:other 1 {parent}", "stands in ready:other"),
    ("SREM running:shell {parent}", "stands in state:running instead of"),
    ("ZADD waiting:shell 1 {parent}", "stands in running:shell, state:running, waiting:shell"),
    ("HSET task:{parent} waiting_until 9", "instead of running:shell, state:running, waiting:shell"),
    ("ZADD state:running 1 {parent}", "the time in state:running"),
    ("ZADD state:delayed 1 {child}", "the time in state:delayed"),
    ("ZADD state:failed 1 {failed}", "the time in state:failed"),
    ("ZADD tasks 99 {held}", "its place in the order of acceptance"),
    ("ZADD ready:other 1 {ready}", "its place in ready:other"),
    ("ZREM queue:other:normal:- {ready}", "it is ready, and stands in ready:other, state:ready instead of"),
    ("ZADD queue:other:normal:- 1 {ready}", "its place in ready:other"),
    ("ZREM turns:other:normal -", "the number of queued tasks is recorded as 1, and should be 0"),
    ("ZADD turns:other:normal 7 -", "share '-': its turn is recorded as 7"),
    ("HSET shares:shell busy:- 7", "share '-': the number of its slots is recorded as 7, and should be 1"),
    ("HDEL task:{parent} slot_at", "the number of its slots is recorded as 1, and should be 0"),
    ("HSET task:{held} slot_at 1", "it is held, and has a slot_at"),
    ("ZREM ids {held}", "it is not in the order of ids"),
    ("ZADD ids 0 t-7k2m9qx4hz", "task t-7k2m9qx4hz: it has no record, and is left in ids"),
    ("RPUSH trail:t-7k2m9qx4hz 1-0", "task t-7k2m9qx4hz: it has no record, and is left in trail:t-7k2m9qx4hz"),
    ("HDEL task:{failed} ended_at", "it is failed, and has no ended_at"),
    ("HSET task:{held} due_at 1", "it is held, and has a due_at"),
    ("HSET task:{held} cancelling x", "it is held, and has a cancelling"),
    ("SREM dependents:{parent} {dependent}", "which does not know of it"),
    ("SADD dependents:{parent} nobody", "it remembers nobody"),
    ("SREM deps:{dependent} {parent}", "it waits for {}"),
    ("SADD deps:{ready} {parent}", "it is ready, and waits for"),
    ("HSET task:{parent} state failed", "{parent}, which is failed"),
    ("HSET task:{parent} state succeeded", "it is blocked, and nothing holds it"),
    ("HSET task:{ready} after [\"{parent}\"]", "it is ready before"),
    ("RPUSH children:{parent} nobody", "its subtask nobody is not known"),
    ("HSET task:{child} depth 7", "has another parent or depth"),
    ("HSET task:{parent} open_children 7", "it has 1 open subtask, and counts 7"),
    ("RPUSH children:{parent} {child}", "it is 2 times among the subtasks"),
    ("HSET task:{parent} number 7", "it has 1 attempts, and counts 7"),
    ("LSET attempts:{child} 0 {\"number\":3,\"fence\":2,\"cause\":\"lost\"}", "attempt 1 has the number 3"),
    ("LSET attempts:{child} 0 {\"number\":1,\"fence\":0,\"cause\":\"lost\"}", "attempt 1 has fence 0, after 0"),
    ("LSET attempts:{child} 0 {\"number\":1,\"fence\":2}", "it is delayed, and attempt 1 has the cause null"),
    ("HSET task:{child} fence 7", "its fence is 7, that of its last attempt 2"),
    ("DEL agent:shell-1", "its agent shell-1 is not known"),
    ("HSET agent:shell-1 fence 7", "its agent shell-1 does not hold it"),
    ("DEL task:{held}", "it has no record, and is left in attempts:{held}, trail:{held}, state:held, tasks, ids"),
    ("RPUSH children:nobody x", "task nobody: it has no record, and is left in children:nobody"),
    ("DEL agent:shell-2", "agent shell-2: it has no record, and is named as living"),
    ("HSET agent:shell-2 state asleep", "agent shell-2: its state is 'asleep'"),
    ("SREM agents shell-1", "agent shell-1: it is busy, and not among the living"),
    ("SADD agents shell-3", "agent shell-3: it is failed, and still among the living"),
    ("SREM idle:shell shell-2", "agent shell-2: it is idle, and stands in {} instead of"),
    ("SADD idle:other shell-1", "agent shell-1: it is busy, and stands in"),
    ("HDEL agent:shell-1 task", "agent shell-1: it is busy without a task"),
    ("HSET agent:shell-2 task {ready}", "agent shell-2: it is idle with a task"),
    ("HSET agent:shell-2 task {ready}", "agent shell-2: it holds {ready} with fence , which is not its own"),
    ("SET task:{held} x", "task {held}: its record is no hash"),
    ("SET attempts:{failed} x", "it has 0 attempts, and counts 1"),
    ("HSET task:{ready} after x", "what it is to start after does not read: x"),
    ("SET agent:shell-2 x", "agent shell-2: its record is no hash"),
    ("DEL events", "task {parent}: no event tells of it"),
    ("XADD events * kind task.held task {ready} from ready to held reason x", "and its last event says held"),
    (
        "XADD events * kind task.ready task {ready} from held to ready reason x",
        "goes from held to ready, and was ready",
    ),
    ("XADD events * kind role.spawn reason ", "it has no reason"),
];

#[tokio::test]
async fn whatever_is_damaged_is_found() {
    let server = Server::start_hasty();
    let world = server.world("n");
    family(&world).await;
    check::structures(&world).await;
    let whole = check::dump_all(&world);
    let mut names = Vec::new();
    for t in world.store.tasks(&world.store.task_ids(None).await.unwrap()).await.unwrap() {
        names.push((format!("{{{}}}", t.description), t.id.to_string()));
    }
    let named = |text: &str| names.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
    for (damage, says) in DAMAGES {
        let (damage, says) = (named(damage), named(says));
        let mut words = damage.split(' ');
        let (verb, key) = (words.next().unwrap(), words.next().unwrap());
        let mut command = redis::cmd(verb);
        command.arg(world.store.keys().plain(key));
        command.arg(words.collect::<Vec<_>>());
        command.exec(&mut world.raw()).unwrap();
        let found = world.store.audit().await.unwrap();
        assert!(found.iter().any(|f| f.contains(&says)), "{damage}\nexpected: {says}\nfound: {found:#?}");
        check::restore(&world, &whole);
        check::structures(&world).await;
    }
}

/// While everything moves, nothing is found: each look is at one moment.
#[tokio::test]
async fn what_moves_agrees_at_every_moment() {
    let server = Server::start_hasty();
    let (world, other) = (server.world("n"), server.world("n"));
    family(&other).await;
    let work = async {
        let agent = other.agent("shell-9").await;
        loop {
            let first = other.delegate(&task("x")).await;
            other.delegate(&task_after("y", &[&first])).await;
            for cause in [Cause::RateLimited, Cause::Transient, Cause::Success] {
                let claimed = other.claim(&agent).await;
                let mut report = report(&agent, &claimed, cause);
                report.retry_after_ms = Some(0);
                other.store.finish(&report).await.unwrap();
                other.store.release_due().await.unwrap();
            }
            other.store.prune(Duration::ZERO, 1).await.unwrap();
        }
    };
    let audits = async {
        for _ in 0..50 {
            check::structures(&world).await;
        }
    };
    tokio::select! { () = audits => {}, () = work => {} }
}
