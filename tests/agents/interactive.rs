//! Tasks in `mode = "interactive"`: the program has the pane to itself, and its hooks report how the task goes.
//!
//! The program is a script named `claude`. It uses the terminal as a full-screen program does, and calls the hooks as
//! the real one does.

use serde_json::{Value, json};

use crate::common::{Process, World, gate, kill9};

const ROLES: &str = "[roles.c]\ndriver = \"claude\"\nmode = \"interactive\"\nmax = 1\n\
                     [roles.h]\ndriver = \"claude\"\nmode = \"headless\"";

/// The start of the program: it records its arguments, takes the terminal, and begins a conversation.
const BEGIN: &str = r#"
echo "$*" >> "$CALLED"
[ -n "$GONE" ] && case "$*" in *--resume*) echo 'No conversation found' >&2; exit 1;; esac
stty raw -echo
printf '\033[?1049h\033[?1000h\033[?2004h\033]2;at work\007the screen of a program'
hook() { printf '{"hook_event_name":"%s",%s}' "$1" "$2" | orch hook claude; }
ended() { hook Stop "\"last_assistant_message\":\"$1\""; }
calls() { hook PreToolUse '"tool_name":"Bash","tool_input":{"command":"ls"}'; }
stay() { while :; do sleep 0.05; done; }
trap 'echo TERM >> "$CALLED"; hook SessionEnd "\"reason\":\"other\""; exit 143' TERM
hook SessionStart "\"session_id\":\"SESSION\",\"source\":\"startup\",\"transcript_path\":\"${RECORD:-$HOME/.claude/projects/p.record}\""
hook UserPromptSubmit '"prompt":"the task"'
"#;

/// Starts a world with this program, which then runs `then`.
fn world_with(then: &str) -> World {
    let world = World::builder().tables(ROLES).build();
    let called = format!("CALLED='{}'", world.file("called").display());
    world.program("claude", &format!("{called}\n{BEGIN}\n{then}"));
    world.start();
    world
}

/// Returns the first line of the arguments of each call.
fn called(world: &World) -> Vec<String> {
    world.lines("called").into_iter().filter(|line| line.contains("--settings ")).collect()
}

#[track_caller]
fn reason(of: &Value, words: &[&str]) {
    let reason = of["reason"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| reason.contains(word)), "{words:?} in {reason}");
}

/// Returns the program's process.
fn program(world: &World) -> Option<Process> {
    let is_it = |p: &Process| p.command.contains("/bin/claude ");
    world.processes().into_iter().find(is_it)
}

/// Returns what tmux prints for a format of the pane.
fn pane_is(world: &World, format: &str) -> String {
    world.tmux(&["display-message", "-p", "-t", "=c-1:", format]).stdout.trim_end().to_owned()
}

fn type_key(world: &World, key: &str) {
    world.tmux(&["send-keys", "-t", "=c-1:", key]).ok();
}

#[test]
fn the_end_of_a_turn_is_the_result_and_the_pane_is_restored() {
    let answer = |id: &str, tokens: u32| {
        let usage = json!({"input_tokens": 10, "output_tokens": tokens});
        json!({"type": "assistant", "timestamp": "2999-01-01T00:00:00Z", "message": {"id": id, "usage": usage}})
    };
    let record = [answer("m1", 1), answer("m1", 4), answer("m2", 5)].map(|line| line.to_string()).join("\n");
    let then = format!(
        "mkdir -p ~/.claude/projects; echo '{record}' > ~/.claude/projects/p.record\ncalls\nended 'The answer.'\nstay"
    );
    let world = world_with(&then);
    let task = world.delegate("c", "/look at \u{1b}[31mthis");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "The answer.");
    assert_eq!(shown["result"]["usage"], json!({"input_tokens": 20, "output_tokens": 9, "cost_usd": 0.0}));
    reason(&shown["attempts"][0], &["claude has done it"]);
    // The program exited with 143 because orch ended it, so the code is not recorded.
    assert_eq!([&shown["attempts"][0]["exit_code"], &shown["result"]["exit_code"]], [&Value::Null; 2]);

    let words = &called(&world)[0];
    let is_one = words.ends_with("-- The task:") && words.contains("--session-id ") && !words.contains("-p ");
    assert!(is_one, "the text is passed as a prompt, not as a slash command or an option: {words}");
    assert!(world.lines("called").contains(&"TERM".to_owned()), "the program received SIGTERM");
    let log = world.orch(&["logs", "--task", &task]).ok();
    for line in ["── conversation SESSION", "⏺ Bash(ls)", "The answer.", "── done"] {
        assert!(log.contains(line), "{line} in {log}");
    }
    let run = world.home.join(format!("runs/{task}/1"));
    assert!(
        !run.join("hooks.jsonl").exists() && run.join("raw.jsonl").exists(),
        "the hooks' records are kept in one file"
    );

    world.wait_until("the pane shows the end", || world.pane("c-1").contains(&format!("── {task} succeeded")));
    assert!(!world.pane("c-1").contains("⏺"), "its transcript is in the log alone");
    assert!(world.pane("c-1").contains("the screen of a program"), "what it showed last: {}", world.pane("c-1"));
    assert_eq!(std::fs::read_to_string(run.join("screen.txt")).unwrap().trim(), "the screen of a program");
    assert_eq!(pane_is(&world, "#{alternate_on} #{mouse_any_flag} #{pane_title}"), "0 0");
    world.stop_and_check_nothing_left();
}

/// A program names the record itself, and may name anything: files of others, and a link that leads to them.
#[test]
fn a_record_elsewhere_than_where_the_program_keeps_its_conversations_is_not_read() {
    let usage = json!({"input_tokens": 10, "output_tokens": 4});
    let answer =
        json!({"type": "assistant", "timestamp": "2999-01-01T00:00:00Z", "message": {"id": "m1", "usage": usage}});
    for (name, record) in
        [("another folder", "$HOME/other/p.record"), ("a link", "$HOME/.claude/projects/link/p.record")]
    {
        let world = World::builder().tables(ROLES).build();
        std::fs::create_dir_all(world.file("other")).unwrap();
        std::fs::create_dir_all(world.file(".claude/projects")).unwrap();
        std::fs::write(world.file("other/p.record"), answer.to_string()).unwrap();
        std::os::unix::fs::symlink(world.file("other"), world.file(".claude/projects/link")).unwrap();
        let called = format!("CALLED='{}'; RECORD={record}", world.file("called").display());
        world.program("claude", &format!("{called}\n{BEGIN}\ncalls\nended done\nstay"));
        world.start();
        let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
        assert!(shown["result"]["usage"].is_null(), "{name}: {shown:#}");
        world.stop_and_check_nothing_left();
    }
}

#[test]
fn a_message_at_the_end_of_a_turn_is_read_before_the_result_and_removes_nothing_from_it() {
    let world = World::builder().tables(ROLES).build();
    let gate = gate(&world.file("gate"));
    let called_at = format!("CALLED='{}'", world.file("called").display());
    let then = format!(
        "echo works >> \"$CALLED\"\n{gate}\nended first >> \"$CALLED\"\ncalls\nended second >> \"$CALLED\"\nstay"
    );
    world.program("claude", &format!("{called_at}\n{BEGIN}\n{then}"));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_until("the program works", || world.lines("called").contains(&"works".to_owned()));
    world.orch(&["send", &task, "mind the gap"]).ok();
    world.touch("gate");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "first\n\nsecond", "the first answer is kept");
    let handed: Vec<String> = world.lines("called").into_iter().filter(|line| line.contains("mind the gap")).collect();
    assert!(handed.len() == 1 && handed[0].contains("\"hookEventName\":\"Stop\""), "{handed:?}");
}

#[test]
fn work_that_continues_after_the_end_of_a_turn_is_waited_for() {
    // The user's own hook prevents the end of the turn, or the user types something meanwhile.
    let world = world_with("ended first\ncalls\nsleep 1.5\nended second\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["result"]["text"], "second");
}

#[test]
fn a_permission_request_is_reported_immediately_and_answered_in_the_pane() {
    let ask = "hook PermissionRequest '\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"rm x\"}'";
    let world =
        world_with(&format!("calls\n{ask}\nkey=$(dd bs=1 count=1 2>/dev/null)\ncalls\nended \"typed $key\"\nstay"));
    let task = world.delegate("c", "work");
    world.wait_until("the agent asks for a permission", || world.agent("c-1")["needs"] == "permission");
    assert_eq!(world.show(&task)["state"], "running");
    assert_eq!(world.agent("c-1")["needs_for"], "run Bash: rm x");
    let asks = format!("agent c-1 waits for {task}: its program asks to run Bash: rm x");
    let pages =
        [world.status()["attention"].to_string(), world.orch(&["why", &task]).ok(), world.orch(&["agents"]).ok()];
    assert!(
        pages[0].contains(&asks) && pages[1..].iter().all(|page| page.contains("asks to run Bash: rm x")),
        "{pages:#?}"
    );
    assert!(world.orch(&["logs", "--task", &task]).ok().contains("── asks to run Bash: rm x"));
    type_key(&world, "y");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "typed y");
    let agent = world.agent("c-1");
    assert_eq!((&agent["needs"], &agent["needs_for"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_secret_in_a_permission_request_is_redacted() {
    let ask = r#"hook PermissionRequest "\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"login $MY_TOKEN\"}""#;
    let roles = ROLES.replacen("max = 1", "max = 1\nenv_from = [\"MY_TOKEN\"]", 1);
    let mut world = World::builder().tables(&roles).build();
    world.env.insert("MY_TOKEN", "hunter2-hunter2".to_owned());
    let called = format!("CALLED='{}'", world.file("called").display());
    world.program("claude", &format!("{called}\n{BEGIN}\n{ask}\nstay"));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_until("the agent asks for a permission", || world.agent("c-1")["needs"] == "permission");
    assert_eq!(world.agent("c-1")["needs_for"], "run Bash: login [redacted]");
    let pages = [world.status().to_string(), world.orch(&["events"]).ok(), world.orch(&["logs", "--task", &task]).ok()];
    assert!(pages.iter().all(|page| page.contains("login [redacted]") && !page.contains("hunter2")), "{pages:#?}");
}

#[test]
fn ctrl_c_goes_to_the_program() {
    let world = world_with("stty sane\ntrap 'echo INT >> \"$CALLED\"; ended stopped' INT\nsleep 1000\nstay");
    let task = world.delegate("c", "work");
    world.wait_until("the program works", || world.processes().iter().any(|p| p.command.starts_with("sleep 1000")));
    type_key(&world, "C-c");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "stopped");
    assert!(world.lines("called").contains(&"INT".to_owned()));
}

#[test]
fn ctrl_z_does_not_suspend_a_program_without_a_shell() {
    let world = world_with("trap 'ended \"goes on\"' CONT\nkill -TSTP 0\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["result"]["text"], "goes on");
}

#[test]
fn a_cancelled_program_is_ended_in_order() {
    let world = world_with("stay");
    let task = world.delegate("c", "work");
    world.wait_until("the program works", || !called(&world).is_empty() && program(&world).is_some());
    world.orch(&["cancel", &task]).ok();
    world.wait_for(&task, "cancelled");
    world.wait_until("the program has ended", || program(&world).is_none());
    world.wait_for_agent("c-1", "idle");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_killed_program_is_restarted_in_its_conversation() {
    let world = world_with("[ $ORCH_ATTEMPT = 1 ] && stay\nended done\nstay");
    let task = world.delegate("c", "a long piece of work");
    world.wait_until("the conversation has begun", || world.home.join(format!("runs/{task}/1/session.json")).exists());
    kill9(program(&world).expect("a program").pid);
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((&shown["attempts"][0]["cause"], &shown["lost"]), (&json!("lost"), &json!(1)));
    reason(&shown["attempts"][0], &["claude", "signal 9"]);
    let called = called(&world);
    assert!(called[0].contains("--session-id ") && called[1].contains("--resume SESSION "), "{called:?}");
    assert!(called[1].contains("-- This is attempt 2 of your task."), "{called:?}");
}

#[test]
fn a_lost_interactive_conversation_is_replaced_in_the_same_attempt() {
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
fn a_task_whose_program_a_person_quits_is_held() {
    let leave = "hook SessionEnd '\"reason\":\"prompt_input_exit\"'; exit 0";
    let world = world_with(&format!("case \"$*\" in *--resume*) ended done; stay;; esac\n{leave}"));
    let task = world.delegate("c", "work");
    let held = world.wait_for(&task, "held");
    reason(&held, &["claude was closed before it was done", "orch retry continues"]);
    assert_eq!((&held["failures"], &held["lost"]), (&json!(0), &json!(0)));
    world.orch(&["retry", &task]).ok();
    world.wait_for(&task, "succeeded");
}

#[test]
fn an_error_of_the_model_service_is_retried() {
    let fail = "hook StopFailure '\"error\":\"server_error\",\"last_assistant_message\":\"API Error: 529 Overloaded\"'";
    let world = world_with(&format!("[ $ORCH_ATTEMPT = 1 ] && {{ {fail}; stay; }}\nended done\nstay"));
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!(shown["attempts"][0]["cause"], "transient");
    reason(&shown["attempts"][0], &["claude: ", "529 Overloaded"]);
}

#[test]
fn the_result_of_a_program_that_ignores_sigterm_counts() {
    let world = world_with("trap '' TERM\nended done\nstay");
    let shown = world.wait_for(&world.delegate("c", "work"), "succeeded");
    assert_eq!((&shown["result"]["text"], &shown["lost"]), (&json!("done"), &json!(0)));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_driver_without_interactive_mode_rejects_it() {
    let world = World::builder().tables("[roles.g]\ndriver = \"gemini\"\nmode = \"interactive\"").build();
    let refused = world.orch(&["start"]).ended(4);
    assert!(refused.stderr.contains("roles.g.mode is not supported by this role's driver"), "{refused:#?}");
}

#[test]
fn the_output_of_a_program_that_ends_before_its_start_is_the_reason() {
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

/// In a sandbox its record is in a folder that only the task's own attempts have, and its hooks reach the runner.
#[test]
fn a_program_with_the_pane_works_in_a_sandbox_too() {
    let roles =
        "[roles.c]\ndriver = \"claude\"\nmode = \"interactive\"\nmax = 1\nsandbox = \"bwrap\"\nnetwork = \"none\"";
    let world = World::builder().tables(roles).build();
    std::fs::create_dir_all(world.path.join(".claude/projects/other")).unwrap();
    std::fs::write(world.path.join(".claude/.credentials.json"), "a login").unwrap();
    std::fs::write(world.path.join(".claude.json"), "{}").unwrap();
    std::fs::write(world.path.join("secret"), "x").unwrap();
    let answer = json!({"type": "assistant", "timestamp": "2999-01-01T00:00:00Z",
        "message": {"id": "m1", "usage": {"input_tokens": 10, "output_tokens": 4}}});
    let called = "CALLED=\"$HOME/.claude/projects/p\"; mkdir -p ~/.claude/projects";
    let seen = "ls -A ~ ~/.claude ~/.claude/projects | tr '\\n' ' '";
    let then = format!(
        "echo '{answer}' > \"$CALLED.record\"; echo new > ~/.claude.json; ended \"$(cat ~/.claude/.credentials.json); $({seen})\"\nstay"
    );
    world.program("claude", &format!("{called}\n{BEGIN}\n{then}"));
    world.start();
    let task = world.delegate("c", "look");
    let shown = world.wait_for(&task, "succeeded");
    let text = shown["result"]["text"].as_str().unwrap();
    assert!(text.starts_with("a login; ") && text.contains("p.record"), "{text}");
    assert!(!text.contains("secret") && !text.contains("other"), "{text}");
    assert_eq!(shown["result"]["usage"]["output_tokens"], 4, "its record is read: {shown:#}");
    assert_eq!(std::fs::read_to_string(world.path.join(".claude.json")).unwrap(), "{}", "it had a copy");
    assert!(!world.path.join(".claude/projects/p.record").exists());
}
