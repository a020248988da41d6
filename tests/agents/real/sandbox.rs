//! The real programs in a sandbox, as root and as an ordinary user: each logs in, runs a command, calls a tool of orch and
//! answers, with no network but the model service.

use std::fs;

use serde_json::json;

use super::fleet::Fleet;
use crate::{
    common::World,
    model_server::{Answer, Asked, Rule, Server, ToolCall, tool, when},
};

/// A user that owns nothing on this machine.
const ORDINARY: u32 = 61_234;

/// A program, and how it is asked to run a command and to call `get_status` of orch.
struct Program {
    name: &'static str,
    /// Further keys of its role.
    keys: &'static str,
    shell: fn(&str) -> Answer,
    status: fn() -> Answer,
}

const CLAUDE: Program = Program {
    name: "claude",
    keys: "permission_mode = \"bypassPermissions\"",
    shell: |command| tool("Bash", json!({"command": command})),
    status: || tool("mcp__orch__get_status", json!({})),
};
const CODEX: Program = Program {
    name: "codex",
    keys: "permission_mode = \"bypass\"",
    shell: |command| tool("exec_command", json!({"cmd": command})),
    status: || {
        let namespace = Some("mcp__orch".to_owned());
        Answer::Tools(vec![ToolCall { namespace, name: "get_status".to_owned(), input: json!({}) }])
    },
};
const GEMINI: Program = Program {
    name: "gemini",
    keys: "model = \"gemini-2.5-pro\"\npermission_mode = \"yolo\"",
    shell: |command| tool("run_shell_command", json!({"command": command})),
    status: || tool("mcp_orch_get_status", json!({})),
};
const OPENCODE: Program = Program {
    name: "opencode",
    keys: "model = \"scripted/model-1\"",
    shell: |command| tool("bash", json!({"command": command, "description": "runs it"})),
    status: || tool("orch_get_status", json!({})),
};

/// What the program runs: it writes to its folder, and looks for what it must not see.
const COMMAND: &str =
    "echo made > made.txt; cat ~/.ssh/id_ed25519 ~/notes; ls -A ~ | tr '\\n' ' '; echo; id -u; echo ran";

fn rules(program: &Program) -> Vec<Rule> {
    let (shell, status) = (program.shell, program.status);
    vec![
        when("make it").step(0).answer_by(move |asked: &Asked| match asked.tools.is_empty() {
            // Some programs also ask for a title.
            true => Answer::text("a title"),
            false => shell(COMMAND),
        }),
        when("make it").step(1).answer_by(move |_: &Asked| status()),
        when("make it").step(2).answer(Answer::text("It is made.")),
        when("").answer(Answer::text("a title")),
    ]
}

/// Starts a world of this user with a role `boxed` in a sandbox whose network is the model service.
fn boxed(program: &Program, user: Option<u32>) -> Option<Fleet> {
    let world = |model: &Server| {
        let address = model.url();
        let tables = format!(
            "[roles.boxed]\ndriver = \"{}\"\nsandbox = \"bwrap\"\nnetwork = [\"{}\"]\n{}\n",
            program.name,
            address.trim_start_matches("http://"),
            program.keys
        );
        World::builder().tables(&tables).user(user).build()
    };
    let fleet = Fleet::prepared(&[program.name], world, rules(program))?;
    for (name, text) in [(".ssh/id_ed25519", "the key"), ("notes", "the notes")] {
        let file = fleet.world.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    // opencode asks before it looks outside of its folder.
    let permission = json!({"permission": {"bash": "allow", "external_directory": "allow"}});
    fs::write(fleet.world.project.join("opencode.json"), permission.to_string()).unwrap();
    fleet.world.give_to_user();
    fleet.world.start();
    Some(fleet)
}

/// Runs the task as each user.
fn works(program: &Program) {
    let users: &[Option<u32>] = if nix::unistd::geteuid().is_root() { &[None, Some(ORDINARY)] } else { &[None] };
    for user in users {
        println!("{} as user {user:?}", program.name);
        let Some(fleet) = boxed(program, *user) else { return };
        let task = fleet.done("boxed", "make it");
        assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("It is made."), "{task:#}");
        assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "{task:#}");
        assert_eq!(fs::read_to_string(fleet.world.project.join("made.txt")).unwrap(), "made\n");
        let asked = fleet.model.asked();
        let results = |step: usize| -> String {
            asked.iter().filter(|asked| asked.step == step).flat_map(|asked| asked.results.clone()).collect()
        };
        let ran = results(1);
        assert!(ran.contains("ran") && !ran.contains("the key") && !ran.contains("the notes"), "{ran}");
        assert!(results(2).contains("boxed-1"), "the tool of orch returned the agents: {}", results(2));
        fleet.stop();
    }
}

#[test]
fn claude_works_in_a_sandbox() {
    works(&CLAUDE);
}

#[test]
fn codex_works_in_a_sandbox() {
    works(&CODEX);
}

#[test]
fn gemini_works_in_a_sandbox() {
    works(&GEMINI);
}

#[test]
fn opencode_works_in_a_sandbox() {
    works(&OPENCODE);
}
