//! The real programs with their full-screen interface in the panes of tasks: the task's record agrees with the screen.

use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::{
    common::kill9,
    model_server::{Answer, tool, when},
};

const ROLES: &str = "[roles.c]
driver = \"claude\"
mode = \"interactive\"
permission_mode = \"manual\"
max = 1";

const CODER: &str = "[roles.x]
driver = \"codex\"
mode = \"interactive\"
max = 1";

/// Presses a key in an agent's pane.
fn press(fleet: &Fleet, agent: &str, key: &str) {
    fleet.world.tmux(&["send-keys", "-t", &format!("={agent}:"), key]).ok();
}

fn needs(fleet: &Fleet, agent: &str) -> Value {
    fleet.world.agent(agent)["needs"].clone()
}

#[test]
fn claude_completes_a_task_in_its_full_screen_interface() {
    let rules = vec![
        when("look around").step(0).answer(tool("Bash", json!({"command": "echo seen"}))),
        when("look around").answer(Answer::text("I have seen it.")),
        when("and again").answer(Answer::text("Still there.")),
    ];
    let allowed = format!("{ROLES}\nallowed_tools = [\"Bash(echo:*)\"]");
    let Some(fleet) = Fleet::started(&["claude"], &allowed, rules) else { return };
    let task = fleet.done("c", "look around");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("I have seen it."), "{task:#}");
    assert_eq!(task["result"]["usage"]["output_tokens"], 14, "the tokens of both answers are counted: {task:#}");
    let log = fleet.world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("⏺ Bash(echo seen)") && log.contains("I have seen it."), "{log}");
    let again = fleet.done("c", "and again");
    assert_eq!(again["result"]["usage"]["output_tokens"], 7, "{again:#}");
    let pane = fleet.world.pane("c-1");
    assert!(pane.contains(&format!("── {} succeeded", task["id"].as_str().unwrap())), "{pane}");
    fleet.stop();
}

#[test]
fn a_permission_request_of_claude_is_reported_immediately_and_answered_in_its_pane() {
    let rules = vec![
        when("write it").step(0).answer(tool("Bash", json!({"command": "echo by claude > made.txt"}))),
        when("write it").answer(Answer::text("It is written.")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], ROLES, rules) else { return };
    let task = fleet.world.delegate("c", "write it");
    fleet.wait_until("the question is on the screen", || fleet.world.pane("c-1").contains("Do you want to proceed?"));
    fleet.world.wait_until_within(std::time::Duration::from_secs(2), "the agent needs a permission", || {
        needs(&fleet, "c-1") == "permission"
    });
    let attention = fleet.world.status()["attention"].to_string();
    assert!(attention.contains("its program asks to run Bash: echo by claude > made.txt"), "{attention}");
    press(&fleet, "c-1", "1");
    let task = fleet.wait_for(&task, "succeeded");
    assert_eq!(std::fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "by claude\n");
    assert_eq!((&task["attempts"][0]["cause"], needs(&fleet, "c-1")), (&json!("success"), Value::Null));
    fleet.stop();
}

/// Whether a conversation of claude contains this text, in the file that it resumes from.
fn has_recorded(fleet: &Fleet, text: &str) -> bool {
    let folders = |path: &std::path::Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    let projects = fleet.world.file(".claude/projects");
    let mut files = folders(&projects).flat_map(|project| folders(&project).collect::<Vec<_>>());
    files.any(|file| std::fs::read_to_string(file).is_ok_and(|said| said.contains(text)))
}

#[test]
fn a_killed_interactive_claude_resumes_its_conversation() {
    let rules = vec![
        when("This is attempt 2").answer(Answer::text("Now it is done.")),
        when("begin it").step(0).answer(tool("Bash", json!({"command": "touch begun; while :; do sleep 1; done"}))),
    ];
    let allowed = format!("{ROLES}\nallowed_tools = [\"Bash\"]");
    let Some(fleet) = Fleet::started(&["claude"], &allowed, rules) else { return };
    let task = fleet.world.delegate("c", "begin it");
    fleet.wait_until("claude works", || fleet.world.project.join("begun").exists());
    // claude writes its conversation a moment later than it begins; what it has not written cannot be resumed.
    fleet.wait_until("claude has recorded its call", || has_recorded(&fleet, "touch begun"));
    fleet.processes_of("claude").iter().for_each(|process| kill9(process.pid));
    let shown = fleet.wait_for(&task, "succeeded");
    assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&json!("lost"), &json!(1)), "{shown:#}");
    assert_eq!(shown["result"]["text"].as_str().map(str::trim_end), Some("Now it is done."));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("This is attempt 2")).expect("asked");
    assert!(last.texts.iter().any(|text| text.starts_with("begin it\n\n[orch]")), "the same conversation: {last:#?}");
    fleet.stop();
}

#[test]
fn codex_completes_a_task_in_its_full_screen_interface() {
    let rules = vec![
        when("and again").answer(Answer::text("Still there.")),
        when("look around").step(0).answer(tool("exec_command", json!({"cmd": "echo seen"}))),
        when("look around").answer(Answer::text("I have seen it.")),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.done("x", "look around");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("I have seen it."), "{task:#}");
    let log = fleet.world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("echo seen") && log.contains("I have seen it."), "{log}");
    assert_eq!(task["result"]["usage"]["output_tokens"], 14, "the tokens of both answers are counted: {task:#}");
    fleet.stop();
}

#[test]
fn codexs_permission_request_is_answered_in_its_pane_and_a_killed_codex_resumes() {
    let ask = || {
        tool(
            "exec_command",
            json!({"cmd": "touch made", "sandbox_permissions": "require_escalated", "justification": "May I?"}),
        )
    };
    let rules = vec![
        when("This is attempt 2").answer(Answer::text("Now it is done.")),
        when("make it").step(0).answer(ask()),
        when("make it").answer(tool("exec_command", json!({"cmd": "while :; do sleep 1; done"}))),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.world.delegate("x", "make it");
    fleet.wait_until("the agent asks", || needs(&fleet, "x-1") == "permission");
    assert_eq!(fleet.world.agent("x-1")["needs_for"], "run Bash: touch made");
    press(&fleet, "x-1", "y");
    fleet.wait_until("the command was allowed", || {
        fleet.world.project.join("made").exists() && needs(&fleet, "x-1").is_null()
    });
    fleet.processes_of("codex").iter().for_each(|process| kill9(process.pid));
    let shown = fleet.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"][0]["cause"], "lost", "{shown:#}");
    assert_eq!(shown["result"]["text"].as_str().map(str::trim_end), Some("Now it is done."));
    let last = fleet.model.asked().into_iter().rfind(|asked| asked.text.contains("This is attempt 2")).expect("asked");
    assert!(last.texts.iter().any(|text| text.starts_with("make it\n\n[orch]")), "the same thread: {last:#?}");
    fleet.stop();
}

#[test]
fn an_interrupted_claude_waits_for_its_user() {
    let rules = vec![
        when("go on").answer(Answer::text("It is done now.")),
        when("begin it").answer(tool("Bash", json!({"command": "touch begun; while :; do sleep 1; done"}))),
    ];
    let allowed = format!("{ROLES}\nallowed_tools = [\"Bash\"]");
    let Some(fleet) = Fleet::started(&["claude"], &allowed, rules) else { return };
    let task = fleet.world.delegate("c", "begin it");
    fleet.wait_until("claude works", || fleet.world.project.join("begun").exists());
    press(&fleet, "c-1", "C-z");
    // No shell could continue it, so it must not stop on Ctrl-Z: it still accepts input.
    press(&fleet, "c-1", "x");
    fleet.wait_until("the input is on the screen", || {
        fleet.world.pane("c-1").lines().any(|line| line.replace('\u{a0}', " ").trim_end() == "❯ x")
    });
    press(&fleet, "c-1", "BSpace");
    fleet.wait_until("the input is deleted", || {
        !fleet.world.pane("c-1").lines().any(|line| line.replace('\u{a0}', " ").trim_end() == "❯ x")
    });
    press(&fleet, "c-1", "C-c");
    fleet.wait_until("the agent needs input", || needs(&fleet, "c-1") == "input");
    assert_eq!(fleet.world.show(&task)["state"], "running");
    press(&fleet, "c-1", "C-u");
    fleet.world.tmux(&["send-keys", "-t", "=c-1:", "-l", "go on"]).ok();
    fleet.wait_until("the input is on the screen", || fleet.world.pane("c-1").contains("go on"));
    press(&fleet, "c-1", "Enter");
    let shown = fleet.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"].as_str().map(str::trim_end), Some("It is done now."), "{shown:#}");
    fleet.stop();
}

#[test]
fn claudes_question_about_an_untrusted_folder_is_reported() {
    let rules = vec![when("look around").answer(Answer::text("Seen."))];
    let elsewhere = tempfile::tempdir().unwrap();
    let roles = format!("{ROLES}\ncwd = {:?}", elsewhere.path());
    let Some(fleet) = Fleet::started(&["claude"], &roles, rules) else { return };
    let task = fleet.world.delegate("c", "look around");
    fleet.wait_until("the agent asks", || !needs(&fleet, "c-1").is_null());
    let attention = fleet.world.status()["attention"].to_string();
    assert!(attention.contains("orch attach c-1"), "{attention}");
    let folder = elsewhere.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(attention.contains("asks: Accessing workspace: /") && attention.contains(&folder), "{attention}");
    // After a refusal, claude asks again only when the task is retried.
    press(&fleet, "c-1", "Enter");
    let held = fleet.wait_for(&task, "held");
    assert!(held["reason"].as_str().unwrap().contains("was asking its user something"), "{held:#}");
    fleet.world.orch(&["retry", &task]).ok();
    fleet.wait_until("the agent asks again", || !needs(&fleet, "c-1").is_null());
    press(&fleet, "c-1", "Down");
    press(&fleet, "c-1", "Enter");
    let shown = fleet.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"].as_str().map(str::trim_end), Some("Seen."));
    fleet.stop();
}

#[test]
fn an_error_of_codexs_service_is_detected_and_retried() {
    let rules = vec![
        when("This is attempt 2").answer(Answer::text("better now")),
        when("goes wrong").answer(Answer::error(500, "server_error", "broken")),
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::started(&["codex"], CODER, rules) else { return };
    let task = fleet.done("x", "it goes wrong");
    let causes: Vec<_> = task["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["transient", "success"], "{task:#}");
    fleet.stop();
}

#[test]
fn a_question_of_claude_is_reported_with_its_options() {
    let option = |label: &str| json!({"label": label, "description": "one of them"});
    let question = json!({"question": "Which one?", "header": "One", "multiSelect": false,
        "options": [option("Red"), option("Blue")]});
    let rules = vec![
        when("ask me").step(0).answer(tool("AskUserQuestion", json!({"questions": [question]}))),
        when("ask me").answer(Answer::text("As you like.")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], ROLES, rules) else { return };
    let task = fleet.world.delegate("c", "ask me");
    fleet.wait_until("the agent asks", || needs(&fleet, "c-1") == "input");
    assert_eq!(fleet.world.agent("c-1")["needs_for"], "Which one? (Red, Blue)");
    fleet.wait_until("the options are on the screen", || fleet.world.pane("c-1").contains("1. Red"));
    // claude ignores keys in the first moment, in case they were meant for something else.
    fleet.wait_until("the question is answered", || {
        if fleet.world.pane("c-1").contains("1. Red") {
            press(&fleet, "c-1", "Enter");
        }
        fleet.world.show(&task)["state"] == "succeeded"
    });
    fleet.stop();
}

#[test]
fn an_interactive_claude_reports_that_its_service_is_unavailable() {
    let rules = vec![
        when("say hello").times(5).answer(Answer::overloaded()),
        when("say hello").answer(Answer::text("hello at last")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], ROLES, rules) else { return };
    let task = fleet.world.delegate("c", "say hello");
    let retrying = || fleet.world.agent("c-1")["retrying"].clone();
    fleet.wait_until("the agent reports a retry", || retrying()["of"] == 10);
    let shown = fleet.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown:#}");
    assert!(retrying().is_null());
    fleet.stop();
}
