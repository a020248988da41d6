//! One-shot agent programs: how each is called, and what its output means for the task.
//!
//! The programs are scripts with the names of the real ones. They record their arguments and print what the real
//! programs print.

use serde_json::{Value, json};

use crate::common::{World, feed};

/// Roles of both programs, and one whose program is not installed.
pub(super) const ROLES: &str = "[roles.c]\ndriver = \"claude\"\nmodel = \"m1\"\ndelegates_to = [\"shell\"]\n[roles.x]\ndriver = \"codex\"\n\
                     [roles.none]\ndriver = \"codex\"\nenv = { PATH = \"/nonexistent\" }\n\
                     [roles.screen]\ndriver = \"claude\"\nmode = \"interactive\"\n";

/// The first and the last line of claude's stream.
pub(super) const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"SESSION","model":"m1"}"#;
pub(super) const DONE: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"The answer.","session_id":"SESSION","total_cost_usd":0.25,"usage":{"input_tokens":10,"output_tokens":4},"permission_denials":[]}"#;

/// Starts a world with a `claude` that records its arguments and then runs `then`.
pub(super) fn world_with_claude(then: &str) -> World {
    world_with("claude", then)
}

pub(super) fn world_with(program: &str, then: &str) -> World {
    let world = World::builder().tables(ROLES).build();
    let called = world.file("called");
    let script = format!("echo \"$*\" >> '{}'\ncat > /dev/null\n{then}", called.display());
    world.program(program, &script);
    world.start();
    world
}

/// Returns a shell command that prints this line.
pub(super) fn say(line: &str) -> String {
    format!("cat <<'EOF'\n{line}\nEOF\n")
}

/// Returns the contents of a file of an attempt.
pub(super) fn kept(world: &World, task: &str, attempt: u32, name: &str) -> String {
    let path = world.home.join(format!("runs/{task}/{attempt}/{name}"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[track_caller]
pub(super) fn reason(of: &Value, words: &[&str]) {
    let reason = of["reason"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| reason.contains(word)), "{words:?} in {reason}");
}

#[test]
fn the_result_has_the_answer_and_the_cost_and_the_log_has_readable_lines() {
    let call =
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{"command":"ls"}}]}}"#;
    let script = [INIT, r#"{"type":"new_in_a_later_version"}"#, call, DONE].map(say).concat();
    let world = world_with_claude(&format!("{script}echo a warning >&2"));
    let task = world.delegate("c", "look around");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "The answer.");
    assert_eq!(shown["result"]["usage"], json!({"input_tokens": 10, "output_tokens": 4, "cost_usd": 0.25}));
    assert_eq!(world.orch(&["result", &task]).ok().trim_end(), "The answer.");

    let output = kept(&world, &task, 1, "output");
    for line in ["── conversation SESSION · m1", "⏺ Bash(ls)", "The answer.", "── done · 10 tokens in, 4 out · $0.2500"]
    {
        assert!(output.lines().any(|l| l == line), "{line} in {output}");
    }
    assert!(output.contains("a warning") && !output.contains('{'), "{output}");
    let raw = kept(&world, &task, 1, "raw.jsonl");
    assert_eq!(raw.lines().collect::<Vec<_>>(), [INIT, r#"{"type":"new_in_a_later_version"}"#, call, DONE]);
    let pane = world.tmux(&["capture-pane", "-p", "-t", "=c-1:"]).ok();
    assert!(pane.contains("⏺ Bash(ls)"), "{pane}");

    let called = &world.lines("called")[0];
    let run = world.home.join(format!("runs/{task}/1"));
    for words in [
        "-p --output-format stream-json --verbose --session-id ",
        "--model m1",
        "--allowedTools mcp__orch__delegate_task ",
    ] {
        assert!(called.contains(words), "{words} in {called}");
    }
    assert!(called.contains(&format!("--mcp-config {}/mcp.json --strict-mcp-config", run.display())), "{called}");
    let mcp: Value = serde_json::from_str(&kept(&world, &task, 1, "mcp.json")).unwrap();
    let server = &mcp["mcpServers"]["orch"];
    assert_eq!((&server["args"], &server["env"]["ORCH_TASK"]), (&json!(["mcp"]), &json!(task)));
    assert!(server["env"]["ORCH_CAPABILITY"].as_str().unwrap().starts_with(&task));
    world.stop_and_check_nothing_left();
}

#[test]
fn the_configured_mcp_server_acts_for_the_programs_task() {
    // Calls the server as a client would, with only the environment that the configuration file names.
    let ask = r#"
        while [ "$1" != --mcp-config ]; do shift; done
        printf '%s\n%s\n%s\n' \
          '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}' \
          '{"jsonrpc":"2.0","method":"notifications/initialized"}' \
          '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delegate_task","arguments":{"text":"echo sub","role":"shell"}}}' > "$ORCH_RESULT.in"
        command=$(sed 's/.*"command":"\([^"]*\)".*/\1/' "$2")
        vars=$(sed 's/.*"env":{\([^}]*\)}.*/\1/' "$2" | tr -d '"' | tr ',' '\n' | sed 's/:/=/')
        { cat "$ORCH_RESULT.in"; sleep 5; } | env -i $vars "$command" mcp > "$ORCH_RESULT.out" &
        until grep -q '"id":2' "$ORCH_RESULT.out" 2>/dev/null; do sleep 0.1; done
        kill $! 2>/dev/null
    "#;
    let world = World::builder().tables(ROLES).build();
    world.program("claude", &format!("{ask}\n{}", [INIT, DONE].map(say).concat()));
    world.start();
    let task = world.delegate("c", "delegate something");
    let shown = world.wait_for(&task, "succeeded");
    let children = shown["children"].as_array().unwrap();
    assert_eq!(children.len(), 1, "{shown:#}");
    assert_eq!(world.wait_for(children[0].as_str().unwrap(), "succeeded")["parent"], json!(task));
}

#[test]
fn a_denied_permission_holds_the_task_for_a_person() {
    let denied = DONE.replace(
        r#""permission_denials":[]"#,
        r#""permission_denials":[{"tool_name":"Bash","tool_input":{"command":"npm test"}}]"#,
    );
    let world = world_with_claude(&[INIT, &denied].map(say).concat());
    let held = world.wait_for(&world.delegate("c", "test it"), "held");
    assert_eq!((&held["cause"], &held["failures"]), (&json!("needs_person"), &json!(0)));
    reason(&held, &["claude was not allowed to use Bash(npm test)", "allowed_tools"]);
    let status = world.status();
    assert!(status["attention"].to_string().contains("Bash(npm test)"), "{status:#}");
}

#[test]
fn output_in_another_format_is_reported_and_not_retried() {
    let world = world_with_claude("echo 'Welcome to the other claude'; echo '{\"x\": 1}'");
    let failed = world.wait_for(&world.delegate("c", "work"), "failed");
    reason(&failed, &["claude", "not its stream of JSON (2 lines, none understood)", "orch doctor"]);
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1);
    assert!(failed["result"]["text"].as_str().unwrap().contains("Welcome to the other claude"), "{failed:#}");
}

#[test]
fn a_program_version_without_a_required_option_is_not_retried() {
    let world = world_with_claude("echo \"error: unknown option '--strict-mcp-config'\" >&2; exit 1");
    let failed = world.wait_for(&world.delegate("c", "work"), "failed");
    assert_eq!((&failed["cause"], failed["attempts"].as_array().map(Vec::len)), (&json!("permanent"), Some(1)));
    reason(&failed, &["unknown option '--strict-mcp-config'", "another version than 2.1.", "orch doctor"]);
}

#[test]
fn instructions_of_any_length_reach_the_program() {
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\"\ninstructions_file = \"long.md\"").build();
    let called = world.file("called");
    // This is longer than an argument may be.
    let long = "be brief. ".repeat(20_000);
    std::fs::write(world.project.join("long.md"), &long).unwrap();
    let script = format!("echo \"$*\" >> '{}'\ncat > /dev/null\n{}", called.display(), [INIT, DONE].map(say).concat());
    world.program("claude", &script);
    world.start();
    let task = world.delegate("c", "work");
    world.wait_for(&task, "succeeded");
    let run = world.home.join(format!("runs/{task}/1"));
    let words = format!("--append-system-prompt-file {}/instructions ", run.display());
    assert!(world.lines("called")[0].contains(&words), "{:?}", world.lines("called"));
    assert_eq!(kept(&world, &task, 1, "instructions"), long);
}

#[test]
fn a_silent_program_and_a_missing_one_are_reported_differently() {
    let world = world_with_claude("exit 0");
    let silent = world.orch(&["delegate", "--role", "c", "--retries", "0", "work"]).ok();
    reason(&world.wait_for(silent.trim(), "failed"), &["claude ended with exit code 0 and had printed nothing"]);
    let missing = world.delegate("none", "work");
    let missing_program =
        "role none can't be started: its program codex is not on PATH: install it: npm install -g @openai/codex";
    world.wait_until("status reports the role", || world.status()["attention"].to_string().contains(missing_program));
    assert_eq!(world.show(&missing)["state"], "ready", "the task waits for the program");
    world.program("codex", "");
    std::fs::write(world.file("bin/codex"), "#!/no/such/interpreter\n").unwrap();
    let broken = world.wait_for(&world.delegate("x", "work"), "failed");
    reason(&broken, &["codex exists, but its interpreter"]);
}

#[test]
fn a_text_that_is_too_long_for_an_argument_is_reported() {
    let world = world_with_claude("exit 0");
    let long = "long ".repeat(30_000);
    let id = feed(world.orch_command(&["delegate", "--role", "screen", "-"]), long.as_bytes()).ok();
    let failed = world.wait_for(id.trim(), "failed");
    assert_eq!(failed["cause"], "permanent", "{failed:#}");
    reason(&failed, &["an argument of claude is too long, with 150", "mode = \"headless\""]);
}

#[test]
fn the_master_is_the_first_program_that_is_installed_and_has_the_tools() {
    let world = World::builder().master_driver("auto").tables("[agents]\norder = [\"codex\", \"claude\"]").build();
    let called = world.file("called");
    let large = "x=$(head -c 40000000 /dev/zero | tr '\\0' x)";
    world.program("codex", &format!("echo \"$*\" >> '{}'; {large}; sleep 1000", called.display()));
    world.start();
    world.wait_until("the program is started", || !world.lines("called").is_empty());
    let called = &world.lines("called")[0];
    assert!(called.starts_with("--no-daemon -c mcp_servers.orch.command="), "{called}");
    let memory = || world.agent("opus-master")["rss_bytes"].as_u64();
    world.wait_until("the master's memory includes its program's", || memory() > Some(40_000_000));
    world.stop_and_check_nothing_left();
}

#[test]
fn the_usage_of_a_cancelled_attempt_is_counted() {
    let message = r#"{"type":"assistant","message":{"id":"a","content":[{"type":"text","text":"I look."}],"usage":{"input_tokens":30,"output_tokens":4}}}"#;
    let world =
        world_with_claude(&format!("{}touch \"$HOME/said\"; exec sleep 1000", [INIT, message].map(say).concat()));
    let task = world.delegate("c", "look around");
    world.wait_until("the program has printed its message", || world.file("said").exists());
    world.wait_until("the output is recorded", || kept(&world, &task, 1, "output").contains("I look."));
    world.orch(&["cancel", &task]).ok();
    let shown = world.wait_for(&task, "cancelled");
    assert_eq!(shown["result"]["usage"], json!({"input_tokens": 30, "output_tokens": 4, "cost_usd": 0.0}), "{shown:#}");
    assert_eq!(world.orch_json(&["costs", "--by", "role"])["total"]["input_tokens"], 30);
    world.stop_and_check_nothing_left();
}

#[test]
fn an_answer_of_ten_megabytes_is_kept_truncated() {
    let (head, tail) = DONE.split_once("The answer.").unwrap();
    let script =
        format!("{}printf '%s' '{head}'; head -c 10485760 /dev/zero | tr '\\0' a; printf '%s\\n' '{tail}'", say(INIT));
    let world = world_with_claude(&script);
    let task = world.delegate("c", "write much");
    let shown = world.wait_for(&task, "succeeded");
    let text = shown["result"]["text"].as_str().unwrap();
    assert!((1 << 20..(1 << 20) + 200).contains(&text.len()) && text.contains("[cut here by orch"), "{}", text.len());
    assert_eq!(shown["result"]["truncated"], true);
    let raw = world.home.join(format!("runs/{task}/1/raw.jsonl"));
    assert!(raw.metadata().unwrap().len() > 10 << 20);
}

#[test]
fn a_secret_is_redacted_from_output_in_every_encoding() {
    let mut world =
        World::builder().tables(&format!("{ROLES}[roles.s]\ndriver = \"claude\"\nenv_from = [\"MY_TOKEN\"]")).build();
    world.env.insert("MY_TOKEN", r#"hunter"2\hunter"#.to_owned());
    let text = |kind: &str| format!(r#"{{"type":"text","text":"{kind} hunter\"2\\hunter"}}"#);
    let message = format!(r#"{{"type":"assistant","message":{{"content":[{}]}}}}"#, text("said"));
    // The same secret with another JSON escape: only the decoded text matches.
    let other = message.replace("said", "other").replace("hunter\\", "\\u0068unter\\");
    let done = DONE.replace("The answer.", r#"answer hunter\"2\\hunter"#);
    world.program("claude", &format!("cat > /dev/null\n{}", [INIT, &message, &other, &done].map(say).concat()));
    world.start();
    let task = world.delegate("s", "tell me");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "answer [redacted]");
    let output = kept(&world, &task, 1, "output");
    assert!(output.contains("said [redacted]") && output.contains("other [redacted]"), "{output}");
    assert!(!output.contains("hunter") && !kept(&world, &task, 1, "raw.jsonl").contains("said hunter"), "{output}");
}

#[test]
fn a_result_that_arrives_while_the_attempt_is_ended_counts() {
    let stubborn = format!("{}trap '{}exit 143' TERM; sleep 1000 & wait", say(INIT), say(DONE).replace('\'', "'\\''"));
    let world = world_with_claude(&stubborn);
    let task = world.orch(&["delegate", "--role", "c", "--timeout", "500ms", "work"]).ok();
    let shown = world.wait_for(task.trim(), "succeeded");
    assert_eq!(shown["result"]["text"], "The answer.");
    reason(&shown["attempts"][0], &["had done it when it was ended"]);
}

#[test]
fn a_program_that_stays_after_its_result_is_ended_and_the_result_counts() {
    let world =
        World::builder().tables(&format!("{ROLES}[roles.s]\ndriver = \"claude\"\nstall_timeout = \"2s\"")).build();
    world.program(
        "claude",
        &format!("cat > /dev/null\n{}trap '' TERM; while :; do sleep 1; done", [INIT, DONE].map(say).concat()),
    );
    world.start();
    let shown = world.wait_for(&world.delegate("s", "work"), "succeeded");
    assert_eq!((&shown["result"]["text"], &shown["lost"]), (&json!("The answer."), &json!(0)));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_is_told_what_belongs_to_its_task() {
    let world = World::builder().tables(ROLES).build();
    let told = world.file("told");
    world.program("claude", &format!("cat > '{}'\n{}", told.display(), [INIT, DONE].map(say).concat()));
    world.start();
    let first = world.delegate("shell", "echo THE-SCHEMA-IS-X");
    let args =
        ["--after", &first, "--context", r#"{"spec":"CTX"}"#, "--artifact", "src/parse.rs", "--label", "area=ui"];
    let second =
        world.orch_json(&[&["delegate", "--role", "c"], &args[..], &["Review what came of it"]].concat())["id"].clone();
    let second = second.as_str().expect("id").to_owned();
    world.wait_for(&second, "succeeded");
    let text = world.lines("told").join("\n");
    assert!(text.starts_with("Review what came of it\n"), "{text}");
    for words in ["THE-SCHEMA-IS-X", &first, r#"{"spec":"CTX"}"#, "src/parse.rs", "area=ui", "at most 30m", "ask_human"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    world.stop_and_check_nothing_left();
}
