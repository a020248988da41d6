//! Conversations of one-shot programs: what a later attempt resumes, and how it is counted.

use serde_json::{Value, json};

use super::headless::*;
use crate::common::World;

#[test]
fn after_a_crash_the_conversation_is_resumed() {
    // The first attempt dies in the middle; the prompt of the second one says that it is the second.
    let world = World::builder().tables(ROLES).build();
    let (called, prompts) = (world.file("called"), world.file("prompts"));
    world.program(
        "claude",
        &format!(
            "echo \"$*\" >> '{}'\ncat >> '{}'\n{}[ $ORCH_ATTEMPT = 1 ] && kill -9 $$\n{}",
            called.display(),
            prompts.display(),
            say(INIT),
            say(DONE)
        ),
    );
    world.start();
    let task = world.delegate("c", "a long piece of work");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&json!("lost"), &json!(1)));
    let called = world.lines("called");
    assert!(called[0].contains("--session-id ") && !called[0].contains("--resume"), "{called:?}");
    assert!(called[1].contains("--resume SESSION ") && !called[1].contains("--session-id"), "{called:?}");
    let prompts = world.lines("prompts").join("\n");
    for words in ["This is attempt 2 of your task. Attempt 1", "was interrupted: ", "signal 9", "a long piece of work"]
    {
        assert!(prompts.contains(words), "{words} in {prompts}");
    }
}

#[test]
fn a_lost_conversation_is_replaced_in_the_same_attempt() {
    let gone = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["No conversation found with session ID: SESSION"]}"#;
    let script = format!(
        "case \"$*\" in *--resume*) {}exit 1;; esac\n{}[ $ORCH_ATTEMPT = 1 ] && exit 75\n{}",
        say(gone),
        say(INIT),
        say(DONE)
    );
    let world = world_with_claude(&script);
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2, "{shown:#}");
    let called = world.lines("called");
    assert_eq!(called.len(), 3, "{called:#?}");
    assert!(called[1].contains("--resume SESSION") && called[2].contains("--session-id "), "{called:#?}");
}

#[test]
fn two_programs_are_never_in_one_conversation() {
    // A process of the first attempt has escaped every cleanup, and still runs.
    let script = format!("{}[ $ORCH_ATTEMPT = 1 ] && exit 75\n{}", say(INIT), say(DONE));
    let world = World::builder().tables(&format!("{ROLES}[roles.c.retry]\nbase = \"1h\"\ncap = \"1h\"")).build();
    let called = world.file("called");
    world.program("claude", &format!("echo \"$*\" >> '{}'\n{script}", called.display()));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_for(&task, "delayed");
    let session: Value = serde_json::from_str(&kept(&world, &task, 1, "session.json")).unwrap();
    let (name, value) = session["marker"].as_str().unwrap().split_once('=').unwrap();
    let mut left = std::process::Command::new("sleep").arg("1000").env(name, value).spawn().unwrap();
    world.orch(&["retry", &task]).ok();
    world.wait_for(&task, "succeeded");
    left.kill().unwrap();
    left.wait().unwrap();
    let called = world.lines("called");
    assert!(called[1].contains("--session-id ") && !called[1].contains("--resume"), "{called:#?}");
}

#[test]
fn a_conversation_that_is_resumed_is_counted_once() {
    let programs = ["claude", "codex", "gemini", "opencode", "qwen", "copilot", "aider"];
    let roles =
        programs.map(|name| format!("[roles.{name}]\ndriver = \"{name}\"\n[roles.{name}.retry]\nbase = \"10ms\"\n"));
    let world = World::builder().tables(&roles.concat()).build();
    for name in programs {
        // Three runs, the second and the third of which resume the first: as the real programs printed them.
        let printed = format!("{}/tests/fixtures/{name}/resumed", env!("CARGO_MANIFEST_DIR"));
        let again = r#"[ $ORCH_ATTEMPT = 3 ] || echo '{"cause": "transient"}' > "$ORCH_RESULT""#;
        let run = "awk -v run=$ORCH_ATTEMPT 'BEGIN { RS = \"---\\n\"; ORS = \"\" } NR == run'";
        world.program(name, &format!("cat > /dev/null\n{run} {printed}.*\n{again}"));
    }
    world.start();
    for name in programs {
        let task = world.delegate(name, "work");
        let shown = world.wait_for(&task, "succeeded");
        let used = |usage: &Value| {
            (
                usage["input_tokens"].as_u64(),
                usage["output_tokens"].as_u64(),
                (usage["cost_usd"].as_f64().unwrap_or(-1.0) * 1e6).round(),
            )
        };
        let each = match name {
            "copilot" => None,
            "claude" | "opencode" | "aider" => Some((Some(1000), Some(100), 6000.0)),
            _ => Some((Some(1000), Some(100), 0.0)),
        };
        for attempt in shown["attempts"].as_array().unwrap() {
            assert_eq!(Some(&attempt["usage"]).filter(|usage| !usage.is_null()).map(used), each, "{name}: {attempt:#}");
        }
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 3, "{name}");
        let all = each.map_or((Some(0), Some(0), 0.0), |(_, _, cost)| (Some(3000), Some(300), 3.0 * cost));
        assert_eq!(used(&shown["usage"]), all, "{name}: {shown:#}");
        let row = |row: &&Value| row["name"] == name;
        let costs = world.orch_json(&["costs", "--by", "role"]);
        let of_role = costs["rows"].as_array().unwrap().iter().find(row).map(used);
        assert_eq!(of_role, each.map(|_| all), "{name}: {costs:#}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn codex_resumes_its_thread() {
    let begun = r#"{"type":"thread.started","thread_id":"thread-1"}"#;
    let failed = r#"{"type":"turn.failed","error":{"message":"stream disconnected before completion"}}"#;
    let message = r#"{"type":"item.completed","item":{"type":"agent_message","text":"The answer."}}"#;
    let done = r#"{"type":"turn.completed","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let script = format!(
        "{}[ $ORCH_ATTEMPT = 1 ] && {{ {}exit 1; }}\n{}",
        say(begun),
        say(failed),
        [message, done].map(say).concat()
    );
    let world = world_with("codex", &script);
    let task = world.delegate("x", "work");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"][0]["cause"], "transient");
    reason(&shown["attempts"][0], &["stream disconnected"]);
    assert_eq!(shown["result"]["text"], "The answer.");
    let called = world.lines("called");
    assert!(called[0].starts_with("exec --json ") && called[0].ends_with(" -"), "{called:#?}");
    assert!(called[1].ends_with(" resume thread-1 -"), "{called:#?}");
    assert!(called[0].contains("mcp_servers.orch.env_vars=[") && !called[0].contains(&task), "{called:#?}");
}

#[test]
fn a_task_that_ends_with_open_subtasks_waits_without_a_program_and_goes_on_with_their_results() {
    let world = World::builder().tables(ROLES).build();
    let (told, sub) = (world.file("told"), world.file("sub"));
    let script = format!(
        "case \"$*\" in *--resume*) cat > '{}' ;; *) cat > /dev/null\n\
         orch delegate --role shell \"until [ -e '{}' ]; do sleep 0.1; done; echo THE-PART\" > /dev/null\n\
         for n in 1 2; do echo '{{\"hook_event_name\":\"Stop\"}}' | orch hook claude > '{}'.$n; done ;; esac\n{}",
        told.display(),
        sub.display(),
        world.file("hook").display(),
        [INIT, DONE].map(say).concat()
    );
    world.program("claude", &script);
    world.start();
    let task = world.delegate("c", "build it");
    let waits = world.wait_for(&task, "blocked");
    assert_eq!((&waits["waiting"], &waits["agent"]), (&json!(true), &json!(null)), "{waits:#}");
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains("waits for its open subtasks"), "{why}");
    std::fs::write(&sub, "").expect("sub");
    let done = world.wait_for(&task, "succeeded");
    assert_eq!((done["attempts"].as_array().map(Vec::len), &done["failures"]), (Some(2), &json!(0)), "{done:#}");
    let hook = world.lines("hook.1").join("\n");
    assert!(hook.contains("1 subtask is open") && hook.contains("cancel_task"), "{hook}");
    assert_eq!(world.lines("hook.2").join(""), "", "it was told once");
    let told = world.lines("told").join("\n");
    assert!(told.contains("have ended") && told.contains("\nTHE-PART\n</data-"), "{told}");
    world.stop_and_check_nothing_left();
}
