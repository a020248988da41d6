//! delegate, wait, result: from a person, and from within an attempt.

use futures_util::StreamExt;

use super::*;
use crate::error::Kind;

fn wait_for(ids: &[&TaskId]) -> Wait {
    Wait { ids: ids.iter().map(|id| (*id).clone()).collect(), ..Wait::default() }
}

#[tokio::test]
async fn a_task_is_waited_for_until_it_ends() {
    let world = World::awake().await;
    let ops = world.ops();
    let id = ops.delegate(task("true", "shell")).await.unwrap().id;
    assert_eq!(ops.result(&id).await.unwrap_err().kind, Kind::Failed);
    let agent = world.agent("shell-1", "shell").await;
    let work = async {
        let claimed = agent.claim(&ops).await;
        agent.finish(&ops, &claimed, Cause::Success, "done").await
    };
    let (waited, _) = tokio::join!(ops.wait(wait_for(&[&id, &id])), work);
    let details = waited.unwrap();
    assert_eq!(details.len(), 1);
    assert_eq!(details[0].task.state, TaskState::Succeeded);
    assert_eq!(ops.result(&id).await.unwrap().result.unwrap().text, "done");
    assert_eq!(ops.wait(wait_for(&[&id])).await.unwrap().len(), 1, "what has ended is not waited for");
}

#[tokio::test]
async fn a_wait_ends_by_its_timeout_or_with_any_after_the_first_end() {
    let world = World::awake().await;
    let ops = world.ops();
    let first = ops.delegate(task("1", "shell")).await.unwrap().id;
    let second = ops.delegate(task("2", "shell")).await.unwrap().id;
    let limited = Wait { timeout: Some(Duration::from_millis(30)), ..wait_for(&[&first, &second]) };
    let error = ops.wait(limited.clone()).await.unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(error.message.contains(&format!("{first} (ready)")) && error.message.contains("30ms"), "{error}");

    ops.cancel(std::slice::from_ref(&second)).await.unwrap();
    let any = ops.wait(Wait { any: true, ..limited.clone() }).await.unwrap();
    assert_eq!(any.iter().map(|d| &d.task.id).collect::<Vec<_>>(), [&second]);
    assert_eq!(ops.wait(limited).await.unwrap_err().kind, Kind::TimedOut);
    assert_eq!(ops.wait(wait_for(&[&TaskId::random()])).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(ops.wait(Wait::default()).await.unwrap_err().kind, Kind::Usage);
}

#[tokio::test]
async fn a_wait_reports_once_that_a_task_is_held() {
    let world = World::awake().await;
    let ops = world.ops();
    let id = ops.delegate(task("log in", "shell")).await.unwrap().id;
    let agent = world.agent("shell-1", "shell").await;
    let claimed = agent.claim(&ops).await;
    assert_eq!(agent.finish(&ops, &claimed, Cause::NeedsPerson, "log in first").await, TaskState::Held);
    let limited = Wait { timeout: Some(Duration::from_millis(30)), ..wait_for(&[&id]) };
    let steps: Vec<WaitStep> = ops.wait_steps(limited, std::future::pending()).map(Result::unwrap).collect().await;
    let held = steps.iter().filter_map(|step| match step {
        WaitStep::Held(task) => Some(task.reason.clone().unwrap_or_default()),
        _ => None,
    });
    assert_eq!(held.collect::<Vec<_>>(), ["log in first"]);
    assert!(matches!(steps.last(), Some(WaitStep::Done(waited)) if waited.timed_out), "{steps:?}");
}

#[tokio::test]
async fn subtasks_of_any_depth_are_listed_below_a_task() {
    let world = World::awake().await;
    let ops = world.ops();
    let top = ops.delegate(task("top", "lead")).await.unwrap().id;
    let lead = world.agent("lead-1", "lead").await;
    let claimed = lead.claim(&ops).await;
    let middle = world.ops_within(&lead, &claimed).delegate(task("middle", "shell")).await.unwrap().id;
    let shell = world.agent("shell-1", "shell").await;
    let claimed = shell.claim(&ops).await;
    let bottom = world.ops_within(&shell, &claimed).delegate(task("bottom", "shell")).await.unwrap().id;
    let listed = async |below| -> Vec<TaskId> {
        let filter = TaskFilter { parent: Some(top.clone()), below, ..TaskFilter::default() };
        ops.tasks(filter).await.unwrap().tasks.into_iter().map(|t| t.id).collect()
    };
    assert_eq!(listed(false).await, std::slice::from_ref(&middle));
    assert_eq!(listed(true).await, [bottom, middle]);
}

#[tokio::test]
async fn what_cannot_be_delegated_is_refused() {
    let world = World::awake().await;
    let ops = world.ops();
    for (asked, kind, said) in [
        (task("x", "shel"), Kind::NotFound, "shel"),
        (task("x", "desk"), Kind::Usage, "prompt for a person"),
        (task("", "shell"), Kind::Usage, "no text"),
        (Delegate { after: vec![TaskId::random().to_string()], ..task("x", "shell") }, Kind::NotFound, "t-"),
        (Delegate { cwd: Some("/nonexistent".into()), ..task("x", "shell") }, Kind::Usage, "/nonexistent"),
    ] {
        let error = ops.delegate(asked).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
    ops.drain().await.unwrap();
    assert_eq!(ops.delegate(task("x", "shell")).await.unwrap_err().kind, Kind::Failed);
    assert!(ops.resume(None).await.unwrap());
    assert!(ops.delegate(task("x", "shell")).await.is_ok());
}

#[tokio::test]
async fn an_attempt_delegates_a_subtask_that_its_next_attempt_finds_again() {
    let world = World::awake().await;
    let person = world.ops();
    let parent = person.delegate(task("lead", "lead")).await.unwrap().id;
    let lead = world.agent("lead-1", "lead").await;
    let claimed = lead.claim(&person).await;
    let within = world.ops_within(&lead, &claimed);

    let child = within.delegate(task("part", "shell")).await.unwrap();
    assert!(child.created);
    assert_eq!(person.detail(&child.id).await.unwrap().task.parent, Some(parent.clone()));
    let refused = within.delegate(task("part", "lead")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Failed);
    assert!(refused.message.contains("delegates to shell"), "{refused}");

    assert_eq!(lead.finish(&person, &claimed, Cause::Transient, "again").await, TaskState::Delayed);
    let stale = within.delegate(task("more", "shell")).await.unwrap_err();
    assert!(stale.message.contains("this attempt is over"), "{stale}");
    person.retry(std::slice::from_ref(&parent)).await.unwrap();
    let claimed = lead.claim(&person).await;
    let again = world.ops_within(&lead, &claimed).delegate(task("part", "shell")).await.unwrap();
    assert_eq!((again.id, again.created), (child.id, false));
}

#[tokio::test]
async fn a_wait_within_an_attempt_marks_its_task_until_it_is_over() {
    let world = World::awake().await;
    let person = world.ops();
    let parent = person.delegate(task("lead", "lead")).await.unwrap().id;
    let lead = world.agent("lead-1", "lead").await;
    let claimed = lead.claim(&person).await;
    let within = world.ops_within(&lead, &claimed);
    let child = within.delegate(task("part", "shell")).await.unwrap().id;
    let worker = world.agent("shell-1", "shell").await;
    let is_waiting = async || person.detail(&parent).await.unwrap().task.waiting;

    let work = async {
        eventually("the mark", is_waiting).await;
        let why = person.why(&Target::Task(parent.clone())).await.unwrap();
        assert!(why.sentences[0].contains(child.as_str()), "{why:?}");
        let part = worker.claim(&person).await;
        worker.finish(&person, &part, Cause::Success, "done").await
    };
    let (waited, _) = tokio::join!(within.wait(wait_for(&[&child])), work);
    assert_eq!(waited.unwrap()[0].task.state, TaskState::Succeeded);
    assert!(!is_waiting().await);

    let limited = Wait {
        timeout: Some(Duration::from_millis(20)),
        ..wait_for(&[&within.delegate(task("2", "shell")).await.unwrap().id])
    };
    assert_eq!(within.wait(limited).await.unwrap_err().kind, Kind::TimedOut);
    assert!(!is_waiting().await, "also when the time was over");
    let itself = within.wait(wait_for(&[&parent])).await.unwrap_err();
    assert!(itself.message.contains("would never end"), "{itself}");
}

#[tokio::test]
async fn without_redis_a_verb_fails_immediately_unless_a_supervisor_runs() {
    let mut world = World::asleep();
    let ops = world.ops();
    let error = ops.delegate(task("x", "shell")).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotRunning);
    assert!(error.hint.unwrap().contains("orch start"));

    // Held, as by a supervisor that is about to start Redis: the call waits for it.
    let _lock = world.supervise();
    let (delegated, ()) = tokio::join!(ops.delegate(task("x", "shell")), async {
        tokio::task::yield_now().await;
        world.start_redis().await;
    });
    assert!(delegated.unwrap().created);
}

#[tokio::test]
async fn a_wait_survives_the_death_of_redis() {
    let mut world = World::awake().await;
    let _lock = world.supervise();
    let ops = world.ops();
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    let waits = wait_for(&[&id]);
    let mut waiting = std::pin::pin!(ops.wait(waits));
    // Far enough to sleep on its subscription.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    world.kill_redis();
    let (waited, ()) = tokio::join!(waiting, async {
        world.start_redis().await;
        world.ops().cancel(std::slice::from_ref(&id)).await.unwrap();
    });
    assert_eq!(waited.unwrap()[0].task.state, TaskState::Cancelled);
}

#[tokio::test]
async fn ended_tasks_are_forgotten_with_their_folders_and_by_no_agent() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let mut ended = Vec::new();
    for cause in [Cause::Success, Cause::Permanent] {
        let id = ops.delegate(task("x", "shell")).await.unwrap().id;
        let claimed = agent.claim(&ops).await;
        agent.finish(&ops, &claimed, cause, "done").await;
        std::fs::create_dir_all(ops.home().run(&id, 1)).unwrap();
        ended.push(id);
    }
    let [done, failed] = [ended[0].clone(), ended[1].clone()];
    let prune = async |asked: Prune| ops.prune(&asked).await.map(|pruned| pruned.tasks);
    let now = Prune { older: Some(Duration::ZERO), ..Prune::default() };
    assert_eq!(prune(Prune::default()).await, Ok(vec![]), "not old enough");
    assert_eq!(prune(Prune { dry_run: true, ..now.clone() }).await, Ok(vec![done.clone()]));
    assert!(ops.home().run(&done, 1).exists());
    assert_eq!(prune(now.clone()).await, Ok(vec![done.clone()]));
    assert!(!ops.home().task_runs(&done).exists() && ops.home().run(&failed, 1).exists());
    assert_eq!(prune(Prune { state: Some(TaskState::Failed), ..now.clone() }).await, Ok(vec![failed]));
    let open = prune(Prune { state: Some(TaskState::Ready), ..now.clone() }).await.unwrap_err();
    assert!(open.kind == Kind::Usage && open.hint.is_some(), "{open}");

    ops.delegate(task("x", "shell")).await.unwrap();
    let claimed = agent.claim(&ops).await;
    let within = world.ops_within(&agent, &claimed).prune(&now).await.unwrap_err();
    assert!(within.kind == Kind::Failed && within.message.contains("orch prune"), "{within}");
}
