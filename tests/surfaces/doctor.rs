//! What `orch doctor` and `orch init` report about the agent programs on this machine.

use serde_json::json;

use crate::common::World;

#[test]
fn doctor_and_init_find_installed_programs() {
    let world = World::builder().tables("[roles.g]\ndriver = \"gemini\"\n[roles.x]\ndriver = \"codex\"").build();
    world.program("codex", "[ \"$*\" = --version ] && echo codex-cli 9.9.9");
    world.program("qwen", "echo node is too old >&2; exit 1");
    world.program("copilot", "echo 'GitHub Copilot CLI 9.0.1.'; echo \"Run 'copilot update'\"");
    world.program("gemini", "echo hello, I am somebody else");
    world.program("claude", "echo '1.0.44 (Claude Code)'");
    let doctor = world.orch(&["doctor", "--json"]).json();
    let check = |name: &str| {
        let found = doctor.as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {doctor:#}")).clone()
    };
    assert_eq!(check("agent codex")["state"], "ok");
    assert!(check("agent codex")["found"].as_str().unwrap().starts_with("9.9.9 at "));
    assert!(check("agent copilot")["found"].as_str().unwrap().starts_with("9.0.1 at "), "{doctor:#}");
    assert_eq!(check("role x")["state"], "ok");
    // What says no version may be anything, and a role is no better than its program.
    assert_eq!((&check("agent gemini")["state"], &check("role g")["state"]), (&json!("warning"), &json!("warning")));
    let found = check("agent gemini")["found"].as_str().unwrap().to_owned();
    assert!(found.contains("prints no version: \"hello, I am somebody else\""), "{found}");
    assert!(check("role g")["found"].as_str().unwrap().ends_with(": see agent gemini"), "{doctor:#}");

    assert_eq!(check("agent qwen")["state"], "warning");
    assert!(check("agent qwen")["found"].as_str().unwrap().contains("node is too old"), "{doctor:#}");

    assert_eq!(check("agent claude")["state"], "warning");
    assert!(check("agent claude")["found"].as_str().unwrap().contains("older than 2.1."), "{doctor:#}");
    assert_eq!(check("agent claude")["mend"], "update it: npm install -g @anthropic-ai/claude-code");

    let file = world.project.join("sessions.toml");
    world.orch(&["init", "--force"]).ok();
    let written = std::fs::read_to_string(file).unwrap();
    assert!(written.contains("[roles.codex]\ndriver = \"codex\"") && written.contains("[roles.qwen]"), "{written}");
}

#[test]
fn doctor_names_the_program_that_auto_stands_for() {
    let world = World::builder()
        .tables("[agents]\norder = [\"gemini\", \"claude\"]\n[roles.i]\ndriver = \"auto\"\nmode = \"interactive\"")
        .build();
    world.program("claude", "echo '9.1.0 (Claude Code)'");
    let role = || {
        let doctor = world.orch(&["doctor", "--json"]).json();
        doctor.as_array().unwrap().iter().find(|check| check["name"] == "role i").cloned().unwrap()
    };
    assert_eq!(role()["state"], "ok");
    world.program("gemini", "echo 9.61.0");
    assert_eq!(role()["state"], "error");
    assert!(
        role()["found"].as_str().unwrap().contains("sets mode, which gemini (the choice of auto) does not support"),
        "{}",
        role()
    );
}

#[test]
fn doctor_says_who_is_logged_in_and_what_is_billed() {
    let tables = "[roles.c]\ndriver = \"claude\"\nmodel = \"opus\"\n[roles.l]\ndriver = \"claude\"\nauth = \"login\"";
    let mut world = World::builder().tables(tables).build();
    world.program("claude", "echo '2.1.999 (Claude Code)'");
    let found = |world: &World, name: &str| {
        let doctor = world.orch(&["doctor", "--json"]).json();
        let check = doctor.as_array().unwrap().iter().find(|check| check["name"] == name).cloned();
        check.map(|check| (check["state"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned()))
    };
    let said = |world: &World, name: &str, words: &[&str]| {
        let (_, found) = found(world, name).unwrap_or_else(|| panic!("{name}"));
        assert!(words.iter().all(|word| found.contains(word)), "{name}: {words:?} in {found}");
    };
    said(&world, "agent claude", &["2.1.999 at ", "newer than 2.1.", "· not logged in"]);
    assert_eq!(found(&world, "login of claude").unwrap().0, "warning");

    let folder = world.path.join(".claude");
    std::fs::create_dir_all(&folder).unwrap();
    let login = json!({"claudeAiOauth": {"accessToken": "none", "subscriptionType": "max"}});
    std::fs::write(folder.join(".credentials.json"), login.to_string()).unwrap();
    said(&world, "agent claude", &["· logged in: Max"]);
    said(&world, "role c", &[", model opus, logged in: Max"]);
    assert_eq!(found(&world, "login of claude"), None);

    world.env.insert("ANTHROPIC_API_KEY", "sk-ant-none-0000000000000000000000000000".to_owned());
    said(&world, "agent claude", &["· ANTHROPIC_API_KEY is set and will be billed"]);
    said(
        &world,
        "login of claude",
        &["ANTHROPIC_API_KEY is set and will be billed, although it is also logged in: Max"],
    );
    said(&world, "role c", &["ANTHROPIC_API_KEY is set and will be billed"]);
    said(&world, "role l", &["logged in: Max"]);
}
