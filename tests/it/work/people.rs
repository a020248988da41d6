//! Questions to people and messages: the programs that ask, and the people who answer.

use serde_json::json;

use super::{delegated, each, ms, text};
use crate::common::{World, append, feed, gate};

/// Returns the action that `orch status` suggests for `what`.
fn asked_for(world: &World, what: &str) -> Option<String> {
    let status = world.status();
    let all = status["attention"].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|a| a["what"].as_str().is_some_and(|w| w.contains(what)))?;
    Some(text(&one["do"]))
}

#[track_caller]
fn wait_for_question(world: &World, what: &str) -> String {
    world.wait_until("the question is shown", || asked_for(world, what).is_some());
    asked_for(world, what).expect("the question was shown")
}

#[test]
fn a_program_asks_waits_and_continues_with_the_answer() {
    // The stall timeout is a second: a program that waits for a person must not count as hung.
    let world = World::started("[roles.shell]\nstall_timeout = \"1s\"");
    let id = delegated(&world, &["echo \"it is $(orch ask 'Which one?' --options red,blue)\""]);
    let action = wait_for_question(&world, "Which one? (red, blue)");
    let choices = format!("orch answer {id}#1 red, or: orch answer {id}#1 blue");
    assert_eq!(action, choices);
    world.wait_until("its agent needs input", || world.agent("shell-1")["needs"] == "input");
    let asked_at = ms(&world.show(&id)["questions"][0]["asked_at"]);
    world.wait_until("the program has waited for twice its stall_timeout", || {
        orch::model::time::Timestamp::now().0 as i64 - asked_at > 2_000
    });
    assert_eq!(world.show(&id)["state"], "running");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("It asks a person: Which one?") && why.contains("orch answer"), "{why}");
    let wrong = world.orch(&["answer", &id, "green"]).ended(2);
    assert!(wrong.stderr.contains("red, blue") && wrong.stderr.contains(&choices), "{wrong:#?}");
    let not_yes = world.orch(&["approve", &id]).ended(2);
    assert!(not_yes.stderr.contains("red, blue") && not_yes.stderr.contains(&choices), "{not_yes:#?}");
    let open = world.orch_json(&["questions"]);
    assert_eq!(open.as_array().map(Vec::len), Some(1), "{open:#}");
    assert_eq!((&open[0]["question_id"], &open[0]["agent"]), (&json!(format!("{id}#1")), &json!("shell-1")));
    let page = world.orch(&["questions"]).ok();
    assert!(page.contains("choices: red, blue") && page.contains(&format!("orch answer {id}#1 red")), "{page}");
    world.orch(&["answer", &id, "red"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "it is red\n");
    assert_eq!(each(&task["questions"], "answer"), ["red"]);
    assert_eq!(each(&task["attempts"], "cause"), ["success"]);
    assert_eq!(asked_for(&world, "Which one?"), None);
    assert_eq!(world.orch(&["answer", &id, "red"]).code, 1, "the question is already answered");
}

#[test]
fn the_time_that_a_person_takes_to_answer_is_no_part_of_the_time_limit() {
    let world = World::started("[roles.shell]\ntask_timeout = \"2s\"");
    let id = delegated(&world, &["--retries", "0", "echo \"it is $(orch ask 'Which one?')\""]);
    wait_for_question(&world, "Which one?");
    let asked_at = ms(&world.show(&id)["questions"][0]["asked_at"]);
    world.wait_until("the person has taken twice the time limit", || {
        orch::model::time::Timestamp::now().0 as i64 - asked_at > 4_000
    });
    assert_eq!(world.show(&id)["state"], "running");
    world.orch(&["answer", &id, "red"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(each(&task["attempts"], "cause"), ["success"]);
}

#[test]
fn a_question_survives_a_crash_and_its_answer_starts_a_held_task() {
    let world = World::started("");
    let script = "cat $ORCH_CONTEXT | tr -d ' \\n' | grep -o '\"answer\":\"[a-z]*\"' && exit 0; orch ask --no-wait 'Why?'; exit 77";
    let id = delegated(&world, &["--retries", "0", script]);
    world.wait_for(&id, "held");
    for pid in [world.supervisor_pid(), world.redis_pid()] {
        crate::common::kill9(pid);
    }
    world.start();
    let do_ = wait_for_question(&world, &format!("task {id}#1 asks: Why?"));
    assert!(do_.starts_with(&format!("orch answer {id}#1 TEXT, or: ")), "{do_}");
    world.orch(&["answer", &id, "because"]).ok();
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "\"answer\":\"because\"\n");
    assert_eq!((&task["failures"], each(&task["attempts"], "cause").len()), (&json!(0), 2));
}

#[test]
fn yes_and_no_are_exit_codes_and_a_working_agent_cannot_answer() {
    let world = World::started("");
    let asks = "orch ask 'May I?' && echo did it || echo let it be";
    let (yes, no) = (delegated(&world, &[asks]), delegated(&world, &[asks]));
    wait_for_question(&world, &format!("{yes}#1 asks: May I?"));
    wait_for_question(&world, &format!("{no}#1 asks: May I?"));
    let cheats = delegated(&world, &[&format!("orch approve {yes}; echo $?")]);
    assert_eq!(world.wait_for(&cheats, "succeeded")["result"]["text"], "1\n");
    world.orch(&["approve", &yes, "but carefully"]).ok();
    let denied = world.orch(&["deny", &no]).ok();
    assert!(denied.contains(": denied '"), "{denied}");
    assert_eq!(world.wait_for(&yes, "succeeded")["result"]["text"], "approved: but carefully\ndid it\n");
    assert_eq!(world.wait_for(&no, "succeeded")["result"]["text"], "denied\nlet it be\n");

    // A "no" is a denial with either verb.
    let plain = delegated(&world, &[asks]);
    wait_for_question(&world, &format!("{plain}#1 asks: May I?"));
    world.orch(&["answer", &plain, "No"]).ok();
    assert_eq!(world.wait_for(&plain, "succeeded")["result"]["text"], "No\nlet it be\n");
}

#[test]
fn a_task_whose_question_is_not_answered_within_person_timeout_is_held_and_counts_no_failure() {
    let world = World::started("[roles.shell]\nperson_timeout = \"1s\"");
    let id = delegated(&world, &["--timeout", "1s", "--retries", "0", "orch ask 'Still there?'"]);
    let held = world.wait_for(&id, "held");
    assert_eq!((&held["failures"], &held["cause"]), (&json!(0), &json!("needs_person")));
    world.orch(&["answer", &id, "yes"]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "yes\n");
}

#[test]
fn each_need_for_a_person_is_notified_once() {
    let mut world = World::builder().supervisor("notify_command", "[\"notify\", \"notified\"]").build();
    world.program("notify", "env > \"$HOME/environment\"; line=$(cat); printf '%s\\n' \"$line\" >> \"$HOME/$1\"");
    world.env.extend([("DEPLOY_TOKEN", "hidden-from-it".to_owned()), ("EDITOR", "vi".to_owned())]);
    let started = world.orch(&["start"]).ok();
    assert!(
        started.contains("starts automatically") && started.contains("notify_command: notify notified"),
        "{started}"
    );
    let id = delegated(&world, &["orch ask --no-wait 'Now,\nor later?' --options now,later; exit 77"]);
    let login = delegated(&world, &["echo log in; exit 77"]);
    world.wait_until("both notifications are sent", || world.lines("notified").len() >= 2);
    world.wait_for(&id, "held");
    let environment = world.lines("environment");
    assert!(environment.contains(&"EDITOR=vi".to_owned()), "{environment:?}");
    assert!(!environment.iter().any(|line| line.contains("hidden-from-it")), "{environment:?}");
    let mut notified: Vec<serde_json::Value> =
        world.lines("notified").iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    notified.sort_by_key(|t| t["what"].to_string());
    assert_eq!(notified.len(), 2, "{notified:#?}");
    assert_eq!((&notified[0]["what"], &notified[0]["task"]), (&json!("held"), &json!(login)));
    assert_eq!((&notified[1]["what"], &notified[1]["text"]), (&json!("question"), &json!("Now,\nor later?")));
    let commands = [format!("orch answer {id}#1 now"), format!("orch answer {id}#1 later")];
    assert_eq!(notified[1]["do"], commands.join(", or: "));
    // The same object as in `status`.
    let status = world.orch_json(&["status"]);
    let asked = status["attention"].as_array().and_then(|all| all.iter().find(|one| one["kind"] == "question"));
    let asked = asked.expect("the question").clone();
    for field in ["kind", "task", "question", "question_id", "text", "options", "commands", "do"] {
        assert_eq!(notified[1][field], asked[field], "{field}");
    }
    assert_eq!(asked["commands"], json!(commands));
    let words: Vec<&serde_json::Value> = notified.iter().map(|one| &one["kind"]).collect();
    assert_eq!(words, ["held", "question"]);
}

#[test]
fn a_running_notifier_ends_with_orch() {
    let world = World::builder().supervisor("notify_command", "[\"notify\"]").build();
    world.program("notify", "touch \"$HOME/notifying\"; sleep 1000 & wait");
    world.start();
    delegated(&world, &["echo log in; exit 77"]);
    world.wait_until("the notifier runs", || world.file("notifying").exists());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_text_may_come_from_standard_input() {
    let world = World::started("");
    let id = delegated(&world, &["echo 'Which one?' | orch ask -; orch inbox --wait --timeout 30s"]);
    wait_for_question(&world, &format!("{id}#1 asks: Which one?"));
    feed(world.orch_command(&["send", &id, "-"]), "straße\n".as_bytes()).ended(0);
    feed(world.orch_command(&["answer", &id, "-"]), b"the red one\n").ended(0);
    let result = world.wait_for(&id, "succeeded")["result"]["text"].take();
    assert!(text(&result).starts_with("the red one\n") && text(&result).contains("a person: straße"), "{result}");
}

#[test]
fn a_message_reaches_a_running_task_and_its_answer_the_person() {
    let world = World::started("");
    let waits = "orch inbox --wait --timeout 30s; orch send master 'got it'";
    let id = delegated(&world, &[waits]);
    world.wait_until("the task runs", || world.show(&id)["state"] == "running");
    let sent = world.orch_json(&["send", "shell-1", "leave the tests alone"]);
    assert_eq!((&sent["to"], &sent["state"]), (&json!(id), &json!("unconfirmed")));
    assert_eq!(sent["reads"], "on_request");
    let task = world.wait_for(&id, "succeeded");
    assert!(text(&task["result"]["text"]).contains("a person: leave the tests alone"), "{task:#}");
    assert_eq!(each(&task["messages"], "state"), ["delivered"]);
    let inbox = world.orch_json(&["inbox", "--wait", "--timeout", "10s"]);
    assert_eq!(each(&inbox["messages"], "text"), ["got it"]);
    assert_eq!(inbox["messages"][0]["task"], json!(id));
    assert_eq!(world.orch_json(&["inbox"])["messages"], json!([]), "each message is shown once");
    assert_eq!(world.orch(&["inbox", "--wait", "--timeout", "100ms"]).code, 5);
    assert!(world.orch(&["send", &id, "too late"]).ended(1).stderr.contains("has ended"));
}

#[test]
fn an_unread_message_is_returned_to_its_sender() {
    let world = World::started("");
    let reader = delegated(&world, &[&gate(&world.file("go"))]);
    world.wait_until("the task runs", || world.show(&reader)["state"] == "running");
    let sender = delegated(
        &world,
        &[&format!(
            "orch send {reader} 'in vain'; {}; orch inbox --wait --timeout 30s",
            append(&world.file("sent"), "sent")
        )],
    );
    world.wait_until("the message is sent", || world.lines("sent").len() == 1);
    world.touch("go");
    let inbox = text(&world.wait_for(&sender, "succeeded")["result"]["text"]);
    assert!(inbox.contains(&reader) && inbox.contains("was not read") && inbox.contains("in vain"), "{inbox}");
    let failed = &world.show(&reader)["messages"][0];
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("the task has ended as succeeded")));
    assert_eq!(world.events_of("message.failed").len(), 1);
}
