//! What words name: beginnings of ids, `@last`, agents in place of tasks and tasks in place of agents.

use super::*;
use crate::error::Kind;

async fn task_named(ops: &Ops, word: &str) -> Result<TaskId> {
    match ops.find(word, Wanted::Task).await? {
        Target::Task(task) => Ok(task),
        other => panic!("{word} was read as {other}"),
    }
}

#[tokio::test]
async fn the_beginning_of_an_id_names_its_task() {
    let world = World::awake().await;
    let ops = world.ops();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(ops.delegate(task(&format!("text {n}"), "shell")).await.unwrap().id);
    }
    for id in &ids {
        // As many characters as it takes to differ from all others.
        let of = |n: usize| &id.as_str()[..n];
        let n = (3..12).find(|n| ids.iter().filter(|other| other.as_str().starts_with(of(*n))).count() == 1).unwrap();
        assert_eq!(task_named(&ops, of(n)).await.as_ref(), Ok(id));
        assert_eq!(task_named(&ops, &id.as_str()[2..]).await.as_ref(), Ok(id), "a double click selects no 't-'");
    }
    // Of 40 ids, two begin with the same of 32 letters.
    let shared = ids.iter().map(|id| &id.as_str()[..3]).find(|begin| {
        !begin.ends_with(|c: char| c.is_ascii_digit())
            && ids.iter().filter(|id| id.as_str().starts_with(*begin)).count() > 1
    });
    let Some(shared) = shared else { return };
    let error = ops.find(shared, Wanted::Any).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    for id in ids.iter().filter(|id| id.as_str().starts_with(shared)) {
        assert!(error.message.contains(id.as_str()) && error.message.contains("text "), "{}", error.message);
    }
    let unknown = ["t-zzzzzzzzz", "t-0000"].into_iter().find(|b| !ids.iter().any(|id| id.as_str().starts_with(b)));
    assert_eq!(ops.find(unknown.unwrap(), Wanted::Task).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn recent_tasks_are_those_that_the_caller_delegated() {
    let world = World::awake().await;
    let ops = world.ops();
    assert_eq!(task_named(&ops, "@last").await.unwrap_err().kind, Kind::NotFound);
    let old = ops.delegate(task("old", "shell")).await.unwrap().id;
    let lead = ops.delegate(task("lead", "lead")).await.unwrap().id;
    let agent = world.agent("lead-1", "lead").await;
    let claimed = agent.claim(&ops).await;
    let within = world.ops_within(&agent, &claimed);
    assert_eq!(task_named(&within, "@last").await.unwrap_err().kind, Kind::NotFound, "it has delegated nothing");
    let parts =
        [within.delegate(task("1", "shell")).await.unwrap().id, within.delegate(task("2", "shell")).await.unwrap().id];

    for (word, id) in [("@last", &lead), ("@1", &lead), ("@2", &old)] {
        assert_eq!(task_named(&ops, word).await.as_ref(), Ok(id), "{word}");
    }
    assert_eq!(task_named(&within, "@last").await.as_ref(), Ok(&parts[1]));
    assert_eq!(task_named(&within, "@2").await.as_ref(), Ok(&parts[0]));
    let error = task_named(&ops, "@99").await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.message.contains("only 2 tasks"), "{error}");
}

#[tokio::test]
async fn an_agent_and_the_task_that_it_works_on_stand_for_each_other() {
    let world = World::awake().await;
    let ops = world.ops();
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    assert_eq!(ops.find(id.as_str(), Wanted::Agent).await.unwrap_err().kind, Kind::Failed, "no agent works on it");
    let agent = world.agent("shell-1", "shell").await;
    world.agent("shell-12", "shell").await;
    let claimed = agent.claim(&ops).await;
    assert_eq!(ops.find(id.as_str(), Wanted::Agent).await, Ok(Target::Agent("shell-1".into())));
    assert_eq!(task_named(&ops, "shell-1").await.as_ref(), Ok(&id));
    assert_eq!(ops.find("shell-1", Wanted::Any).await, Ok(Target::Agent("shell-1".into())), "it is a whole name");
    let error = ops.find("shell-12", Wanted::Task).await.unwrap_err();
    assert!(error.kind == Kind::Failed && error.message.contains("idle"), "{error}");
    let error = ops.find("shel", Wanted::Any).await.unwrap_err();
    assert!(error.kind == Kind::Usage && error.message.contains("shell-12 idle"), "{error}");
    assert_eq!(ops.find("shell-2", Wanted::Any).await.unwrap_err().kind, Kind::NotFound);

    agent.finish(&ops, &claimed, Cause::Success, "").await;
    assert_eq!(ops.find("shell-1", Wanted::Task).await.unwrap_err().kind, Kind::Failed);
    assert_eq!(ops.find("shell-1", Wanted::LastTask).await, Ok(Target::Task(id.clone())));
    world.agent("lead-1", "lead").await;
    assert_eq!(ops.find("le", Wanted::Any).await, Ok(Target::Agent("lead-1".into())));
    let next = ops.delegate(Delegate { after: vec!["@last".into()], ..task("y", "shell") }).await.unwrap();
    assert_eq!(ops.detail(&next.id).await.unwrap().task.after, [id]);
}
