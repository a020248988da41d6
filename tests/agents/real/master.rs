//! `claude` at its own prompt as the master: the results of what it delegated reach it without polling.

use serde_json::json;

use super::fleet::Fleet;
use crate::{
    common::{Process, kill9},
    model_server::{Answer, Rule, tool, when},
};

const TOOLS: &str = "allowed_tools = [\"Bash(sleep:*)\"]
permission_mode = \"manual\"
delegates_to = [\"shell\"]
[roles.shell]
driver = \"shell\"
min = 1";

const MASTER: &str = "opus-master";

/// Types a line at the master's prompt, like a person.
pub(super) fn say(fleet: &Fleet, line: &str) {
    fleet.wait_until("the master is at its prompt", || fleet.world.pane(MASTER).contains("? for shortcuts"));
    fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "-l", line]).ok();
    fleet.wait_until("the line is typed", || fleet.world.pane(MASTER).contains(line));
    fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "Enter"]).ok();
}

fn delegates(text: &'static str, script: &str) -> Rule {
    when(text).step(0).answer(tool("mcp__orch__delegate_task", json!({"text": script, "role": "shell"})))
}

/// Returns whether a request to the model contained these words.
fn was_sent(fleet: &Fleet, words: &str) -> bool {
    fleet.model.requests().iter().any(|request| request.body.to_string().contains(words))
}

#[test]
fn a_result_is_delivered_at_the_end_of_the_turn() {
    let rules = vec![
        delegates("count them", "echo forty-two"),
        when("count them").step(1).answer(tool("Bash", json!({"command": "sleep 1"}))),
        when("count them").answer(Answer::text("It is delegated.")),
        when("forty-two").answer(Answer::text("They are forty-two.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    say(&fleet, "count them");
    fleet.wait_until("the result is delivered", || was_sent(&fleet, "succeeded: forty-two"));
    // With a tool call, it is in the context of the same turn; at its end, it begins another one.
    let answers = ["They are forty-two.", "It is delegated."];
    fleet.wait_until("the model has answered", || answers.iter().any(|text| fleet.world.pane(MASTER).contains(text)));
    fleet.stop();
}

#[test]
fn an_idle_master_is_woken_by_one_line_and_one_request() {
    let rules = vec![
        delegates("count them", "until [ -e go ]; do sleep 0.1; done; echo forty-two"),
        when("count them").answer(Answer::text("It is delegated.")),
        when("1 message waits for you").answer(Answer::text("They are forty-two.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    say(&fleet, "count them");
    fleet.wait_until("the model has answered", || fleet.world.pane(MASTER).contains("It is delegated."));
    // Before the end of the turn is recorded, its hook would still deliver the result.
    fleet.wait_until("the master is idle again", || fleet.world.agent(MASTER)["state"] == "idle");
    // orch does not type into a line that a person has begun.
    let pane = format!("={MASTER}:");
    fleet.world.tmux(&["send-keys", "-t", &pane, "-l", "half a thought"]).ok();
    fleet.wait_until("the unfinished line is on the screen", || fleet.world.pane(MASTER).contains("half a thought"));
    std::fs::write(fleet.world.project.join("go"), "").expect("go");
    let log = fleet.world.home.join("agents").join(format!("{MASTER}.log"));
    let logged = || std::fs::read_to_string(&log).unwrap_or_default();
    fleet.wait_until("the unfinished line is left alone", || logged().contains("something stands in the prompt"));
    assert_eq!(fleet.model.times_asked("waits for you"), 0);
    fleet.world.tmux(&["send-keys", "-t", &pane, "C-u"]).ok();
    fleet.wait_until("the master has answered", || fleet.world.pane(MASTER).contains("They are forty-two."));
    assert!(was_sent(&fleet, "succeeded: forty-two"), "the result came with the line");
    assert_eq!(fleet.model.times_asked("waits for you"), 1, "one line, one request");
    let prompted = fleet.world.events_of("agent.prompted");
    assert_eq!(prompted.len(), 1, "{prompted:#?}");
    assert!(prompted[0]["reason"].as_str().is_some_and(|reason| reason.contains("delivered")), "{prompted:#?}");
    fleet.stop();
}

#[test]
fn a_permission_request_of_the_master_is_reported_immediately() {
    let rules = vec![
        when("look around").step(0).answer(tool("Bash", json!({"command": "touch seen"}))),
        when("look around").step(1).answer(Answer::text("I have looked around.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    say(&fleet, "look around");
    fleet.wait_until("the master asks for a permission", || {
        fleet.world.pane(MASTER).contains("Do you want to proceed?")
    });
    let asked = std::time::Instant::now();
    fleet.wait_until("status shows it", || fleet.world.agent(MASTER)["needs"] == "permission");
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "after {:?}", asked.elapsed());
    let attention = fleet.world.status()["attention"].to_string();
    assert!(attention.contains(&format!("orch attach {MASTER}")), "{attention}");
    assert!(attention.contains("its program asks to run Bash: touch seen"), "{attention}");
    // claude ignores keys in the first moment, in case they were meant for something else.
    fleet.wait_until("the answer is accepted", || {
        let asks = fleet.world.pane(MASTER).contains("Do you want to proceed?");
        if asks {
            fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "Enter"]).ok();
        }
        !asks
    });
    fleet.wait_until("the master continues", || fleet.world.pane(MASTER).contains("I have looked around."));
    fleet.wait_until("the master needs nothing any more", || fleet.world.agent(MASTER)["needs"].is_null());
    fleet.stop();
}

#[test]
fn a_killed_master_resumes_its_conversation_and_knows_its_open_tasks() {
    let rules = vec![
        delegates("paint the fence", "until [ -e \"$GATE\" ]; do sleep 0.1; done"),
        when("paint the fence").answer(Answer::text("It is being painted.")),
        when("how far").answer(Answer::text("Still being painted.")),
        when("").answer(Answer::text("They talked about a fence.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    say(&fleet, "paint the fence");
    fleet.wait_until("the task is delegated", || fleet.world.pane(MASTER).contains("It is being painted."));
    let task = fleet.world.orch_json(&["tasks"])[0]["id"].as_str().expect("a task").to_owned();

    let before = fleet.processes_of("claude");
    before.iter().for_each(|process| kill9(process.pid));
    fleet.wait_until("another claude runs", || {
        let now = fleet.processes_of("claude");
        !now.is_empty() && now.iter().all(|process| before.iter().all(|old| old.pid != process.pid))
    });
    say(&fleet, "how far");
    fleet.wait_until("the master has answered", || fleet.world.pane(MASTER).contains("Still being painted."));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("how far")).expect("asked");
    assert!(last.texts.iter().any(|text| text.contains("paint the fence")), "the same conversation: {last:#?}");
    assert!(was_sent(&fleet, &format!("{task} (shell, running)")), "the prompt lists the open tasks");

    say(&fleet, "/compact");
    fleet.wait_until("the conversation is compacted", || fleet.world.pane(MASTER).contains("Compacted"));
    let so_far = fleet.model.requests().len();
    say(&fleet, "how far");
    fleet.wait_until("the open tasks are sent again", || {
        let since = &fleet.model.requests()[so_far..];
        since.iter().any(|request| request.body.to_string().contains(&format!("{task} (shell, running)")))
    });
    fleet.world.orch(&["cancel", &task]).ended(0);
    fleet.stop();
}

/// Ends the programs of the master's kind with SIGKILL, and waits until another one runs.
fn kill(fleet: &Fleet, program: &str) {
    let before = fleet.processes_of(program);
    before.iter().for_each(|process| kill9(process.pid));
    fleet.wait_until("another one runs", || {
        let now = fleet.processes_of(program);
        !now.is_empty() && now.iter().all(|process| before.iter().all(|old| old.pid != process.pid))
    });
}

#[test]
fn what_the_master_does_is_its_state() {
    let rules = vec![
        when("take your time").answer(Answer::Hang),
        when("is refused").answer(Answer::error(400, "invalid_request_error", "this cannot be done")),
        when("who are you").answer(Answer::error(401, "authentication_error", "invalid x-api-key")),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    let state = || fleet.world.agent(MASTER)["state"].clone();
    let needs = || fleet.world.agent(MASTER)["needs"].clone();
    say(&fleet, "take your time");
    fleet.wait_until("it is busy", || state() == "busy");
    fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "Escape"]).ok();
    fleet.wait_until("it is idle", || state() == "idle");
    fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "C-u"]).ok();
    say(&fleet, "is refused");
    fleet.wait_until("its turn ended with an error", || needs() == "error");
    let attention = fleet.world.status()["attention"].to_string();
    assert!(attention.contains("stopped with an error") && attention.contains("this cannot be done"), "{attention}");
    say(&fleet, "who are you");
    fleet.wait_until("it has to log in", || needs() == "login");
    fleet.world.tmux(&["send-keys", "-t", &format!("={MASTER}:"), "Escape"]).ok();
    fleet.wait_until("it is idle", || state() == "idle" && needs().is_null());
    fleet.stop();
}

#[test]
fn a_master_that_was_killed_in_the_middle_of_its_turn_goes_on() {
    let rules = vec![
        when("Your program was killed").answer(Answer::text("I have gone on.")),
        when("take your time").answer(Answer::Hang),
        when("hello").answer(Answer::text("Good morning.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    // claude records a conversation only some time after its first prompt.
    say(&fleet, "hello");
    fleet.wait_until("it has answered", || fleet.world.pane(MASTER).contains("Good morning."));
    fleet.wait_until("it is idle", || fleet.world.agent(MASTER)["state"] == "idle");
    say(&fleet, "take your time");
    fleet.wait_until("it works", || fleet.model.times_asked("take your time") > 0);
    fleet.wait_until("it is busy", || fleet.world.agent(MASTER)["state"] == "busy");
    kill(&fleet, "claude");
    fleet.wait_until("it has gone on", || fleet.world.pane(MASTER).contains("I have gone on."));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("was killed")).expect("asked");
    assert!(last.texts.iter().any(|text| text.contains("hello")), "the same conversation: {last:#?}");
    fleet.stop();
}

#[test]
fn a_master_whose_tools_have_died_gets_them_again() {
    let rules = vec![
        when("count them").step(0).answer(tool("mcp__orch__get_status", json!({}))),
        when("count them").answer_by(|asked| Answer::Text(format!("Counted: {}", asked.results.join(" ")))),
        when("hello").answer(Answer::text("Hello.")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    let are_tools = |p: &Process| p.command.trim_end().ends_with("orch mcp");
    let tools = || fleet.world.processes().into_iter().filter(are_tools).collect::<Vec<_>>();
    fleet.wait_until("its tools run", || tools().len() == 1);
    say(&fleet, "hello");
    fleet.wait_until("it has answered", || fleet.world.pane(MASTER).contains("Hello."));
    // Perhaps before its runner has looked for them.
    let before = tools();
    before.iter().for_each(|process| kill9(process.pid));
    fleet.wait_until("it has tools again", || {
        tools().iter().any(|process| before.iter().all(|old| old.pid != process.pid))
    });
    let said = fleet.world.events_of("agent.program_ended");
    assert!(said.iter().any(|event| event["reason"].to_string().contains("tools of orch")), "{said:#?}");
    say(&fleet, "count them");
    fleet.wait_until("its tools answer", || fleet.world.pane(MASTER).contains("Counted:"));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("count them")).expect("asked");
    assert!(last.texts.iter().any(|text| text.contains("hello")), "the same conversation: {last:#?}");
    fleet.stop();
}

#[test]
fn a_master_whose_limit_ends_goes_on() {
    let limit = Answer::error(429, "rate_limit_error", "This request would exceed your limit. Try again in 4s.");
    let rules = vec![
        when("paint the fence").answer(limit.no_retry()),
        when("limit of your account has ended").answer(Answer::text("I go on.")),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", TOOLS, rules) else { return };
    say(&fleet, "paint the fence");
    fleet.wait_until("its account is limited", || {
        let limited = |agent: &serde_json::Value| !agent["retrying"]["limited_until"].is_null();
        limited(&fleet.world.agent(MASTER)) || fleet.model.times_asked("limit of your account") > 0
    });
    fleet.wait_until("it goes on", || fleet.world.pane(MASTER).contains("I go on."));
    fleet.wait_until("its state is that of its program", || {
        let agent = fleet.world.agent(MASTER);
        agent["state"] == "idle" && agent["retrying"].is_null()
    });
    assert_eq!(fleet.model.times_asked("limit of your account has ended"), 1);
    let said = fleet.world.events_of("agent.prompted");
    assert!(said[0]["reason"].to_string().contains("told to go on after a limit"), "{said:#?}");
    fleet.stop();
}

#[test]
fn the_conversations_of_headless_tasks_are_not_in_the_list_to_resume() {
    let rules = vec![when("").answer(Answer::text("Done."))];
    let tables = format!("{TOOLS}\n[roles.worker]\ndriver = \"claude\"");
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", &tables, rules) else { return };
    fleet.done("worker", "paint the fence");
    say(&fleet, "/resume");
    fleet.wait_until("the list is shown", || fleet.world.pane(MASTER).contains("Resume session"));
    fleet.wait_until("the list is read", || fleet.world.pane(MASTER).contains("No sessions in this project yet"));
    fleet.stop();
}
