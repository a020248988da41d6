//! An edit of what another task or a person has locked (`on_collision`), as a program's hooks ask about it.

use serde_json::{Value, json};

use super::headless::{DONE, INIT, say};
use crate::common::{World, gate};

const ROLES: &str = "[roles.w]\ndriver = \"claude\"\n[roles.d]\ndriver = \"claude\"\non_collision = \"deny\"\n\
                     [roles.o]\ndriver = \"claude\"\non_collision = \"off\"\n[roles.shell]\nmax = 2";

/// A stand-in of claude that edits, and keeps what its hooks answer: one line per call, in a file per role.
const EDITS: &str = r#"
cat > /dev/null
tell() {
    printf '{"hook_event_name":"%s","cwd":"%s","tool_name":"Edit","tool_input":{"file_path":"%s"}}' "$1" "$PWD" "$2" |
        orch hook claude >> "told-$ORCH_AGENT"
    echo >> "told-$ORCH_AGENT"
}
tell PreToolUse link/api.rs
tell PostToolUse link/api.rs
tell PostToolUse link/api.rs
tell PostToolUse docs/api.md
tell PostToolUse /etc/passwd
"#;

/// What each of these calls has answered: what the model reads, or why the edit was refused.
fn told(world: &World, agent: &str) -> Vec<String> {
    let text = std::fs::read_to_string(world.project.join(format!("told-{agent}"))).expect("it was called");
    let read = |line: &str| {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        let said = &said["hookSpecificOutput"];
        let why = said["permissionDecisionReason"].as_str().map(|why| format!("denied: {why}"));
        why.or_else(|| said["additionalContext"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    text.lines().map(read).collect()
}

#[test]
fn the_model_reads_once_what_its_edit_collides_with_or_is_refused_each_time() {
    let world = World::builder().tables(ROLES).build();
    world.program("claude", &format!("{EDITS}{}", [INIT, DONE].map(say).concat()));
    std::fs::create_dir_all(world.project.join("src")).expect("a folder");
    std::os::unix::fs::symlink("src", world.project.join("link")).expect("a link");
    world.start();
    let hold = gate(&world.file("go"));
    let holder = world.orch(&["delegate", "--role", "shell", "--writes", "src/*.rs", &hold]).ok().trim().to_owned();
    world.wait_for(&holder, "running");

    let warned = world.delegate("w", "edit it");
    world.wait_for(&warned, "succeeded");
    let said = told(&world, "w-1");
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(said[1].contains("src/api.rs") && said[1].contains(&holder), "{said:#?}");
    for quiet in [0, 2, 3, 4] {
        assert_eq!(said[quiet], "", "{said:#?}");
    }
    let denied = world.delegate("d", "edit it");
    world.wait_for(&denied, "succeeded");
    let said = told(&world, "d-1");
    assert!(said[0].starts_with("denied: ") && said[0].contains(&holder), "{said:#?}");
    assert!(said[1..].iter().all(String::is_empty), "an edit that was made is none that was refused: {said:#?}");
    world.wait_for(&world.delegate("o", "edit it"), "succeeded");
    assert!(told(&world, "o-1").iter().all(String::is_empty));

    for (task, what) in [(&warned, "edits src/api.rs"), (&denied, "was kept from editing src/api.rs")] {
        let events = world.orch(&["events", "--json"]).ok();
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of_task = events.iter().filter(|event| event["kind"] == "lock.collision" && event["task"] == json!(task));
        let reasons: Vec<&str> = of_task.filter_map(|event| event["reason"].as_str()).collect();
        assert!(reasons.len() == 1 && reasons[0].contains(what), "{reasons:?}");
    }
    world.touch("go");
    world.wait_for(&holder, "succeeded");
    let free = world.delegate("d", "edit it");
    world.wait_for(&free, "succeeded");
    assert!(told(&world, "d-1").last().is_some_and(String::is_empty));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_does_not_collide_with_its_own_locks_or_those_above_it() {
    let world = World::builder().tables(ROLES).build();
    world.program("claude", &format!("{EDITS}{}", [INIT, DONE].map(say).concat()));
    std::fs::create_dir_all(world.project.join("src")).expect("a folder");
    std::os::unix::fs::symlink("src", world.project.join("link")).expect("a link");
    world.start();
    let own = world.orch(&["delegate", "--role", "d", "--writes", "src", "edit it"]).ok().trim().to_owned();
    world.wait_for(&own, "succeeded");
    let parent = "id=$(orch delegate --role w 'edit it') && orch wait $id";
    let above = world.orch(&["delegate", "--role", "shell", "--writes", "src", parent]).ok().trim().to_owned();
    world.wait_for(&above, "succeeded");
    for agent in ["d-1", "w-1"] {
        assert!(told(&world, agent).iter().all(String::is_empty), "{agent}: {:#?}", told(&world, agent));
    }
    world.stop_and_check_nothing_left();
}
