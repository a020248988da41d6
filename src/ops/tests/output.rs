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

async fn search(ops: &Ops, query: LogQuery) -> (Vec<String>, Looked) {
    let (mut lines, mut looked) = (Vec::new(), None);
    let mut found = ops.search_logs_sorted(query, 0);
    while let Some(found) = found.next().await {
        match found.unwrap() {
            LogFound::Line(line) => lines.push(format!("{} {}", line.agent, line.text)),
            LogFound::Looked(end) => looked = Some(end),
        }
    }
    (lines, looked.unwrap())
}

#[tokio::test]
async fn everything_that_is_kept_is_searched_and_how_far_is_said() {
    let world = World::awake().await;
    let ops = world.ops();
    let agents = [world.agent("shell-1", "shell").await, world.agent("lead-1", "lead").await];
    // Only the very first attempt of lead-1 prints; shell-1 prints in each of thirty.
    for n in 0..31 {
        let (agent, role) = if n == 0 { (&agents[1], "lead") } else { (&agents[0], "shell") };
        ops.delegate(task("x", role)).await.unwrap();
        let claimed = agent.claim(&ops).await;
        print(&mut log_of(&ops, &claimed), &format!("line {n}\nand more\n"));
        agent.finish(&ops, &claimed, Cause::Success, "").await;
    }
    let of_lead = LogQuery { agent: Some("lead-1".into()), last: 50, ..LogQuery::default() };
    assert_eq!(texts(&ops.logs(&of_lead).await.unwrap()), ["lead-1 1 line 0", "lead-1 1 and more"]);
    let of_all = LogQuery { last: 100, ..LogQuery::default() };
    let lines = ops.logs(&of_all).await.unwrap();
    assert_eq!((lines.len(), lines[0].text.as_str(), lines[61].text.as_str()), (62, "line 0", "and more"));
    assert!(lines.is_sorted_by_key(|line| line.at));

    let grep = |re: &str, last| LogQuery { grep: Some(re.into()), last, ..LogQuery::default() };
    let (lines, looked) = search(&ops, grep("^line [012]$", 50)).await;
    assert_eq!(lines, ["shell-1 line 2", "shell-1 line 1", "lead-1 line 0"], "the newest attempt's first");
    let sorted: Vec<LogFound> = ops.search_logs(grep("^line [012]$", 50)).map(|found| found.unwrap()).collect().await;
    let texts: Vec<&str> = sorted
        .iter()
        .filter_map(|found| match found {
            LogFound::Line(line) => Some(line.text.as_str()),
            LogFound::Looked(_) => None,
        })
        .collect();
    assert_eq!(texts, ["line 0", "line 1", "line 2"], "few are sorted");
    assert!(looked.complete && looked.attempts == 31, "{looked:?}");
    let (lines, looked) = search(&ops, grep("more", 2)).await;
    assert_eq!(lines.len(), 2);
    assert!(!looked.complete && looked.attempts < 31 && looked.of_tasks == 31, "{looked:?}");
    assert_eq!(search(&ops, grep("nowhere", 5)).await.0, [""; 0]);
    let of_lead = LogQuery { agent: Some("lead-1".into()), ..grep("line", 5) };
    assert_eq!(search(&ops, of_lead).await.0, ["lead-1 line 0"]);
    let unknown = LogQuery { agent: Some("lead-9".into()), ..grep("line", 5) };
    assert_eq!(ops.search_logs(unknown).next().await.unwrap().unwrap_err().kind, Kind::NotFound);

    let followed = LogQuery { last: 100, ..LogQuery::default() };
    let first = ops.follow_logs(followed).next().await.unwrap().unwrap();
    assert_eq!(first.text, "line 0", "a followed log begins with all that was asked for");
}
