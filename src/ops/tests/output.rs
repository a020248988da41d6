//! logs: what attempts printed.

use futures_util::StreamExt;

use super::*;
use crate::{
    error::Kind,
    home::{
        create_dir,
        output::{OutputLog, Stream},
    },
};

/// An attempt's log as its runner writes it.
fn log_of(ops: &Ops, claimed: &Claimed) -> OutputLog {
    let dir = ops.home().run(&claimed.task.id, claimed.attempt);
    create_dir(&dir).unwrap();
    OutputLog::new(&dir)
}

fn print(log: &mut OutputLog, text: &str) {
    log.append(Timestamp::now(), Stream::Out, text.as_bytes()).unwrap();
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|l| format!("{} {} {}", l.agent, l.attempt, l.text)).collect()
}

#[tokio::test]
async fn the_last_lines_of_a_task_and_of_an_agent() {
    let mut world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    let claimed = agent.claim(&ops).await;
    print(&mut log_of(&ops, &claimed), "one\ntwo\n");
    agent.finish(&ops, &claimed, Cause::Transient, "again").await;
    ops.retry(std::slice::from_ref(&id)).await.unwrap();
    let claimed = agent.claim(&ops).await;
    print(&mut log_of(&ops, &claimed), "three\nhalf");

    let of_task = LogQuery { task: Some(id.clone()), last: 3, ..LogQuery::default() };
    let expected = ["shell-1 1 two", "shell-1 2 three", "shell-1 2 half"];
    assert_eq!(texts(&ops.logs(&of_task).await.unwrap()), expected);
    let of_agent = LogQuery { agent: Some("shell-1".into()), last: 3, ..LogQuery::default() };
    assert_eq!(texts(&ops.logs(&of_agent).await.unwrap()), expected);
    let of_all = LogQuery { last: 3, ..LogQuery::default() };
    assert_eq!(texts(&ops.logs(&of_all).await.unwrap()), expected);
    let grep = LogQuery { grep: Some("^t".into()), ..of_task.clone() };
    assert_eq!(texts(&ops.logs(&grep).await.unwrap()), ["shell-1 1 two", "shell-1 2 three"]);

    for (query, kind) in [
        (LogQuery { grep: Some("(".into()), ..of_task.clone() }, Kind::Usage),
        (LogQuery { task: Some(TaskId::random()), ..of_task.clone() }, Kind::NotFound),
        (LogQuery { agent: Some("shell-9".into()), ..of_agent }, Kind::NotFound),
    ] {
        assert_eq!(ops.logs(&query).await.unwrap_err().kind, kind);
    }
    world.kill_redis();
    assert_eq!(ops.logs(&of_task).await.unwrap().len(), 3, "also while Redis is down");
}

#[tokio::test]
async fn a_followed_log_shows_lines_as_they_are_printed_and_ends_with_its_task() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    let claimed = agent.claim(&ops).await;
    let mut log = log_of(&ops, &claimed);
    print(&mut log, "one\n");

    let query = LogQuery { task: Some(id), last: 10, ..LogQuery::default() };
    let mut lines = ops.follow_logs(query).map(|line| line.unwrap().text);
    assert_eq!(lines.next().await.as_deref(), Some("one"));
    print(&mut log, "two\n");
    assert_eq!(lines.next().await.as_deref(), Some("two"));
    print(&mut log, "the end, without a line's end");
    agent.finish(&ops, &claimed, Cause::Success, "done").await;
    assert_eq!(lines.next().await.as_deref(), Some("the end, without a line's end"));
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_followed_agent_shows_its_next_task() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let query = LogQuery { agent: Some("shell-1".into()), last: 10, ..LogQuery::default() };
    let mut lines = ops.follow_logs(query);
    let work = async {
        ops.delegate(task("x", "shell")).await.unwrap();
        let claimed = agent.claim(&ops).await;
        print(&mut log_of(&ops, &claimed), "hello\n");
    };
    let (line, ()) = tokio::join!(lines.next(), work);
    assert_eq!(line.unwrap().unwrap().text, "hello");
}

#[tokio::test]
async fn a_watched_status_is_read_again_after_an_event_and_not_by_the_clock() {
    let world = World::awake().await;
    let ops = world.ops();
    let mut watch = ops.watch_status_every(Duration::from_secs(3_600));
    assert_eq!(watch.next().await.unwrap().unwrap().tasks["ready"], 0);
    let delegated = async { ops.delegate(task("x", "shell")).await.unwrap() };
    let (status, _) = tokio::join!(watch.next(), delegated);
    assert_eq!(status.unwrap().unwrap().tasks["ready"], 1);
    // A supervisor that starts or dies records no event.
    let lock = world.supervise();
    assert_eq!(watch.next().await.unwrap().unwrap().supervisor.state, "running");
    drop(lock);
    assert_eq!(watch.next().await.unwrap().unwrap().supervisor.state, "stopped");
}
