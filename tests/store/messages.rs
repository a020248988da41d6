//! Messages: each is read once by each reader, in order, and what nobody reads any more comes back.

use orch::{
    model::{cause::Cause, message::Delivery, task::TaskState},
    store::{
        agents::Pulse,
        people::{NewMessage, Reader},
        tasks::NewTask,
    },
};

use super::{check, fixture::*, people::message};

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
    world.store.master_has_heard("opus-master", &[id.as_str()]).await.unwrap();
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
