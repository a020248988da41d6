//! Questions to persons, and messages: asked once, answered once, read once.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        end_code::EndCode,
        escalation::Escalation,
        id::{Capability, TaskId},
        question::{Approval, QuestionKind, QuestionRef},
        task::TaskState,
        wait::Needs,
    },
    store::{
        people::{Asked, NewMessage, Reader},
        tasks::NewTask,
    },
};

use super::{check, fixture::*};

const WAITS: Duration = Duration::from_secs(15);

fn answered(answer: &str) -> Asked {
    Asked::Answered { answer: answer.into(), approval: None }
}

pub(super) fn message(to: &str, id: &str, text: &str) -> NewMessage {
    NewMessage {
        id: id.into(),
        to: to.into(),
        text: text.into(),
        from: "a test".into(),
        attempt: None,
        reply_to: None,
        master: "opus-master".into(),
    }
}

#[tokio::test]
async fn a_question_is_asked_once_and_answered_once() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let who = capability(&agent, &claimed);
    for _ in 0..3 {
        assert_eq!(world.store.ask(&who, "token", "Which one?", &[], WAITS).await.unwrap(), (1, Asked::Open));
    }
    let (asking, all) = world.store.asking(5).await.unwrap();
    assert_eq!((asking.len(), asking[0].1.len(), all), (1, 1, vec![id.clone()]));
    // The heartbeat does not take back what the program waits for.
    world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse(&claimed)).await.unwrap();
    let record = world.store.agent(&agent.id).await.unwrap().unwrap();
    assert_eq!(record.agent.needs, Some(Needs::Input));
    check::structures(&world).await;

    for _ in 0..2 {
        let answer = world.store.answer(&(&id).into(), "answer", "the red one", None, "a person").await.unwrap();
        assert_eq!((answer.number, answer.state, answer.open), (1, TaskState::Running, 0));
    }
    assert_eq!(refusal(world.store.answer(&(&id).into(), "other", "no", None, "a person").await), "nothing_asked");
    for _ in 0..2 {
        let now = world.store.ask(&who, "token", "Which one?", &[], WAITS).await.unwrap();
        assert_eq!(now, (1, answered("the red one")));
    }
    assert_eq!(world.store.agent(&agent.id).await.unwrap().unwrap().agent.needs, None);
    let events = world.events().await;
    let count = |kind: &str| events.iter().filter(|e| e.kind.as_str() == kind).count();
    assert_eq!((count("task.asks"), count("task.answered")), (1, 1));
    // Heard: the same words are a new question from now on.
    assert_eq!(world.store.ask(&who, "next", "Which one?", &[], WAITS).await.unwrap().0, 2);
    check::structures(&world).await;
}

#[tokio::test]
async fn whoever_ends_without_an_answer_is_held_and_the_answer_goes_on_to_the_next_attempt() {
    for cause in [Cause::Success, Cause::Transient, Cause::Timeout, Cause::NeedsPerson] {
        let server = Server::start();
        let world = server.world("n");
        let id = world.delegate(&NewTask { spec: Spec { retries: 0, ..task("x").spec }, ..task("x") }).await;
        let agent = world.agent("shell-1").await;
        let claimed = world.claim(&agent).await;
        let options = ["yes".to_owned(), "no".to_owned()];
        let who = capability(&agent, &claimed);
        world.store.ask(&who, "token", "May I?", &options, Duration::ZERO).await.unwrap();
        assert_eq!(world.finish(&agent, &claimed, cause).await, TaskState::Held, "{cause}");
        let held = world.detail(&id).await;
        assert_eq!(held.task.reason.as_deref(), Some("it asks: May I?"));
        assert_eq!(held.task.failures, 0, "{cause} counts for nothing while a person has to answer");
        check::structures(&world).await;

        let refused = world.store.answer(&(&id).into(), "a", "perhaps", None, "a person").await;
        assert_eq!(refusal(refused), "not_an_option");
        let answer = world.store.answer(&(&id).into(), "a", "yes", None, "a person").await.unwrap();
        assert_eq!(answer.state, TaskState::Ready);
        let again = world.claim(&agent).await;
        assert_eq!(again.questions[0].answer.as_deref(), Some("yes"));
        assert_eq!(again.questions[0].options, options);
        let who = capability(&agent, &again);
        let asked = world.store.ask(&who, "new", "May I?", &options, WAITS).await.unwrap();
        assert_eq!(asked, (1, answered("yes")), "asked again it is the same question");
        assert_eq!(world.finish(&agent, &again, Cause::Success).await, TaskState::Succeeded);
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_lost_attempt_leaves_its_question_to_the_next_one() {
    let mut server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    world.store.ask(&capability(&agent, &claimed), "one", "Why?", &[], WAITS).await.unwrap();
    world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    server.kill();
    server.start_again();
    assert_eq!(world.store.asking(0).await.unwrap().1, std::slice::from_ref(&id), "it outlives its agent and Redis");
    let denied =
        world.store.answer(&(&id).into(), "a", "denied: no", Some(Approval::Denied), "a person").await.unwrap();
    assert_eq!(denied.state, TaskState::Delayed);
    world.store.release_due().await.unwrap();
    let next = world.agent("shell-2").await;
    let claimed = world.claim(&next).await;
    let asked = world.store.ask(&capability(&next, &claimed), "two", "Why?", &[], WAITS).await.unwrap();
    let expected = Asked::Answered { answer: "denied: no".into(), approval: Some(Approval::Denied) };
    assert_eq!(asked, (1, expected));
    let late = world.store.ask(&capability(&agent, &claimed), "one", "Why?", &[], WAITS).await;
    assert_eq!(refusal(late), "stale");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_task_that_ends_closes_its_questions_and_what_newly_needs_a_person_is_told_once() {
    let server = Server::start();
    let world = server.world("n");
    let (asks, logs_in) = (world.delegate(&task("x")).await, world.delegate(&task("y")).await);
    let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let (first, second) = (world.claim(&one).await, world.claim(&two).await);
    world.store.ask(&capability(&one, &first), "one", "Why?", &[], WAITS).await.unwrap();
    world.finish(&two, &second, Cause::NeedsPerson).await;
    assert_eq!(world.store.suspended(&[ROLE.into()]).await.unwrap().1, 2);
    let told = world.store.take_notices(10).await.unwrap();
    let told: Vec<_> = told.iter().map(|n| (n.what.as_str(), n.task.as_ref(), n.question)).collect();
    assert_eq!(told, [("question", Some(&asks), Some(1)), ("held", Some(&logs_in), None)]);
    assert!(world.store.take_notices(10).await.unwrap().is_empty());

    world.cancel(&asks).await;
    world.finish(&one, &first, Cause::Cancelled).await;
    let ended = world.detail(&asks).await;
    assert_eq!(ended.questions[0].closed.as_deref(), Some("the task has ended as cancelled"));
    assert_eq!(refusal(world.store.answer(&(&asks).into(), "a", "late", None, "a person").await), "nothing_asked");
    check::structures(&world).await;
}

/// A task that a person has to approve, after these.
fn escalating(after: Vec<TaskId>, parent: Option<Capability>) -> NewTask {
    let escalation = Escalation {
        question: "May role shell do this task?\n  | rm -rf /".into(),
        reason: "a person has to approve it".into(),
        rights: vec!["run any command".into()],
    };
    let spec = Spec { after, ..task("x").spec };
    NewTask { escalation: Some(escalation), parent, spec, ..task("rm -rf /") }
}

#[tokio::test]
async fn nothing_of_a_task_runs_before_a_person_has_approved_it() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&escalating(vec![], None)).await;
    let agent = world.agent("shell-1").await;
    assert!(world.store.claim(&agent.id, &agent.incarnation, LEASE).await.unwrap().is_none());
    let held = world.detail(&id).await;
    assert_eq!((held.task.state, held.task.code), (TaskState::Held, Some(EndCode::ApprovalNeeded)));
    assert_eq!(held.task.reason.as_deref(), Some("a person has to approve it"));
    let question = &held.questions[0];
    assert_eq!((question.number, question.kind), (1, QuestionKind::Escalation));
    assert_eq!(question.rights, ["run any command"]);
    assert!(question.question.ends_with("| rm -rf /"), "{question:?}");
    assert_eq!(world.store.take_notices(10).await.unwrap().first().map(|n| n.escalates), Some(true));
    check::structures(&world).await;

    assert_eq!(refusal(world.store.retry(&id, "a test").await), "not_approved");
    let named = QuestionRef::new(&id, 1);
    assert_eq!(refusal(world.store.answer(&named, "a", "go on", None, "a person").await), "approve_or_deny");
    let approved = world.store.answer(&named, "b", "approved", Some(Approval::Approved), "a person").await.unwrap();
    assert_eq!(approved.state, TaskState::Ready);
    let claimed = world.claim(&agent).await;
    check::structures(&world).await;
    // The approval of the task is no answer to what its program asks.
    let who = capability(&agent, &claimed);
    let asked = world.store.ask(&who, "token", &claimed.questions[0].question, &[], WAITS).await.unwrap();
    assert_eq!(asked, (2, Asked::Open));
}

#[tokio::test]
async fn a_denied_task_is_cancelled_and_the_task_that_delegated_it_is_sent_a_message() {
    let server = Server::start();
    let world = server.world("n");
    let parent = world.delegate(&task("parent")).await;
    let agent = world.agent("shell-1").await;
    let who = capability(&agent, &world.claim(&agent).await);
    let id = world.delegate(&escalating(vec![], Some(who.clone()))).await;
    let named = QuestionRef::new(&id, 1);
    for _ in 0..2 {
        let said = world.store.answer(&named, "a", "denied: not that", Some(Approval::Denied), "a person").await;
        assert_eq!(said.unwrap().state, TaskState::Cancelled);
    }
    let denied = world.detail(&id).await.task;
    assert_eq!(denied.code, Some(EndCode::ApprovalDenied));
    assert_eq!(denied.reason.as_deref(), Some("a person denied: not that"));
    let (messages, _) = world.store.read_inbox(&Reader::Attempt(who), "opus-master", "r", 10).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].text.contains("will not run: a person denied: not that"), "{messages:?}");
    assert_eq!(refusal(world.store.retry(&id, "a test").await), "not_approved");
    assert_eq!(world.detail(&parent).await.task.state, TaskState::Running);
    check::structures(&world).await;
}

#[tokio::test]
async fn an_approved_task_waits_for_what_it_depends_on_and_an_unapproved_one_ends_with_it() {
    let server = Server::start();
    let world = server.world("n");
    let first = world.delegate(&task("first")).await;
    let early = world.delegate(&escalating(vec![first.clone()], None)).await;
    let approved = world.delegate(&escalating(vec![first.clone()], None)).await;
    let other = world.delegate(&NewTask { spec: Spec { role: "other".into(), ..task("x").spec }, ..task("x") }).await;
    let failed = world.delegate(&escalating(vec![other.clone()], None)).await;
    world.store.cancel(&[other], "a test").await.unwrap();
    check::structures(&world).await;
    let failed = world.detail(&failed).await.task;
    assert_eq!((failed.state, failed.code), (TaskState::Cancelled, Some(EndCode::DependencyEnded)));
    let approve = async |id: &TaskId| {
        let named = QuestionRef::new(id, 1);
        world.store.answer(&named, "a", "approved", Some(Approval::Approved), "a person").await.unwrap().state
    };
    assert_eq!(approve(&early).await, TaskState::Blocked);
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.task.id, first);
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(world.detail(&early).await.task.state, TaskState::Ready);
    assert_eq!(approve(&approved).await, TaskState::Ready);
    check::structures(&world).await;
}

#[tokio::test]
async fn an_answer_goes_to_no_question_that_its_writer_has_not_seen() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let who = capability(&agent, &world.claim(&agent).await);
    let ask = async |text: &str, options: &[String]| {
        world.store.ask(&who, text, text, options, Duration::ZERO).await.unwrap().0
    };
    let approve = async |question: QuestionRef, token: &str| {
        world.store.answer(&question, token, "approved", Some(Approval::Approved), "a person").await
    };
    let unnamed = || QuestionRef::from(&id);
    assert_eq!(ask("May I delete the cache?", &[]).await, 1);
    assert_eq!(approve(unnamed(), "one").await.unwrap().number, 1, "it is the only one");
    assert_eq!(ask("May I delete the database?", &[]).await, 2);
    let twice = approve(unnamed(), "two").await;
    assert_eq!(refusal(twice), "question_unnamed", "a second Enter approves nothing");
    assert_eq!(refusal(approve(QuestionRef::new(&id, 1), "three").await), "question_closed");
    assert_eq!(ask("Which one?", &["red".into(), "blue".into()]).await, 3);
    assert_eq!(refusal(approve(unnamed(), "four").await), "question_unnamed", "two are open");
    assert_eq!(refusal(approve(QuestionRef::new(&id, 3), "five").await), "has_options");
    let denied = world.store.answer(&QuestionRef::new(&id, 3), "six", "denied", Some(Approval::Denied), "p").await;
    assert_eq!(refusal(denied), "has_options");
    assert_eq!(approve(QuestionRef::new(&id, 2), "seven").await.unwrap().open, 1);
    let red = world.store.answer(&QuestionRef::new(&id, 3), "eight", "red", None, "p").await.unwrap();
    assert_eq!((red.number, red.open), (3, 0));

    // Of choices that mean yes and no, they give one, and take no remark.
    assert_eq!(ask("May I?", &["No".into(), "yes".into()]).await, 4);
    let deny = async |text: &str, token: &str| {
        world.store.answer(&QuestionRef::new(&id, 4), token, text, Some(Approval::Denied), "p").await
    };
    assert_eq!(refusal(deny("denied: not now", "nine").await), "has_options");
    assert_eq!(deny("denied", "ten").await.unwrap().approval, Some(Approval::Denied));
    let answered = world.detail(&id).await.questions.pop().unwrap();
    assert_eq!((answered.answer.as_deref(), answered.approval), (Some("No"), Some(Approval::Denied)));
    check::structures(&world).await;
}

#[tokio::test]
async fn the_master_is_told_of_what_its_tasks_wait_for() {
    let server = Server::start();
    let world = server.world("n");
    let of_master = |text: &str| {
        let spec = Spec { notify: Some("opus-master".into()), ..task(text).spec };
        NewTask { spec, ..task(text) }
    };
    let agent = world.agent("shell-1").await;
    for (text, cause) in [("test", Cause::NeedsPerson), ("ask", Cause::Success), ("limit", Cause::RateLimited)] {
        world.delegate(&of_master(text)).await;
        let claimed = world.claim(&agent).await;
        if text == "ask" {
            world.store.ask(&capability(&agent, &claimed), "t", "Which one?", &[], WAITS).await.unwrap();
        }
        world.finish(&agent, &claimed, cause).await;
    }
    let (messages, _) = world.store.read_inbox(&Reader::Master, "opus-master", "token", 10).await.unwrap();
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    let wanted =
        [" (test) is held: ", " (ask) asks a person: Which one? (orch answer t-", " (limit) waits for a limit"];
    assert_eq!(texts.len(), wanted.len(), "{texts:#?}");
    assert!(texts.iter().zip(wanted).all(|(text, wanted)| text.contains(wanted)), "{texts:#?}");
    check::structures(&world).await;
}
