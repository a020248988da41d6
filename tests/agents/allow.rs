//! A person allows a task what its program was refused: `orch approve --allow`.

use serde_json::json;

use crate::common::World;

/// A `claude` that was refused `npm test`, unless its arguments allow it.
const PROGRAM: &str = r#"echo "$*" >> "$HOME/called"
cat >> "$HOME/prompts"
denied='{"tool_name":"Bash","tool_input":{"command":"npm test"}}'
case "$*" in *'Bash(npm test:*)'*) denied=;; esac
echo '{"type":"system","subtype":"init","session_id":"S","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"It ran.","usage":{"input_tokens":1,"output_tokens":1},"permission_denials":['"$denied"']}'"#;

fn world() -> World {
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\" # mine\n").build();
    world.program("claude", PROGRAM);
    world.start();
    world
}

#[test]
fn a_refused_tool_is_allowed_to_one_task_which_is_retried_with_it() {
    let world = world();
    let (task, other) = (world.delegate("c", "test it"), world.delegate("c", "test it, too"));
    let held = world.wait_for(&task, "held");
    let how = format!("orch approve {task} --allow 'Bash(npm test)'");
    assert!(held["reason"].as_str().unwrap().contains(&how), "{held:#}");
    assert!(world.status()["attention"].to_string().contains(&how), "{}", world.status());
    let said = world.orch_json(&["approve", &task, "--allow", "Bash(npm test:*)"]);
    assert_eq!(
        (&said["tools"], &said["from"], &said["role"]),
        (&json!(["Bash(npm test:*)"]), &json!("held"), &json!(null))
    );
    let done = world.wait_for(&task, "succeeded");
    assert_eq!(done["allowed_tools"], json!(["Bash(npm test:*)"]));
    let prompts = world.lines("prompts").join("\n");
    for words in ["stopped because it needed a person", "a person has allowed you: Bash(npm test:*)"] {
        assert!(prompts.contains(words), "{words} in {prompts}");
    }
    world.wait_for(&other, "held");
    let events = world.orch(&["events", "-n", "100"]).ok();
    assert!(events.contains("Bash(npm test:*) allowed by a person"), "{events}");
}

#[test]
fn a_refused_tool_is_allowed_to_a_role_in_its_file_and_the_supervisor_reads_it() {
    let world = world();
    let task = world.delegate("c", "test it");
    world.wait_for(&task, "held");
    let said = world.orch(&["approve", &task, "--allow", "Bash(npm test:*)", "--role"]).ok();
    assert!(said.contains("role c may use Bash(npm test:*) without asking; the supervisor has read it"), "{said}");
    world.wait_for(&task, "succeeded");
    let file = std::fs::read_to_string(world.project.join("sessions.toml")).unwrap();
    assert!(file.contains("driver = \"claude\" # mine\nallowed_tools = [\"Bash(npm test:*)\"]"), "{file}");
    world.wait_for(&world.delegate("c", "once more"), "succeeded");
    let again = world.orch(&["approve", &task, "--allow", "Bash(npm test:*)", "--role"]).ok();
    assert!(again.contains("may use Bash(npm test:*) without asking already"), "{again}");
}

#[test]
fn what_cannot_be_allowed_is_refused_with_what_to_do() {
    let world = World::builder().tables("[roles.x]\ndriver = \"codex\"\n").build();
    world.program("codex", "exit 77");
    world.start();
    let (shell, codex) = (world.delegate("shell", "exit 77"), world.delegate("x", "work"));
    world.wait_for(&shell, "held");
    world.wait_for(&codex, "held");
    for (task, tool, code, words) in [
        (&codex, "Bash", 1, "set permission_mode under [roles.x] in sessions.toml, then: orch reload"),
        (&shell, "Bash", 1, "takes no list of allowed tools"),
        (&shell, "", 2, "is not a tool"),
    ] {
        let refused = world.orch(&["approve", task, "--allow", tool]);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.stderr.contains(words), "{words} in {}", refused.stderr);
    }
    let inside = world.delegate("shell", &format!("orch approve {codex} --allow Bash"));
    let ended = world.wait_for(&inside, "failed");
    assert!(ended["reason"].as_str().unwrap().contains("is for a person"), "{ended:#}");
}

#[test]
fn a_role_decides_with_which_account_its_program_works() {
    let tables = "[roles.l]\ndriver = \"claude\"\nauth = \"login\"\n[roles.k]\ndriver = \"claude\"\nauth = \"key\"\n\
                  [roles.none]\ndriver = \"codex\"\nauth = \"key\"";
    let mut world = World::builder().tables(tables).build();
    world.env.insert("ANTHROPIC_API_KEY", "sk-ant-none-0000000000000000000000000000".to_owned());
    let says = r#"echo '{"type":"system","subtype":"init","session_id":"S","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"'"${ANTHROPIC_API_KEY:+a key}"'.","usage":{"input_tokens":1,"output_tokens":1}}'"#;
    world.program("claude", &format!("cat > /dev/null\n{says}"));
    world.program("codex", "exit 1");
    world.start();
    let answer = |role: &str| world.wait_for(&world.delegate(role, "work"), "succeeded")["result"]["text"].clone();
    assert_eq!((answer("l"), answer("k")), (json!("."), json!("a key.")));
    let held = world.wait_for(&world.delegate("none", "work"), "held");
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.contains("auth = \"key\", and none of OPENAI_API_KEY, CODEX_API_KEY was set"), "{reason}");
}
