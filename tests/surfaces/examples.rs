//! Every example in `examples/` is read, is started, and runs a task in each of its roles.
//!
//! The agent programs are stand-ins that print what the real programs print. The real programs have their own tests, in
//! `tests/agents/real`.

use std::{fs, path::Path};

use crate::common::World;

/// With a prompt on standard input it answers as claude's print mode does; on a terminal it waits.
const CLAUDE: &str = r#"case " $* " in *" -p "*) ;; *) exec cat ;; esac
cat > /dev/null
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"by claude","session_id":"s"}'"#;
const CODEX: &str = r#"case "$1" in exec) ;; *) exec cat ;; esac
cat > /dev/null
echo '{"type":"thread.started","thread_id":"s"}'
echo '{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"by codex"}}'
echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}'"#;
const GEMINI: &str = r#"case " $* " in *" -o "*) ;; *) exec cat ;; esac
cat > /dev/null
echo '{"type":"init","session_id":"s","model":"m"}'
echo '{"type":"message","role":"assistant","content":"by gemini"}'
echo '{"type":"result","status":"success","stats":{}}'"#;

/// The roles that an example names, each with its driver and the answer that a task of it has.
fn roles(text: &str) -> Vec<(String, &'static str)> {
    let file: toml::Table = text.parse().expect("TOML");
    let answer = |role: &toml::Value| match role["driver"].as_str().expect("each role names its driver") {
        "claude" | "auto" => "by claude",
        "codex" => "by codex",
        "gemini" => "by gemini",
        "shell" => "by a script",
        "command" => "4",
        other => panic!("nothing stands in for {other} here"),
    };
    let roles = file["roles"].as_table().expect("roles");
    roles.iter().map(|(name, role)| (name.clone(), answer(role))).collect()
}

/// Runs one example in a world of its own, on what is there the user's own tmux server.
fn example(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("sessions.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let world = World::builder().users_own_server().build();
    fs::write(world.project.join("sessions.toml"), &text).unwrap();
    for (program, script) in [("claude", CLAUDE), ("codex", CODEX), ("gemini", GEMINI)] {
        world.program(program, script);
    }
    world.start();
    let roles = roles(&text);
    assert!(roles.len() > 2, "{name}");
    let tasks: Vec<_> = roles.iter().map(|(role, _)| world.delegate(role, "echo by a script")).collect();
    for ((role, answer), task) in roles.iter().zip(&tasks) {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!(shown["result"]["text"].as_str().map(str::trim), Some(*answer), "{name}, role {role}: {shown:#}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn claude_alone() {
    example("claude");
}

#[test]
fn a_mixed_fleet() {
    example("mixed");
}

#[test]
fn a_company_of_three_levels() {
    example("company");
}

/// Cargo builds every `examples/*.rs`; what lies here is configuration.
#[test]
fn each_example_has_its_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["claude", "company", "mixed"]);
}
