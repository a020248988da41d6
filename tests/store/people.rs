//! Questions to persons, and messages: asked once, answered once, read once.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        end_code::EndCode,
        escalation::Escalation,
        id::{Capability, TaskId},
        message::Delivery,
        question::{Approval, QuestionKind, QuestionRef},
        task::TaskState,
        wait::Needs,
    },
    store::{
        agents::Pulse,
        people::{Asked, NewMessage, Reader},
        tasks::NewTask,
    },
};

use super::{check, fixture::*};

const WAITS: Duration = Duration::from_secs(15);

fn answered(answer: &str) -> Asked {
    Asked::Answered { answer: answer.into(), approval: None }
}

fn message(to: &str, id: &str, text: &str) -> NewMessage {
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

#[tokio::test]
async fn what_a_reader_has_not_read_is_counted() {
    let server = Server::start();
    let world = server.world("n");
    let unread = async |of: &str, reader: &Reader| world.store.unread(of, reader).await.unwrap();
    assert_eq!(unread("opus-master", &Reader::Master).await, 0, "a box that nobody has written to");
    for id in ["m-a", "m-b", "m-c", "m-c"] {
        world.store.send(&message("master", id, "text")).await.unwrap();
    }
    world.store.read_inbox(&Reader::Person, "opus-master", "p", 9).await.unwrap();
    assert_eq!(unread("opus-master", &Reader::Master).await, 3, "a person has marks of their own");
    world.store.read_inbox(&Reader::Master, "opus-master", "one", 1).await.unwrap();
    assert_eq!((unread("opus-master", &Reader::Master).await, unread("opus-master", &Reader::Person).await), (2, 0));
    for n in 0..600 {
        world.store.send(&message("master", &format!("m-{n}"), "text")).await.unwrap();
    }
    assert_eq!(unread("opus-master", &Reader::Master).await, 500, "what was dropped can't be read any more");
    // Nor is it passed over in silence, also where the same is read again.
    for _ in 0..2 {
        let (read, left) = world.store.read_inbox(&Reader::Master, "opus-master", "two", 3).await.unwrap();
        assert!(read[0].from == "orch" && read[0].text.starts_with("102 messages"), "{read:#?}");
        let ids: Vec<&str> = read[1..].iter().map(|message| message.id.as_str()).collect();
        assert_eq!((ids, left), (vec!["m-100", "m-101", "m-102"], 497));
    }
    let (read, _) = world.store.read_inbox(&Reader::Master, "opus-master", "three", 1).await.unwrap();
    assert_eq!(read.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["m-103"], "it is said once");

    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let reader = Reader::Attempt(capability(&agent, &claimed));
    world.store.send(&message(id.as_str(), "m-t", "text")).await.unwrap();
    assert_eq!(unread(id.as_str(), &reader).await, 1);
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(unread(id.as_str(), &reader).await, 0, "it has failed");
}

#[tokio::test]
async fn a_message_is_read_once_by_each_reader_in_order() {
    let server = Server::start();
    let world = server.world("n");
    for (n, id) in ["m-a", "m-b", "m-a"].iter().enumerate() {
        let text = format!("text {n}");
        world.store.send(&message("master", id, &text)).await.unwrap();
    }
    let read = async |reader: Reader, token: &str, at_most: usize| {
        let (messages, left) = world.store.read_inbox(&reader, "opus-master", token, at_most).await.unwrap();
        (messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>(), left)
    };
    for _ in 0..2 {
        assert_eq!(
            read(Reader::Master, "one", 1).await,
            (vec!["m-a".to_owned()], 1),
            "sent again, it is the same reading"
        );
    }
    assert_eq!(
        read(Reader::Person, "p", 10).await,
        (vec!["m-a".to_owned(), "m-b".into()], 0),
        "each has marks of their own"
    );
    assert_eq!(read(Reader::Master, "two", 10).await, (vec!["m-b".to_owned()], 0));
    assert_eq!(read(Reader::Master, "three", 10).await, (vec![], 0));
    let again = world.store.send(&message("master", "m-b", "text")).await.unwrap();
    assert_eq!(again, ("opus-master".to_owned(), Delivery::Delivered));
    check::structures(&world).await;
}

#[tokio::test]
async fn what_is_read_at_once_is_bounded_and_what_was_dropped_since_is_told_of() {
    let server = Server::start();
    let world = server.world("n");
    let send = async |id: String, text: String| {
        world.store.send(&NewMessage { text, ..message("master", &id, "") }).await.unwrap();
    };
    for n in 0..3 {
        send(format!("m-{n}"), "x".repeat(60 * 1024)).await;
    }
    let read = async |token: &str| {
        let (messages, left) = world.store.read_inbox(&Reader::Master, "opus-master", token, 100).await.unwrap();
        (messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>(), left)
    };
    let first = (vec!["m-0".to_owned(), "m-1".into()], 1);
    assert_eq!(read("one").await, first, "a model has to take it all in");
    for n in 3..501 {
        send(format!("m-{n}"), "later".to_owned()).await;
    }
    let rest = (vec!["m-opus-master-1-dropped".to_owned(), "m-1".into()], 499);
    assert_eq!(read("one").await, rest, "the first one was dropped since, and was perhaps not read");
    for n in 501..560 {
        send(format!("m-{n}"), "later".to_owned()).await;
    }
    assert_eq!(read("one").await, (vec!["m-opus-master-2-dropped".to_owned()], 558), "and all of them were");
    let (next, left) = read("two").await;
    assert_eq!((next[0].as_str(), next[1].as_str()), ("m-opus-master-60-dropped", "m-60"), "which is said");
    assert_eq!((next.len(), left), (101, 400));
    check::structures(&world).await;
}

#[tokio::test]
async fn who_has_heard_of_an_end_is_told_of_what_was_dropped_before_it_all_the_same() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let send = async |n: u32| {
        world.store.send(&message("master", &format!("m-{n}"), "x")).await.unwrap();
    };
    send(0).await;
    let id = world
        .delegate(&NewTask { spec: Spec { notify: Some("opus-master".into()), ..task("x").spec }, ..task("x") })
        .await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&report(&agent, &claimed, Cause::Success)).await.unwrap();
    for n in 1..500 {
        send(n).await;
    }
    world.store.master_has_heard("opus-master", &[&id]).await.unwrap();
    let (read, left) = world.store.read_inbox(&Reader::Master, "opus-master", "t", 2).await.unwrap();
    assert!(read[0].text.starts_with("1 message before these was not read"), "{read:?}");
    assert_eq!((read.len(), left), (3, 498));
    check::structures(&world).await;
}

#[tokio::test]
async fn what_a_lost_attempt_has_not_read_the_next_one_reads() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let sent = world.store.send(&message(&agent.id, "m-a", "read me")).await.unwrap();
    assert_eq!(sent, (id.to_string(), Delivery::Unconfirmed), "to an agent is to its task");
    world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    world.store.release_due().await.unwrap();
    let next = world.agent("shell-2").await;
    let late = Reader::Attempt(capability(&agent, &claimed));
    let claimed = world.claim(&next).await;
    assert_eq!(refusal(world.store.read_inbox(&late, "opus-master", "t", 9).await), "stale");
    let reader = Reader::Attempt(capability(&next, &claimed));
    let (read, _) = world.store.read_inbox(&reader, "opus-master", "t", 9).await.unwrap();
    assert_eq!(read[0].text, "read me");
    assert_eq!(world.detail(&id).await.messages[0].state, Delivery::Delivered);
    check::structures(&world).await;
}

#[tokio::test]
async fn what_nobody_can_read_any_more_comes_back_as_failed() {
    let server = Server::start();
    let world = server.world("n");
    let (sender, reader) = (world.delegate(&task("x")).await, world.delegate(&task("y")).await);
    let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let (first, second) = (world.claim(&one).await, world.claim(&two).await);
    let new = NewMessage {
        attempt: Some(capability(&one, &first)),
        reply_to: Some(sender.to_string()),
        ..message(reader.as_str(), "m-a", "in vain")
    };
    world.store.send(&new).await.unwrap();
    world.finish(&two, &second, Cause::Success).await;
    let failed = &world.detail(&reader).await.messages[0];
    assert_eq!((failed.state, failed.reason.as_deref()), (Delivery::Failed, Some("the task has ended as succeeded")));
    assert!(world.events().await.iter().any(|e| e.kind.as_str() == "message.failed"));
    let own = Reader::Attempt(capability(&one, &first));
    let (told, _) = world.store.read_inbox(&own, "opus-master", "t", 9).await.unwrap();
    assert!(told[0].from == "orch" && told[0].text.contains("in vain"), "{told:?}");
    assert_eq!(refusal(world.store.send(&message(reader.as_str(), "m-b", "x")).await), "ended");
    assert_eq!(refusal(world.store.send(&message(&two.id, "m-c", "x")).await), "idle");
    assert_eq!(refusal(world.store.send(&message("nobody", "m-d", "x")).await), "unknown");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_success_with_unread_messages_is_no_end_where_the_conversation_can_go_on() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    assert!(!claimed.has_mail);
    world.store.send(&message(id.as_str(), "m-a", "red, please")).await.unwrap();
    let success = |claimed| orch::store::tasks::Report { continues: true, ..report(&agent, claimed, Cause::Success) };
    for _ in 0..2 {
        assert_eq!(
            world.store.finish(&success(&claimed)).await.unwrap(),
            TaskState::Delayed,
            "repeated, it is the same"
        );
    }
    check::structures(&world).await;
    world.store.release_due().await.unwrap();
    let claimed = world.claim(&agent).await;
    assert!(claimed.has_mail && claimed.attempt == 2);
    let reader = Reader::Attempt(capability(&agent, &claimed));
    assert_eq!(world.store.read_inbox(&reader, "opus-master", "t", 9).await.unwrap().0[0].text, "red, please");
    assert_eq!(world.store.finish(&success(&claimed)).await.unwrap(), TaskState::Succeeded);
    let shown = world.detail(&id).await;
    assert_eq!((shown.task.failures, shown.messages[0].state), (0, Delivery::Delivered));
    check::structures(&world).await;
}

#[tokio::test]
async fn the_master_hears_how_what_it_delegated_has_ended() {
    let server = Server::start();
    let world = server.world("n");
    let id = world
        .delegate(&NewTask { spec: Spec { notify: Some("opus-master".into()), ..task("x").spec }, ..task("x") })
        .await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let result = orch::model::task::TaskResult { text: "all\n done \u{e4}".into(), ..Default::default() };
    let mut report = report(&agent, &claimed, Cause::Success);
    report.result = Some(result);
    world.store.finish(&report).await.unwrap();
    world.store.finish(&report).await.unwrap();
    let (told, _) = world.store.read_inbox(&Reader::Master, "opus-master", "t", 9).await.unwrap();
    let told: Vec<_> = told.iter().map(|m| (m.task.clone(), m.text.clone())).collect();
    assert_eq!(told, [(Some(id.clone()), format!("{id} (x) succeeded: all done \u{e4}"))]);
    let idle = Pulse::default();
    world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &idle).await.unwrap();
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
