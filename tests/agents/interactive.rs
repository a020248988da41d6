//! Tasks in `mode = "interactive"`: the program has the pane to itself, and its hooks report how the task goes.
//!
//! The program is a script named `claude`. It uses the terminal as a full-screen program does, and calls the hooks as
//! the real one does.

use serde_json::{Value, json};

use crate::common::{Process, World, gate, kill9};

const ROLES: &str = "[roles.c]\ndriver = \"claude\"\nmode = \"interactive\"\nmax = 1\n\
                     [roles.h]\ndriver = \"claude\"\nmode = \"headless\"";

/// What it does before all else: notes how it is called, takes the terminal, and begins a conversation.
const BEGIN: &str = r#"
echo "$*" >> "$CALLED"
[ -n "$GONE" ] && case "$*" in *--resume*) echo 'No conversation found' >&2; exit 1;; esac
stty raw -echo
printf '\033[?1049h\033[?1000h\033[?2004h\033]2;at work\007the screen of a program'
tell() { printf '{"hook_event_name":"%s",%s}' "$1" "$2" | orch hook claude; }
ended() { tell Stop "\"last_assistant_message\":\"$1\""; }
calls() { tell PreToolUse '"tool_name":"Bash","tool_input":{"command":"ls"}'; }
stay() { while :; do sleep 0.05; done; }
trap 'echo TERM >> "$CALLED"; tell SessionEnd "\"reason\":\"other\""; exit 143' TERM
tell SessionStart "\"session_id\":\"SESSION\",\"source\":\"startup\",\"transcript_path\":\"$CALLED.record\""
tell UserPromptSubmit '"prompt":"the task"'
"#;

/// A world with such a program, which then does this.
fn world_with(then: &str) -> World {
    let world = World::builder().tables(ROLES).build();
    let called = format!("CALLED='{}'", world.file("called").display());
    world.program("claude", &format!("{called}\n{BEGIN}\n{then}"));
    world.start();
    world
}

/// What it was called with, time after time: the first line of each.
fn called(world: &World) -> Vec<String> {
    world.lines("called").into_iter().filter(|line| line.contains("--settings ")).collect()
}

#[track_caller]
fn reason(of: &Value, words: &[&str]) {
    let reason = of["reason"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| reason.contains(word)), "{words:?} in {reason}");
}

/// The program's own process.
fn program(world: &World) -> Option<Process> {
    let is_it = |p: &Process| p.command.contains("/bin/claude ");
    world.processes().into_iter().find(is_it)
}

/// What tmux knows of the pane.
fn pane_is(world: &World, format: &str) -> String {
    world.tmux(&["display-message", "-p", "-t", "=c-1:", format]).stdout.trim_end().to_owned()
}

fn type_key(world: &World, key: &str) {
    world.tmux(&["send-keys", "-t", "=c-1:", key]).ok();
}

#[test]
fn the_end_of_its_turn_is_the_result_and_the_pane_is_as_it_was() {
    let answer = |id: &str, tokens: u32| {
        let usage = json!({"input_tokens": 10, "output_tokens": tokens});
        json!({"type": "assistant", "timestamp": "2999-01-01T00:00:00Z", "message": {"id": id, "usage": usage}})
    };
    let record = [answer("m1", 1), answer("m1", 4), answer("m2", 5)].map(|line| line.to_string()).join("\n");
    let then = format!("echo '{record}' > \"$CALLED.record\"\ncalls\nended 'The answer.'\nstay");
    let world = world_with(&then);
    let task = world.delegate("c", "/look at \u{1b}[31mthis");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "The answer.");
    assert_eq!(shown["result"]["usage"], json!({"input_tokens": 20, "output_tokens": 9, "cost_usd": 0.0}));
    reason(&shown["attempts"][0], &["claude has done it"]);
    // 143 was its answer to our signal.
    assert_eq!([&shown["attempts"][0]["exit_code"], &shown["result"]["exit_code"]], [&Value::Null; 2]);

    let words = &called(&world)[0];
    let is_one = words.ends_with("-- The task:") && words.contains("--session-id ") && !words.contains("-p ");
    assert!(is_one, "a prompt, and neither a command nor an option: {words}");
    assert!(world.lines("called").contains(&"TERM".to_owned()), "it was ended in order");
    let log = world.orch(&["logs", "--task", &task]).ok();
    for line in ["── conversation SESSION", "⏺ Bash(ls)", "The answer.", "── done"] {
        assert!(log.contains(line), "{line} in {log}");
    }
    let run = world.home.join(format!("runs/{task}/1"));
    assert!(!run.join("hooks.jsonl").exists() && run.join("raw.jsonl").exists(), "what was told is kept once");

    world.wait_until("the pane shows the end", || world.pane("c-1").contains(&format!("── {task} succeeded")));
    assert!(!world.pane("c-1").contains("⏺"), "the program's screen was its own");
    assert_eq!(pane_is(&world, "#{alternate_on} #{mouse_any_flag} #{pane_title}"), "0 0");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_message_at_the_end_of_its_turn_is_read_before_the_result_and_takes_nothing_from_it() {
    let world = World::builder().tables(ROLES).build();
    let gate = gate(&world.file("gate"));
    let called_at = format!("CALLED='{}'", world.file("called").display());
    let then = format!(
        "echo works >> \"$CALLED\"\n{gate}\nended first >> \"$CALLED\"\ncalls\nended second >> \"$CALLED\"\nstay"
    );
    world.program("claude", &format!("{called_at}\n{BEGIN}\n{then}"));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_until("it works", || world.lines("called").contains(&"works".to_owned()));
    world.orch(&["send", &task, "mind the gap"]).ok();
    world.touch("gate");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "first\n\nsecond", "what was answered stays answered");
    let handed: Vec<String> = world.lines("called").into_iter().filter(|line| line.contains("mind the gap")).collect();
    assert!(handed.len() == 1 && handed[0].contains("\"decision\":\"block\""), "{handed:?}");
}

#[test]
fn what_goes_on_after_the_end_of_a_turn_is_waited_for() {
    // A hook of the person's own keeps it from ending; or something was typed meanwhile.
    let world = world_with("ended first\ncalls\nsleep 1.5\nended second\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["result"]["text"], "second");
}

#[test]
fn what_it_asks_is_said_at_once_and_a_person_answers_in_the_pane() {
    let ask = "tell PermissionRequest '\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"rm x\"}'";
    let world =
        world_with(&format!("calls\n{ask}\nkey=$(dd bs=1 count=1 2>/dev/null)\ncalls\nended \"typed $key\"\nstay"));
    let task = world.delegate("c", "work");
    world.wait_until("it asks", || world.agent("c-1")["needs"] == "permission");
    assert_eq!(world.show(&task)["state"], "running");
    assert_eq!(world.agent("c-1")["needs_for"], "run Bash: rm x");
    let asks = format!("agent c-1 waits for {task}: its program asks to run Bash: rm x");
    let said =
        [world.status()["attention"].to_string(), world.orch(&["why", &task]).ok(), world.orch(&["agents"]).ok()];
    assert!(
        said[0].contains(&asks) && said[1..].iter().all(|page| page.contains("asks to run Bash: rm x")),
        "{said:#?}"
    );
    assert!(world.orch(&["logs", "--task", &task]).ok().contains("── asks to run Bash: rm x"));
    type_key(&world, "y");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "typed y");
    let agent = world.agent("c-1");
    assert_eq!((&agent["needs"], &agent["needs_for"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_secret_in_what_it_asks_is_seen_by_nobody() {
    let ask = r#"tell PermissionRequest "\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"login $MY_TOKEN\"}""#;
    let roles = ROLES.replacen("max = 1", "max = 1\nenv_from = [\"MY_TOKEN\"]", 1);
    let mut world = World::builder().tables(&roles).build();
    world.env.insert("MY_TOKEN", "hunter2-hunter2".to_owned());
    let called = format!("CALLED='{}'", world.file("called").display());
    world.program("claude", &format!("{called}\n{BEGIN}\n{ask}\nstay"));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_until("it asks", || world.agent("c-1")["needs"] == "permission");
    assert_eq!(world.agent("c-1")["needs_for"], "run Bash: login [redacted]");
    let told = [world.status().to_string(), world.orch(&["events"]).ok(), world.orch(&["logs", "--task", &task]).ok()];
    assert!(told.iter().all(|told| told.contains("login [redacted]") && !told.contains("hunter2")), "{told:#?}");
}

#[test]
fn ctrl_c_is_the_programs_own() {
    let world = world_with("stty sane\ntrap 'echo INT >> \"$CALLED\"; ended stopped' INT\nsleep 1000\nstay");
    let task = world.delegate("c", "work");
    world.wait_until("it works", || world.processes().iter().any(|p| p.command.starts_with("sleep 1000")));
    type_key(&world, "C-c");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "stopped");
    assert!(world.lines("called").contains(&"INT".to_owned()));
}

#[test]
fn ctrl_z_suspends_nothing_that_no_shell_could_bring_back() {
    let world = world_with("trap 'ended \"goes on\"' CONT\nkill -TSTP 0\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["result"]["text"], "goes on");
}

#[test]
fn a_cancelled_one_is_ended_in_order() {
    let world = world_with("stay");
    let task = world.delegate("c", "work");
    world.wait_until("it works", || !called(&world).is_empty() && program(&world).is_some());
    world.orch(&["cancel", &task]).ok();
    world.wait_for(&task, "cancelled");
    world.wait_until("it is gone", || program(&world).is_none());
    world.wait_for_agent("c-1", "idle");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_one_goes_on_with_its_conversation() {
    let world = world_with("[ $ORCH_ATTEMPT = 1 ] && stay\nended done\nstay");
    let task = world.delegate("c", "a long piece of work");
    world.wait_until("it has begun", || world.home.join(format!("runs/{task}/1/session.json")).exists());
    kill9(program(&world).expect("a program").pid);
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&json!("lost"), &json!(1)));
    reason(&shown["attempts"][0], &["claude", "signal 9"]);
    let called = called(&world);
    assert!(called[0].contains("--session-id ") && called[1].contains("--resume SESSION "), "{called:?}");
    assert!(called[1].contains("-- This is attempt 2 of your task."), "{called:?}");
}

#[test]
fn a_conversation_that_is_gone_is_begun_anew_in_the_same_attempt() {
    let world = World::builder().tables(ROLES).build();
    let called_at = format!("CALLED='{}'\nGONE=1", world.file("called").display());
    world.program("claude", &format!("{called_at}\n{BEGIN}\n[ $ORCH_ATTEMPT = 1 ] && exit 75\nended done\nstay"));
    world.start();
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(2), "{shown:#}");
    let called = called(&world);
    assert!(called[1].contains("--resume SESSION ") && called[2].contains("--session-id "), "{called:#?}");
}

#[test]
fn one_that_a_person_has_left_waits_for_a_person() {
    let leave = "tell SessionEnd '\"reason\":\"prompt_input_exit\"'; exit 0";
    let world = world_with(&format!("case \"$*\" in *--resume*) ended done; stay;; esac\n{leave}"));
    let task = world.delegate("c", "work");
    let held = world.wait_for(&task, "held");
    reason(&held, &["claude was left before it was done", "orch retry goes on"]);
    assert_eq!((&held["failures"], &held["lost"]), (&json!(0), &json!(0)));
    world.orch(&["retry", &task]).ok();
    world.wait_for(&task, "succeeded");
}

#[test]
fn an_error_of_its_service_is_tried_again() {
    let fail = "tell StopFailure '\"error\":\"server_error\",\"last_assistant_message\":\"API Error: 529 Overloaded\"'";
    let world = world_with(&format!("[ $ORCH_ATTEMPT = 1 ] && {{ {fail}; stay; }}\nended done\nstay"));
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["attempts"][0]["cause"], "transient");
    reason(&shown["attempts"][0], &["claude: ", "529 Overloaded"]);
}

#[test]
fn one_that_ignores_being_ended_has_done_it_all_the_same() {
    let world = world_with("trap '' TERM\nended done\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!((&shown["result"]["text"], &shown["lost"]), (&json!("done"), &json!(0)));
    world.stop_and_check_nothing_left();
}

#[test]
fn nobody_else_is_to_believe_in_it() {
    let world = World::builder().tables("[roles.g]\ndriver = \"gemini\"\nmode = \"interactive\"").build();
    let refused = world.orch(&["start"]).ended(4);
    assert!(refused.stderr.contains("roles.g.mode is not supported by this role's driver"), "{refused:#?}");
}

#[test]
fn what_a_program_shows_that_ends_before_it_has_begun_says_why() {
    let world = World::builder().tables(ROLES).build();
    world.program("claude", "echo \"error: unknown option '--settings'\"; exit 1");
    world.start();
    let task = world.delegate("c", "work");
    let failed = world.wait_for(&task, "failed");
    let reason = failed["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("unknown option '--settings'") && reason.contains("orch doctor"), "{failed:#}");
    let log = world.orch(&["logs", "--task", &task]).ok();
    assert!(log.contains("unknown option"), "{log}");
    world.stop_and_check_nothing_left();
}
