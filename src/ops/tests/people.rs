//! What people ask and say: status, why, cancel, retry, pause, spawn, kill.

use futures_util::StreamExt;

use super::*;
use crate::error::Kind;
use crate::model::{attention::AttentionKind, end_code::EndCode, gate::GateCode, message::ReadWhen};
use crate::ops::types::Status;
use crate::redis_server::url_with_password;

#[tokio::test]
async fn status_reports_what_is_down_instead_of_failing() {
    let world = World::asleep();
    let status = world.ops().status().await.unwrap();
    assert_eq!(
        (&*status.supervisor.state, &*status.redis.state, &*status.redis.mode),
        ("stopped", "unreachable", "managed")
    );
    assert!(!status.supervisor.accepting && status.agents.is_empty());
    assert_eq!(status.tasks.len(), TaskState::ALL.len());
    assert!(status.tasks.values().all(|n| *n == 0));
    assert!(status.attention[0].do_.contains("orch start"), "{:?}", status.attention);
}

#[tokio::test]
async fn status_names_what_needs_a_person() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let mut ids = Vec::new();
    for cause in [Cause::NeedsPerson, Cause::Permanent] {
        ids.push(ops.delegate(task("x", "shell")).await.unwrap().id);
        let claimed = agent.claim(&ops).await;
        agent.finish(&ops, &claimed, cause, "log in first").await;
    }
    ops.pause(Some("lead")).await.unwrap();
    let _lock = world.supervise();
    let status = ops.status().await.unwrap();
    assert_eq!((&*status.supervisor.state, status.supervisor.pid), ("running", Some(std::process::id())));
    assert!(status.supervisor.uptime_ms.is_some() && status.supervisor.accepting);
    assert_eq!(status.supervisor.paused_roles, ["lead"]);
    assert_eq!((status.tasks["held"], status.tasks["failed"], status.agents.len()), (1, 1, 1));
    let [held, failed, paused] = &status.attention[..] else { panic!("{:?}", status.attention) };
    assert!(held.what.contains(ids[0].as_str()) && held.what.contains("log in first"), "{held:?}");
    assert_eq!(held.do_, format!("orch why {0}, then: orch retry {0}", ids[0]));
    assert!(failed.what.contains(ids[1].as_str()) && failed.do_.contains("orch retry"), "{failed:?}");
    assert_eq!(paused.do_, "orch resume lead");
}

#[tokio::test]
async fn why_explains_what_keeps_a_ready_task_and_what_goes_first() {
    let world = World::awake().await;
    let ops = world.ops();
    let first = ops.delegate(task("1", "shell")).await.unwrap().id;
    let second = ops.delegate(task("2", "shell")).await.unwrap().id;
    let after = ops.delegate(Delegate { after: vec![second.to_string()], ..task("3", "shell") }).await.unwrap().id;
    let agent = world.agent("shell-1", "shell").await;
    let claimed = agent.claim(&ops).await;
    assert_eq!(claimed.task.id, first);

    let why = ops.why(&Target::Task(second.clone())).await.unwrap();
    assert_eq!(why.state, "ready");
    let said = why.sentences.join("\n");
    assert!(why.sentences[0].contains("supervisor is not running"), "{said}");
    assert!(said.contains(&format!("The one slot of role shell is taken, by {first} (running, shell-1)")), "{said}");
    assert!(why.hints.contains(&"orch start".to_owned()));
    assert_eq!(why.events.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["task.ready"]);

    let third = ops.delegate(task("4", "shell")).await.unwrap().id;
    let said = ops.why(&Target::Task(third)).await.unwrap().sentences.join("\n");
    assert!(said.contains("1 ready task of its role goes first"), "{said}");
    let said = ops.why(&Target::Task(after)).await.unwrap();
    assert!(said.sentences[0].contains(&format!("{second} (ready)")), "{said:?}");
    assert!(said.hints.contains(&format!("orch why {second}")));

    agent.finish(&ops, &claimed, Cause::Permanent, "no such file").await;
    let why = ops.why(&Target::Task(first.clone())).await.unwrap();
    assert!(why.sentences[0].contains("no such file") && why.sentences[1].contains("permanent"), "{why:?}");
    let why = ops.why(&Target::Agent("shell-1".into())).await.unwrap();
    assert_eq!(why.state, "idle");
    assert!(why.events.iter().any(|e| e.kind.as_str() == "task.failed" && e.task.as_deref() == Some(first.as_str())));
    assert_eq!(ops.why(&Target::Agent("shell-2".into())).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn an_agent_changes_only_its_own_subtasks() {
    let world = World::awake().await;
    let person = world.ops();
    let foreign = person.delegate(task("x", "shell")).await.unwrap().id;
    let own = person.delegate(task("lead", "lead")).await.unwrap().id;
    let lead = world.agent("lead-1", "lead").await;
    let claimed = lead.claim(&person).await;
    let within = world.ops_within(&lead, &claimed);
    let child = within.delegate(task("part", "shell")).await.unwrap().id;
    for refused in [&foreign, &own] {
        let error = within.cancel(&[child.clone(), refused.clone()]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.message.contains(refused.as_str()), "{error}");
    }
    assert_eq!(world.state(&child).await, TaskState::Ready, "one refusal, and nothing is done");
    let changed = within.cancel(std::slice::from_ref(&child)).await.unwrap();
    assert_eq!((changed[0].from, changed[0].state, changed[0].changed), (TaskState::Ready, TaskState::Cancelled, true));
    let changed = within.retry(std::slice::from_ref(&child)).await.unwrap();
    assert_eq!((changed[0].from, changed[0].state), (TaskState::Cancelled, TaskState::Ready));

    assert!(within.pause(None).await.is_err() && within.drain().await.is_err() && within.resume(None).await.is_err());
    assert!(within.spawn("shell").await.is_err() && within.kill("lead-1").await.is_err());
    assert!(within.scale("shell", Some(1)).await.is_err());
    assert_eq!(person.store().requests().await.unwrap(), crate::store::observe::Requests::default());
}

#[tokio::test]
async fn cancelling_twice_changes_something_once() {
    let world = World::awake().await;
    let ops = world.ops();
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    let agent = world.agent("shell-1", "shell").await;
    agent.claim(&ops).await;
    let ids = std::slice::from_ref(&id);
    let first = &ops.cancel(ids).await.unwrap()[0];
    assert_eq!((first.state, first.changed), (TaskState::Running, true), "its agent was asked to stop it");
    assert!(!ops.cancel(ids).await.unwrap()[0].changed);
    assert_eq!(ops.cancel(&[id, TaskId::random()]).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn requests_apply_until_they_are_withdrawn() {
    let world = World::awake().await;
    let ops = world.ops();
    assert!(ops.pause(None).await.unwrap() && ops.pause(Some("shell")).await.unwrap() && ops.drain().await.unwrap());
    assert!(!ops.pause(Some("shell")).await.unwrap(), "it stood already");
    assert_eq!(ops.pause(Some("shel")).await.unwrap_err().kind, Kind::NotFound);
    assert!(ops.resume(Some("shell")).await.unwrap());
    assert!(!ops.resume(Some("shell")).await.unwrap());
    assert!(ops.pause(Some("lead")).await.unwrap() && ops.resume(None).await.unwrap());
    assert_eq!(ops.store().requests().await.unwrap(), crate::store::observe::Requests::default());

    assert!(ops.scale("shell", Some(1)).await.unwrap());
    assert_eq!(ops.store().requests().await.unwrap().scale["shell"], 1);
    assert_eq!(ops.scale("shell", Some(2)).await.unwrap_err().kind, Kind::Usage);
    assert!(ops.scale("shell", None).await.unwrap());
    assert!(ops.store().requests().await.unwrap().scale.is_empty());
}

#[tokio::test]
async fn spawn_returns_the_agent_that_the_supervisor_starts() {
    let world = World::awake().await;
    let ops = world.ops();
    assert_eq!(ops.spawn("lead").await.unwrap(), None, "nobody is there to make it");
    assert_eq!(ops.spawn("desk").await.unwrap_err().kind, Kind::Usage);
    let _lock = world.supervise();
    let supervisor = async {
        eventually("the request", async || {
            ops.store().requests().await.unwrap().spawn.iter().any(|(r, _)| r == "shell")
        })
        .await;
        world.agent("shell-1", "shell").await;
    };
    let (spawned, ()) = tokio::join!(ops.spawn("shell"), supervisor);
    assert_eq!(spawned.unwrap().unwrap().id, "shell-1");

    let requests = async || ops.store().requests().await.unwrap().spawn;
    let standing = requests().await;
    let refusing = async {
        eventually("another request", async || requests().await.len() > standing.len()).await;
        let (role, field) = requests().await.into_iter().find(|request| !standing.contains(request)).unwrap();
        ops.store().drop_request(&field, &role, GateCode::RoleSlots, "1 agent is all there may be").await.unwrap();
    };
    let (refused, ()) = tokio::join!(ops.spawn("shell"), refusing);
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, Kind::Failed);
    assert_eq!(refused.message, "no further agent of role shell: 1 agent is all there may be");
}

#[tokio::test]
async fn kill_returns_the_record_of_the_end_and_not_of_a_successor() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let runner = async {
        let process = || ops.store().agent("shell-1");
        eventually("the order", async || process().await.unwrap().unwrap().agent.state == AgentState::Stopping).await;
        let ending = crate::store::agents::Ending {
            to: AgentState::Stopped,
            reason: "it was told to",
            cause: Cause::Lost,
            code: EndCode::AgentStopped,
            attempt_reason: "",
            orphans: None,
            evidence: None,
        };
        ops.store().end_agent(&agent.id, &agent.incarnation, &ending).await.unwrap();
        world.agent("shell-1", "shell").await;
    };
    let (killed, ()) = tokio::join!(ops.kill("shell-1"), runner);
    let killed = killed.unwrap();
    assert_eq!((killed.state, killed.reason.as_deref()), (AgentState::Stopped, Some("it was told to")));
    assert_eq!(killed.incarnation, agent.incarnation);
    assert_eq!(ops.agents().await.unwrap()[0].state, AgentState::Idle);
    assert_eq!(ops.kill("shell-7").await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn tasks_are_filtered_and_events_followed() {
    let world = World::awake().await;
    let ops = world.ops();
    let one = ops.delegate(task("1", "shell")).await.unwrap().id;
    let two = ops.delegate(task("2", "lead")).await.unwrap().id;
    ops.cancel(std::slice::from_ref(&two)).await.unwrap();
    let ids = async |filter: TaskFilter| -> Vec<TaskId> {
        ops.tasks(filter).await.unwrap().tasks.into_iter().map(|t| t.id).collect()
    };
    assert_eq!(ids(TaskFilter::default()).await.len(), 2);
    assert_eq!(
        ids(TaskFilter { role: Some("shell".into()), ..TaskFilter::default() }).await,
        std::slice::from_ref(&one)
    );
    assert_eq!(ids(TaskFilter { states: vec![StateFilter::Cancelled], ..TaskFilter::default() }).await, [two]);
    assert_eq!(ids(TaskFilter { limit: Some(1), ..TaskFilter::default() }).await.len(), 1);
    assert_eq!(ids(TaskFilter { parent: Some(one.clone()), ..TaskFilter::default() }).await, []);
    let unknown = TaskFilter { role: Some("shel".into()), ..TaskFilter::default() };
    assert_eq!(ops.tasks(unknown).await.unwrap_err().kind, Kind::NotFound);

    let kinds = ops.follow_events("-").take(4).map(|event| event.unwrap().kind.as_str()).collect::<Vec<_>>();
    let (kinds, cancelled) = tokio::join!(kinds, ops.cancel(std::slice::from_ref(&one)));
    cancelled.unwrap();
    assert_eq!(kinds, ["task.ready", "task.ready", "task.cancelled", "task.cancelled"]);
    let wrong = ops.follow_events("x").next().await.unwrap();
    assert_eq!(wrong.unwrap_err().kind, Kind::Usage);
}

#[tokio::test]
async fn doctor_checks_everything_while_nothing_runs() {
    let world = World::asleep();
    let checks = world.ops().doctor().await;
    let state = |name: &str| checks.iter().find(|c| c.name == name).map(|c| c.state);
    for name in ["redis", "state folder", "socket", "configuration", "role shell", "role desk", "supervisor"] {
        assert_eq!(state(name), Some("ok"), "{checks:?}");
    }
    assert!(checks.iter().all(|c| (c.state == "ok") == c.fix.is_none()), "{checks:?}");
}

#[tokio::test]
async fn doctor_checks_the_stored_records() {
    let world = World::awake().await;
    let ops = world.ops();
    let records = async || ops.doctor().await.into_iter().find(|c| c.name == "records").unwrap();
    assert_eq!((records().await.state, records().await.fix), ("ok", None));
    for n in 1..=5 {
        world.agent(&format!("shell-{n}"), "shell").await;
    }
    let url = url_with_password(ops.home().path(), User::Supervisor).unwrap();
    let client = redis::Client::open(url).unwrap();
    let living = ops.store().keys().plain("agents");
    let () = redis::cmd("DEL").arg(living).query(&mut client.get_connection().unwrap()).unwrap();
    let records = records().await;
    assert_eq!(records.state, "error");
    assert!(records.found.starts_with("agent shell-1: it is idle, and not among the living; "), "{}", records.found);
    assert!(records.found.ends_with("; and 2 more"), "{}", records.found);
}

#[tokio::test]
async fn a_message_that_was_not_read_is_named_by_status_before_and_after_its_task_ends() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let id = ops.delegate(task("x", "shell")).await.unwrap().id;
    let claimed = agent.claim(&ops).await;
    let sent = ops.send(id.as_str(), "leave the tests alone").await.unwrap();
    assert_eq!(sent.reads, Some(ReadWhen::OnRequest), "a script reads only what it asks for");
    let of = |status: &Status| status.agents.iter().map(|a| (a.unread, a.unread_since.is_some())).collect::<Vec<_>>();
    assert_eq!(of(&ops.status().await.unwrap()), [(1, true)]);
    let _lock = world.supervise();

    agent.finish(&ops, &claimed, Cause::Success, "done").await;
    let status = ops.status().await.unwrap();
    assert_eq!(of(&status), [(0, false)]);
    let [unread] = &status.attention[..] else { panic!("{:?}", status.attention) };
    assert_eq!((unread.kind, unread.do_.as_str()), (AttentionKind::Messages, &*format!("orch show {id}")));
    assert!(unread.what.contains("has not read your message 'leave the tests alone'"), "{}", unread.what);
}
