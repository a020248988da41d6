//! The boundaries of a project: its folder, its names, its tmux server.

use std::fs;

use crate::common::{World, start};

#[test]
fn an_empty_folder_is_enough() {
    let world = World::new();
    let folder = world.file("Fresh Start");
    fs::create_dir(&folder).unwrap();
    let orch = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.current_dir(&folder).env_remove("ORCH_HOME");
        // The user's own tmux server and state folder, of this test's user.
        command.env("TMUX_TMPDIR", &world.path).env("XDG_STATE_HOME", world.file("state"));
        // No agent CLI, whatever is installed here.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        start(command).end()
    };
    orch(&["start"]).ok();
    assert_eq!(orch(&["delegate", "--role", "shell", "--wait", "pwd"]).ok(), format!("{}\n", folder.display()));
    let status = orch(&["status", "--json"]).ended(0).json();
    let namespace = status["namespace"].as_str().unwrap();
    assert!(namespace.starts_with("fresh-start-"), "{namespace}");
    assert!(world.file("state").join("orch").join(namespace).is_dir());
    let mut tmux = world.command("tmux");
    tmux.env("TMUX_TMPDIR", &world.path).args(["list-sessions", "-F", "#{session_name}"]);
    let sessions = start(tmux).end().ok();
    assert!(sessions.lines().any(|name| name == "opus-master"), "tmux attach -t opus-master works: {sessions}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left in the folder");
    orch(&["stop"]).ok();
    world.wait_until("nothing is left", || world.processes().is_empty());
}

#[test]
fn a_role_that_was_written_after_the_start_waits_for_a_restart_and_status_says_so() {
    let world = World::started("");
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# a comment changes nothing\n{config}")).unwrap();
    assert_eq!(world.status()["attention"].to_string(), "[]");
    let role = "[roles.words]\ndriver = \"command\"\ncommand = [\"wc\", \"-w\"]\n";
    fs::write(&file, format!("{config}\n{role}")).unwrap();
    let id = world.delegate("words", "one two");
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("sessions.toml has changed since orch start"), "{attention}");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("sessions.toml has changed") && why.contains("orch stop, then: orch start"), "{why}");
    world.orch(&["stop"]).ok();
    world.start();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "2\n");
    assert_eq!(world.status()["attention"].to_string(), "[]");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_second_project_gets_a_masters_session_of_its_own_by_init() {
    let one = World::builder().users_own_server().build();
    one.start();
    let folder = one.file("second");
    fs::create_dir(&folder).unwrap();
    let orch = |words: &[&str]| {
        let mut command = one.orch_command(words);
        command.current_dir(&folder).env("ORCH_HOME", one.file("second-home"));
        // No agent CLI, whatever is installed here.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        start(command).end()
    };
    orch(&["init"]).ok();
    let written = fs::read_to_string(folder.join("sessions.toml")).unwrap();
    assert!(written.contains("session = \"second-"), "{written}");
    orch(&["start"]).ok();
    assert_eq!(one.sessions().len(), 2, "{:?}", one.sessions());
    // Now the usual name is free again for one's own, and the second project keeps what it wrote.
    orch(&["stop"]).ok();
    one.stop_and_check_nothing_left();
    fs::remove_file(folder.join("sessions.toml")).unwrap();
    orch(&["init"]).ok();
    assert!(!fs::read_to_string(folder.join("sessions.toml")).unwrap().contains("session = "), "nobody has the name");
}

#[test]
fn two_projects_of_one_name_leave_each_others_sessions_alone() {
    let one = World::new();
    one.start();
    let two = World::builder().socket(&one.socket).build();
    let refused = two.orch(&["start"]).ended(6);
    assert!(refused.stderr.contains("another project, w with another state folder (ORCH_HOME)"), "{refused:#?}");
    let file = two.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("[master]", "[master]\nsession = \"second-master\"")).unwrap();
    two.start();
    for (world, agent) in [(&one, "shell-1"), (&two, "shell-2")] {
        let id = world.delegate("shell", "echo $ORCH_AGENT");
        assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], format!("{agent}\n"), "a free name");
    }
    // Each supervisor looks at all sessions again and again, and at the end one more time.
    assert!(one.orch(&["attach", "shell-2"]).ended(2).stderr.contains("there is no agent shell-2"));
    two.orch(&["stop"]).ok();
    let left = ["opus-master", "shell-1"];
    assert_eq!(one.sessions(), left, "the other's sessions are not its own to close");
    assert_eq!(one.agent("shell-1")["state"], "idle");
    two.start();
    one.orch(&["stop"]).ok();
    assert_eq!(two.sessions(), ["second-master"]);
    two.stop_and_check_nothing_left();
}

#[test]
fn a_project_is_found_from_the_folders_below() {
    let world = World::started("");
    let below = world.project.join("a/b");
    fs::create_dir_all(&below).unwrap();
    let mut command = world.orch_command(&["delegate", "--wait", "pwd"]);
    command.current_dir(&below);
    assert_eq!(start(command).end().ok(), format!("{}\n", world.project.display()), "the role's folder");
    for named in [world.project.clone(), world.project.join("sessions.toml")] {
        let mut command = world.orch_command(&["status", "--config", named.to_str().unwrap()]);
        command.current_dir("/");
        start(command).end().ok();
    }
}

#[test]
fn two_projects_share_a_tmux_server_and_leave_each_other_alone() {
    let one = World::builder().name("one").build();
    one.start();
    let two = World::builder().name("two").socket(&one.socket).build();
    let refused = two.orch(&["start"]).ended(6);
    assert!(refused.stderr.contains("the master of another project, one"), "{refused:#?}");
    assert!(refused.stderr.contains("[master] session = \"two-master\""), "{refused:#?}");
    assert!(two.processes().is_empty());

    let file = two.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("[master]", "[master]\nsession = \"two-master\"")).unwrap();
    two.start();
    for (world, agent) in [(&one, "shell-1"), (&two, "shell-2")] {
        let id = world.delegate("shell", "echo $ORCH_AGENT");
        assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], format!("{agent}\n"), "a free name");
        assert_eq!(world.orch_json(&["tasks"]).as_array().unwrap().len(), 1);
    }
    two.orch(&["stop"]).ok();
    assert_eq!(one.agent("shell-1")["state"], "idle");
    assert!(!one.sessions().iter().any(|name| name == "two-master" || name == "shell-2"), "{:?}", one.sessions());
    one.stop_and_check_nothing_left();
}
