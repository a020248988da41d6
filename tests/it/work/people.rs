//! Questions to people and messages: the programs that ask, and the people who answer.

use serde_json::json;

use super::{delegated, each, ms, text};
use crate::common::{World, append, feed, gate};

/// What `orch status` says that a person should do about something.
fn asked_for(world: &World, what: &str) -> Option<String> {
    let status = world.status();
    let all = status["attention"].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|a| a["what"].as_str().is_some_and(|w| w.contains(what)))?;
    Some(text(&one["do"]))
}

#[track_caller]
fn wait_for_question(world: &World, what: &str) -> String {
    world.wait_until("the question is shown", || asked_for(world, what).is_some());
    asked_for(world, what).expect("it was there")
}

#[test]
fn a_program_asks_waits_and_goes_on_with_the_answer() {
    // A stall of a second: whoever waits for a person is not taken for hung.
    let world = World::started("[roles.shell]\nstall_timeout = \"1s\"");
    let id = delegated(&world, &["echo \"it is $(orch ask 'Which one?' --options red,blue)\""]);
    let said = wait_for_question(&world, "Which one? (red, blue)");
    assert_eq!(said, format!("orch answer {id} TEXT"));
    world.wait_until("its agent needs somebody", || world.agent("shell-1")["needs"] == "input");
    let asked_at = ms(&world.show(&id)["questions"][0]["asked_at"]);
    world.wait_until("it has waited for twice its stall_timeout", || {
        orch::model::time::Timestamp::now().0 as i64 - asked_at > 2_000
    });
    assert_eq!(world.show(&id)["state"], "running");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("It asks a person: Which one?") && why.contains("orch answer"), "{why}");
    let wrong = world.orch(&["answer", &id, "green"]).ended(2);
    assert!(wrong.stderr.contains("red, blue"), "{wrong:#?}");
    world.orch(&["answer", &id, "red"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "it is red\n");
    assert_eq!(each(&task["questions"], "answer"), ["red"]);
    assert_eq!(each(&task["attempts"], "cause"), ["success"]);
    assert_eq!(asked_for(&world, "Which one?"), None);
    assert_eq!(world.orch(&["answer", &id, "red"]).code, 1, "it has no question any more");
}

#[test]
fn a_question_survives_the_end_of_everything_and_its_answer_starts_a_held_task() {
    let world = World::started("");
    let script = "cat $ORCH_CONTEXT | tr -d ' \\n' | grep -o '\"answer\":\"[a-z]*\"' && exit 0; orch ask --no-wait 'Why?'; exit 77";
    let id = delegated(&world, &["--retries", "0", script]);
    world.wait_for(&id, "held");
    for pid in [world.supervisor_pid(), world.redis_pid()] {
        crate::common::kill9(pid);
    }
    world.start();
    assert_eq!(wait_for_question(&world, &format!("task {id} asks: Why?")), format!("orch answer {id} TEXT"));
    world.orch(&["answer", &id, "because"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "\"answer\":\"because\"\n");
    assert_eq!((&task["failures"], each(&task["attempts"], "cause").len()), (&json!(0), 2));
}

#[test]
fn yes_and_no_are_exit_codes_and_an_agent_at_work_answers_nothing() {
    let world = World::started("");
    let asks = "orch ask 'May I?' && echo did it || echo let it be";
    let (yes, no) = (delegated(&world, &[asks]), delegated(&world, &[asks]));
    wait_for_question(&world, &format!("{yes} asks: May I?"));
    wait_for_question(&world, &format!("{no} asks: May I?"));
    let cheats = delegated(&world, &[&format!("orch approve {yes}; echo $?")]);
    assert_eq!(world.wait_for(&cheats, "succeeded")["result"]["text"], "1\n");
    world.orch(&["approve", &yes, "but carefully"]).ok();
    world.orch(&["deny", &no]).ok();
    assert_eq!(world.wait_for(&yes, "succeeded")["result"]["text"], "approved: but carefully\ndid it\n");
    assert_eq!(world.wait_for(&no, "succeeded")["result"]["text"], "denied\nlet it be\n");

    // Whoever says no means no, whichever verb they say it with.
    let plain = delegated(&world, &[asks]);
    wait_for_question(&world, &format!("{plain} asks: May I?"));
    world.orch(&["answer", &plain, "No"]).ok();
    assert_eq!(world.wait_for(&plain, "succeeded")["result"]["text"], "No\nlet it be\n");
}

#[test]
fn who_is_timed_out_while_a_person_thinks_is_held_and_not_counted() {
    let world = World::started("");
    let id = delegated(&world, &["--timeout", "1s", "--retries", "0", "orch ask 'Still there?'"]);
    let held = world.wait_for(&id, "held");
    assert_eq!((&held["failures"], &held["cause"]), (&json!(0), &json!("needs_person")));
    world.orch(&["answer", &id, "yes"]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "yes\n");
}

#[test]
fn somebody_is_told_once_of_what_needs_a_person() {
    let world = World::builder().supervisor("notify_command", "[\"tell\", \"told\"]").build();
    world.program("tell", "line=$(cat); echo \"$line\" >> \"$HOME/$1\"");
    world.start();
    let id = delegated(&world, &["orch ask --no-wait 'Now?'; exit 77"]);
    let login = delegated(&world, &["echo log in; exit 77"]);
    world.wait_until("both are told", || world.lines("told").len() >= 2);
    world.wait_for(&id, "held");
    let mut told: Vec<serde_json::Value> =
        world.lines("told").iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    told.sort_by_key(|t| t["what"].to_string());
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!((&told[0]["what"], &told[0]["task"]), (&json!("held"), &json!(login)));
    assert_eq!((&told[1]["what"], &told[1]["text"]), (&json!("question"), &json!("Now?")));
    assert_eq!(told[1]["do"], format!("orch answer {id} TEXT"));
}

#[test]
fn a_notifier_that_is_under_way_ends_with_everything_else() {
    let world = World::builder().supervisor("notify_command", "[\"tell\"]").build();
    world.program("tell", "touch \"$HOME/telling\"; sleep 1000 & wait");
    world.start();
    delegated(&world, &["echo log in; exit 77"]);
    world.wait_until("it is under way", || world.file("telling").exists());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_text_may_come_from_standard_input() {
    let world = World::started("");
    let id = delegated(&world, &["echo 'Which one?' | orch ask -; orch inbox --wait --timeout 30s"]);
    wait_for_question(&world, &format!("{id} asks: Which one?"));
    feed(world.orch_command(&["send", &id, "-"]), "straße\n".as_bytes()).ended(0);
    feed(world.orch_command(&["answer", &id, "-"]), b"the red one\n").ended(0);
    let told = world.wait_for(&id, "succeeded")["result"]["text"].take();
    assert!(text(&told).starts_with("the red one\n") && text(&told).contains("a person: straße"), "{told}");
}

#[test]
fn a_message_reaches_the_task_at_work_and_its_answer_the_person() {
    let world = World::started("");
    let waits = "orch inbox --wait --timeout 30s; orch send master 'got it'";
    let id = delegated(&world, &[waits]);
    world.wait_until("it is at work", || world.show(&id)["state"] == "running");
    let sent = world.orch_json(&["send", "shell-1", "leave the tests alone"]);
    assert_eq!((&sent["to"], &sent["state"]), (&json!(id), &json!("unconfirmed")));
    let task = world.wait_for(&id, "succeeded");
    assert!(text(&task["result"]["text"]).contains("a person: leave the tests alone"), "{task:#}");
    assert_eq!(each(&task["messages"], "state"), ["delivered"]);
    let inbox = world.orch_json(&["inbox", "--wait", "--timeout", "10s"]);
    assert_eq!(each(&inbox["messages"], "text"), ["got it"]);
    assert_eq!(inbox["messages"][0]["task"], json!(id));
    assert_eq!(world.orch_json(&["inbox"])["messages"], json!([]), "each is shown once");
    assert_eq!(world.orch(&["inbox", "--wait", "--timeout", "100ms"]).code, 5);
    assert!(world.orch(&["send", &id, "too late"]).ended(1).stderr.contains("has ended"));
}

#[test]
fn what_was_not_read_comes_back_to_its_sender() {
    let world = World::started("");
    let reader = delegated(&world, &[&gate(&world.file("go"))]);
    world.wait_until("it is at work", || world.show(&reader)["state"] == "running");
    let sender = delegated(
        &world,
        &[&format!(
            "orch send {reader} 'in vain'; {}; orch inbox --wait --timeout 30s",
            append(&world.file("sent"), "sent")
        )],
    );
    world.wait_until("it is sent", || world.lines("sent").len() == 1);
    world.touch("go");
    let told = text(&world.wait_for(&sender, "succeeded")["result"]["text"]);
    assert!(told.contains(&reader) && told.contains("was not read") && told.contains("in vain"), "{told}");
    let failed = &world.show(&reader)["messages"][0];
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("the task has ended as succeeded")));
    assert_eq!(world.events_of("message.failed").len(), 1);
}
