//! What people and programs write comes back byte for byte, and numbers stay numbers.

use std::{cell::RefCell, collections::HashSet, time::Duration};

use orch::{
    model::{
        cause::Cause,
        id::TaskId,
        task::{TaskResult, TaskState, Usage},
    },
    store::{agents::Pulse, tasks::NewTask},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{check, fixture::*};

/// A result that uses every field.
fn result(text: &str, data: Value) -> TaskResult {
    TaskResult {
        text: text.into(),
        exit_code: Some(-1),
        data: Some(data),
        usage: Some(Usage { input_tokens: u64::MAX, output_tokens: 1, cost_usd: 0.1, ..Usage::default() }),
        duration_ms: 1_732_088_544_120,
        truncated: true,
        path: text.into(),
    }
}

async fn comes_back(world: &World, agent: &Agent, text: &str) {
    let data = json!({"text": text, "empty": [[], {}, null, ""], "numbers": [0.1, 1e300, -1, u64::MAX]});
    let new = NewTask {
        context: Some(data.clone()),
        who: text.into(),
        spec: Spec {
            labels: [(text.to_owned(), text.to_owned())].into(),
            artifacts: vec![text.into(), String::new()],
            cwd: Some(format!("/{text}")),
            key: Some(format!("k{text}")),
            ..task(text).spec
        },
        ..task(text)
    };
    let id = world.delegate(&new).await;
    let again = NewTask { id: TaskId::random(), ..new.clone() };
    assert_eq!(world.store.delegate(&again).await.unwrap().id, id, "its key is known again");
    let claimed = world.claim(agent).await;
    for task in [&claimed.task, &world.detail(&id).await.task] {
        assert_eq!((&task.id, task.state), (&id, TaskState::Running));
        assert_eq!(task.description, new.text);
        assert_eq!(task.context, new.context);
        assert_eq!(task.labels, new.spec.labels);
        assert_eq!(task.artifacts, new.spec.artifacts);
        assert_eq!((&task.cwd, &task.key), (&new.spec.cwd, &new.spec.key));
    }
    let mut report = report(agent, &claimed, Cause::Permanent);
    report.result = Some(result(text, data));
    report.reason = format!("because {text}");
    world.store.finish(&report).await.unwrap();
    let detail = world.detail(&id).await;
    assert_eq!(detail.result, report.result);
    assert_eq!(detail.task.reason.as_ref(), Some(&report.reason));
    assert_eq!(detail.attempts[0].reason.as_ref(), Some(&report.reason));
    let event = world.events().await.into_iter().rfind(|e| e.kind.as_str() == "task.failed").unwrap();
    assert_eq!(event.reason, report.reason);
}

#[tokio::test]
async fn texts_come_back_byte_for_byte() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    for text in [
        "",
        " ",
        "\n",
        "quotes ' \" ` and \\ and \\n",
        "line\r\nline\n\n\ttab",
        "; kill-server; #(touch /tmp/x) {prompt} {prompt_file} %s %% $HOME $(id)",
        "\u{1b}[31m\u{7}\u{0}\u{7f}\u{80}",
        "ünïcödé 日本語 🦀 \u{202e}\u{feff}\u{10ffff}",
        "*3\r\n$4\r\nEVAL\r\n",
        "null",
        "[1,2",
    ] {
        comes_back(&world, &agent, text).await;
    }
    comes_back(&world, &agent, &"1 MiB of ünïcödé\n".repeat(60_000)).await;
    check::structures(&world).await;
}

#[test]
fn any_text_comes_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::start_hasty();
    let world = server.world("n");
    let agent = runtime.block_on(world.agent("shell-1"));
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let texts = proptest::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter);
    let seen = RefCell::new(HashSet::new());
    TestRunner::new(config)
        .run(&texts, |text| {
            if seen.borrow_mut().insert(text.clone()) {
                runtime.block_on(comes_back(&world, &agent, &text));
            }
            Ok(())
        })
        .unwrap();
}

/// `depth` arrays in each other.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| Value::Array(vec![inner]))
}

/// A record that does not read would stop its agent for ever. What is nested too deeply to be read is kept as text.
#[tokio::test]
async fn data_that_is_nested_too_deeply_does_not_break_its_task() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    for depth in [1, 100, 126, 127, 128, 1_001] {
        let deep = nested(depth);
        let id = world.delegate(&NewTask { context: Some(deep.clone()), ..task("x") }).await;
        let claimed = world.claim(&agent).await;
        let mut report = report(&agent, &claimed, Cause::Success);
        report.result = Some(result("done", deep.clone()));
        assert_eq!(world.store.finish(&report).await.unwrap(), TaskState::Succeeded);
        let detail = world.detail(&id).await;
        let kept = detail.result.unwrap();
        assert_eq!(kept.text, "done");
        for value in [kept.data.unwrap(), detail.task.context.unwrap()] {
            let text = deep.to_string();
            assert!(value == deep || value == Value::String(text), "{depth}");
            assert!(depth > 100 || value == deep, "{depth} is not deep");
        }
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn the_largest_numbers_stay_numbers() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let new = NewTask {
        spec: Spec { timeout_ms: u64::MAX, retries: u32::MAX, lost_max: u32::MAX, ..task("x").spec },
        ..task("x")
    };
    let id = world.delegate(&new).await;
    let claimed = world.store.claim(&agent.id, &agent.incarnation, Duration::MAX).await.unwrap().unwrap();
    assert_eq!(claimed.task.timeout_ms, u64::MAX);
    assert_eq!((claimed.task.retries, claimed.task.lost_max), (u32::MAX, u32::MAX));
    let most = Pulse { rss_bytes: Some(u64::MAX), progress_age: Some(Duration::MAX), ..pulse(&claimed) };
    world.store.heartbeat(&agent.id, &agent.incarnation, Duration::MAX, &most).await.unwrap();
    assert_eq!(world.store.agent("shell-1").await.unwrap().unwrap().agent.rss_bytes, Some(u64::MAX));
    world.store.mark_waiting(&capability(&agent, &claimed), &[], Duration::MAX).await.unwrap();
    assert!(world.detail(&id).await.task.waiting);
    let mut report = report(&agent, &claimed, Cause::Transient);
    report.retry_after_ms = Some(u64::MAX);
    report.exit_code = Some(i32::MIN);
    assert_eq!(world.store.finish(&report).await.unwrap(), TaskState::Delayed);
    let detail = world.detail(&id).await;
    assert_eq!(detail.attempts[0].exit_code, Some(i32::MIN));
    assert!(detail.task.due_at.is_some());
    let (count, next) = world.store.release_due().await.unwrap();
    assert!(count == 0 && next.unwrap() > LONG);
    assert!(world.store.observe(&[ROLE.into()]).await.unwrap().next_due.unwrap() > LONG);
}

/// Times are whole milliseconds everywhere, as Redis's clock has them.
#[tokio::test]
async fn times_are_whole_milliseconds() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    let mut report = report(&agent, &claimed, Cause::Transient);
    report.retry_after_ms = Some(5_000);
    world.store.finish(&report).await.unwrap();
    let mut raw = world.raw();
    let keys = world.store.keys();
    let fields: Vec<Option<String>> = redis::cmd("HMGET")
        .arg(keys.of("task", id.as_str()))
        .arg(&["created_at", "since", "ready_at", "due_at"])
        .query(&mut raw)
        .unwrap();
    let attempt: String = redis::cmd("LINDEX").arg(keys.of("attempts", id.as_str())).arg(0).query(&mut raw).unwrap();
    let attempt: Value = serde_json::from_str(&attempt).unwrap();
    let number = |name: &str| attempt[name].as_u64().unwrap_or_else(|| panic!("{attempt}"));
    let numbers = fields.into_iter().map(|f| f.unwrap().parse::<u64>().unwrap());
    let (now, _): (u64, u64) = redis::cmd("TIME").query(&mut raw).unwrap();
    for ms in numbers.chain(["started_at", "ended_at", "next_retry_at"].map(number)) {
        assert!((now * 1000 - 60_000..now * 1000 + 60_000).contains(&ms), "{ms}");
    }
    assert_eq!(number("next_retry_at") - number("ended_at"), 5_000);
}
