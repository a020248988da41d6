//! Rights at a delegation: what an agent gives away, what a person has to approve, and what that person reads.

use super::*;
use crate::{
    drivers::{Commands, DriverKind},
    error::Kind,
    model::question::{QuestionKind, QuestionRef},
};

/// Roles besides those of every test: `weak` may do nothing without asking.
const ROLES: &str = "[roles.weak]\ndriver = 'claude'\n[roles.peer]\ndriver = 'claude'\n\
    [roles.writer]\ndriver = 'claude'\npermission_mode = 'acceptEdits'\n\
    [roles.keeper]\ndriver = 'claude'\nenv_from = ['DEPLOY_KEY']\n\
    [roles.strict]\ndriver = 'claude'\nescalation = 'refuse'\n\
    [roles.trusting]\ndriver = 'claude'\ndelegates_to = ['shell']\n\
    [roles.both]\ndriver = 'claude'\ndelegates_to = ['shell']\nescalation = 'approve'\n";

async fn world(roles: &str) -> World {
    let world = World::awake().await;
    let file = world.folder.path().join("sessions.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + roles).unwrap();
    world
}

/// The verbs within an attempt of a role, and that attempt's task.
async fn within(world: &World, role: &str) -> (Ops, TaskId) {
    let person = world.ops();
    let id = person.delegate(task("the parent's text", role)).await.unwrap().id;
    let agent = world.agent(&format!("{role}-1"), role).await;
    let claimed = agent.claim(&person).await;
    (world.ops_within(&agent, &claimed), id)
}

#[tokio::test]
async fn an_agent_delegates_freely_to_roles_that_may_no_more() {
    let world = world(ROLES).await;
    let (weak, _) = within(&world, "weak").await;
    for role in ["weak", "peer", "strict"] {
        let free = weak.delegate(task("x", role)).await.unwrap();
        assert_eq!((free.state, free.needs_approval.len()), (TaskState::Ready, 0), "{role}");
    }
    for (role, right) in [
        ("shell", "run any command"),
        ("lead", "run any command"),
        ("writer", "change files without asking"),
        ("keeper", "read the variable DEPLOY_KEY"),
    ] {
        let held = weak.delegate(task("x", role)).await.unwrap();
        assert_eq!((held.state, held.needs_approval), (TaskState::Held, vec![right.to_owned()]), "{role}");
    }
    let (shell, _) = within(&world, "lead").await;
    assert_eq!(shell.delegate(task("x", "shell")).await.unwrap().state, TaskState::Ready);
}

#[tokio::test]
async fn a_person_reads_what_would_run_with_which_rights_and_who_asks() {
    let world = world(ROLES).await;
    let (weak, parent) = within(&world, "weak").await;
    let text = "echo one\nRights: none\r\u{2028}rm -rf build";
    let held = weak.delegate(Delegate { context: Some(serde_json::json!({"why": "x"})), ..task(text, "shell") });
    let id = held.await.unwrap().id;
    let person = world.ops();
    let detail = person.detail(&id).await.unwrap();
    let [question] = detail.questions.as_slice() else { panic!("{detail:?}") };
    assert_eq!(question.kind, QuestionKind::Escalation);
    let folder = world.folder.path().canonicalize().unwrap();
    assert_eq!(
        question.question.lines().collect::<Vec<_>>(),
        [
            "May role shell do this task? It needs approval: role shell may run any command, and role weak may not.",
            &format!("asked by: weak-1 within {parent} (role weak)"),
            &format!("within:   {parent} (role weak): the parent's text"),
            &format!("runs as:  role shell (driver shell), in {}", folder.display()),
            "task:",
            "  | echo one",
            "  | Rights: none",
            "  | ",
            "  | rm -rf build",
            "context:",
            r#"  | {"why":"x"}"#,
        ]
    );
    let status = person.status().await.unwrap();
    let asks = status.attention.iter().find(|a| a.what.contains("rm -rf build")).expect("the whole question");
    assert_eq!(asks.do_, format!("orch approve {id}#1, or: orch deny {id}#1 WHY"));
    let why = person.why(&Target::Task(id.clone())).await.unwrap();
    assert!(asks.commands.len() == 2 && asks.commands.iter().all(|command| why.hints.contains(command)), "{why:?}");
    assert!(!why.hints.iter().any(|hint| hint.contains("retry")), "{why:?}");

    let answer = Answer::Approve(None);
    assert_eq!(person.answer(&QuestionRef::new(&id, 1), &answer).await.unwrap().state, TaskState::Ready);
    let shell = world.agent("shell-1", "shell").await;
    assert_eq!(shell.claim(&person).await.task.id, id);
}

#[tokio::test]
async fn an_approval_holds_for_one_task_and_not_for_the_role_that_asked() {
    let world = world(ROLES).await;
    let (weak, _) = within(&world, "weak").await;
    let first = weak.delegate(task("id", "shell")).await.unwrap().id;
    let person = world.ops();
    person.answer(&QuestionRef::from(&first), &Answer::Approve(None)).await.unwrap();
    let second = weak.delegate(task("id", "shell")).await.unwrap();
    assert_ne!(second.id, first);
    assert_eq!(second.state, TaskState::Held, "the same text again is another task");
    person.answer(&QuestionRef::from(&second.id), &Answer::Deny(Some("once is enough".into()))).await.unwrap();
    let denied = person.detail(&second.id).await.unwrap().task;
    assert_eq!((denied.state, denied.code), (TaskState::Cancelled, Some(EndCode::ApprovalDenied)));
    let waited = weak.wait(Wait { ids: vec![second.id.clone()], ..Wait::default() }).await.unwrap();
    assert_eq!(waited[0].task.reason.as_deref(), Some("a person denied: once is enough"));
    assert_eq!(weak.inbox(false, None).await.unwrap().messages.len(), 1, "the delegator is told");
    let refused = person.retry(std::slice::from_ref(&second.id)).await.unwrap_err();
    assert!(refused.message.contains("no person has approved"), "{refused}");
}

#[tokio::test]
async fn a_role_refuses_or_names_instead_of_asking() {
    let world = world(ROLES).await;
    let (strict, _) = within(&world, "strict").await;
    let refused = strict.delegate(task("x", "shell")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Failed);
    assert!(
        refused.message.contains("strict-1 may not delegate to shell: role shell may run any command"),
        "{refused}"
    );
    let (trusting, _) = within(&world, "trusting").await;
    assert_eq!(trusting.delegate(task("x", "shell")).await.unwrap().state, TaskState::Ready);
    let refused = trusting.delegate(task("x", "peer")).await.unwrap_err();
    assert!(refused.message.contains("its role trusting delegates to shell"), "{refused}");
    let (both, _) = within(&world, "both").await;
    assert_eq!(both.delegate(task("x", "shell")).await.unwrap().state, TaskState::Ready);
    let held = both.delegate(task("x", "peer")).await.unwrap();
    assert_eq!((held.state, held.needs_approval), (TaskState::Held, vec!["work for role both".to_owned()]));
    let names = |ops: &Ops| -> Vec<(String, bool)> {
        ops.delegable_roles().into_iter().map(|(name, approval)| (name.to_owned(), approval)).collect()
    };
    assert_eq!(names(&trusting), [("shell".to_owned(), false)]);
    assert!(!names(&strict).iter().any(|(name, approval)| name == "shell" || *approval));
    let (weak, _) = within(&world, "weak").await;
    assert!(names(&weak).contains(&("shell".to_owned(), true)) && names(&weak).contains(&("peer".to_owned(), false)));
}

#[tokio::test]
async fn a_subtask_stays_in_the_folder_of_its_caller() {
    let world = world(ROLES).await;
    let root = world.folder.path().to_owned();
    std::fs::create_dir_all(root.join("web/src")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("web/link")).unwrap();
    let person = world.ops();
    let id = person.delegate(Delegate { cwd: Some(root.join("web")), ..task("x", "weak") }).await.unwrap().id;
    let agent = world.agent("weak-1", "weak").await;
    let claimed = agent.claim(&person).await;
    assert_eq!(claimed.task.id, id);
    let weak = world.ops_within(&agent, &claimed);
    let in_folder = async |cwd: &std::path::Path| {
        weak.delegate(Delegate { cwd: Some(cwd.to_owned()), ..task("x", "peer") }).await.unwrap()
    };
    for inside in [root.join("web"), root.join("web/src"), root.join("web/../web/src")] {
        assert_eq!(in_folder(&inside).await.state, TaskState::Ready, "{}", inside.display());
    }
    for out in [root.clone(), root.join("web/.."), root.join("web/link"), outside.path().to_owned(), "/".into()] {
        let held = in_folder(&out).await;
        let right = format!("work in {}", out.canonicalize().unwrap().display());
        assert_eq!((held.state, held.needs_approval), (TaskState::Held, vec![right]), "{}", out.display());
    }
    let default = weak.delegate(task("x", "peer")).await.unwrap();
    assert_eq!(default.state, TaskState::Held, "the role's own folder is above the task's");
}

#[tokio::test]
async fn the_master_is_judged_by_its_role_and_a_person_is_not() {
    let world = world(ROLES).await;
    let master = world.ops_of(Caller::Agent { agent: "opus-master".into(), role: "weak".into(), attempt: None });
    let held = master.delegate(task("x", "shell")).await.unwrap();
    assert_eq!(held.state, TaskState::Held);
    let question = &world.ops().detail(&held.id).await.unwrap().questions[0].question;
    assert!(question.contains("asked by: opus-master (role weak)"), "{question}");
    let desk = world.ops_of(Caller::Agent { agent: "opus-master".into(), role: "desk".into(), attempt: None });
    assert_eq!(desk.delegate(task("x", "shell")).await.unwrap().state, TaskState::Ready);
    assert_eq!(world.ops().delegate(task("x", "shell")).await.unwrap().state, TaskState::Ready);
    let unknown = world.ops_of(Caller::Agent { agent: "a-1".into(), role: "gone".into(), attempt: None });
    assert_eq!(unknown.delegate(task("x", "weak")).await.unwrap().state, TaskState::Held, "a role without rights");
}

/// As far as orch decides: each driver's program that may run no command gets none run by delegations, through other roles, by
/// retries, answers, keys, folders, messages or verbs over agents.
#[tokio::test]
async fn a_role_without_shell_rights_reaches_no_shell() {
    for driver in DriverKind::agents() {
        let options = crate::config::AgentOptions::default();
        let may_run = driver.driver().unwrap().commands(&options);
        if may_run == Commands::Any {
            continue;
        }
        let world = world(&format!("[roles.weak]\ndriver = '{driver}'\n[roles.peer]\ndriver = '{driver}'\n")).await;
        let person = world.ops();
        let shell = world.agent("shell-1", "shell").await;
        let (weak, parent) = within(&world, "weak").await;
        let (peer, _) = within(&world, "peer").await;
        let mut held = Vec::new();
        for (ops, asked) in [
            (&weak, task("id", "shell")),
            (&weak, Delegate { key: Some("mine".into()), ..task("id", "shell") }),
            (&weak, Delegate { cwd: Some(world.folder.path().into()), ..task("id", "shell") }),
            (&weak, Delegate { priority: Some(Priority::High), ..task("id", "lead") }),
            (&peer, task("id", "shell")),
        ] {
            let made = ops.delegate(asked).await.unwrap();
            assert_eq!(made.state, TaskState::Held, "{driver}");
            held.push(made.id);
        }
        for id in &held {
            assert!(weak.retry(std::slice::from_ref(id)).await.is_err(), "{driver}");
            for answer in [Answer::Approve(None), Answer::Text("yes".into())] {
                assert!(weak.answer(&QuestionRef::new(id, 1), &answer).await.is_err(), "{driver}");
            }
        }
        assert!(weak.delegate(Delegate { after: vec![parent.to_string()], ..task("id", "shell") }).await.is_ok());
        assert!(weak.scale("shell", Some(3)).await.is_err() && weak.drain().await.is_err(), "{driver}");
        weak.cancel(&held[..1]).await.unwrap();
        assert!(weak.retry(&held[..1]).await.is_err(), "{driver}: cancelled is not approved");
        let taken = person.store().claim(&shell.id, &shell.incarnation, LEASE).await.unwrap();
        assert!(taken.is_none(), "{driver}: {taken:?}");
        let events = person.store().events_after("-", 1000).await.unwrap();
        let ready = |id: &TaskId| {
            events.iter().any(|e| e.kind.as_str() == "task.ready" && e.task.as_deref() == Some(id.as_str()))
        };
        assert!(!held.iter().any(ready), "{driver}");
    }
}
