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
        // The default tmux server and state folder of this test's user.
        command.env("TMUX_TMPDIR", &world.path).env("XDG_STATE_HOME", world.file("state"));
        // The PATH excludes the agent CLIs of this machine.
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
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "the folder stays empty");
    orch(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_role_added_after_the_start_needs_a_reload_and_delegate_and_status_say_so() {
    let world = World::started("");
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# a comment changes nothing\n{config}")).unwrap();
    assert_eq!(world.status()["attention"].to_string(), "[]");
    let role = "[roles.words]\ndriver = \"command\"\ncommand = [\"wc\", \"-w\"]\n";
    fs::write(&file, format!("{config}\n{role}")).unwrap();
    let said = world.orch(&["delegate", "--role", "words", "one two"]).ended(0);
    assert!(said.stderr.contains("does not know words yet") && said.stderr.contains("orch reload"), "{said:?}");
    let id = said.stdout.trim().to_owned();
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("sessions.toml has changed since orch start"), "{attention}");
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("sessions.toml has changed") && why.contains("orch reload"), "{why}");
    world.orch(&["reload"]).ok();
    assert_eq!(world.wait_for(&id, "succeeded")["result"]["text"], "2\n");
    assert_eq!(world.status()["attention"].to_string(), "[]");
    world.stop_and_check_nothing_left();
}

#[test]
fn init_gives_a_second_project_its_own_master_session() {
    let one = World::builder().users_own_server().build();
    one.start();
    let folder = one.file("second");
    fs::create_dir(&folder).unwrap();
    let orch = |words: &[&str]| {
        let mut command = one.orch_command(words);
        command.current_dir(&folder).env("ORCH_HOME", one.file("second-home"));
        // The PATH excludes the agent CLIs of this machine.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        start(command).end()
    };
    orch(&["init"]).ok();
    let written = fs::read_to_string(folder.join("sessions.toml")).unwrap();
    assert!(written.contains("session = \"second-"), "{written}");
    orch(&["start"]).ok();
    assert_eq!(one.sessions().len(), 2, "{:?}", one.sessions());
    // The default name is free again for a new project, and the second project keeps its file.
    orch(&["stop"]).ok();
    one.stop_and_check_nothing_left();
    fs::remove_file(folder.join("sessions.toml")).unwrap();
    orch(&["init"]).ok();
    assert!(
        !fs::read_to_string(folder.join("sessions.toml")).unwrap().contains("session = "),
        "the default name is free"
    );
}

#[test]
fn two_projects_of_the_same_name_leave_each_others_sessions_alone() {
    let one = World::new();
    one.start();
    let two = World::builder().socket(&one.socket).build();
    two.start();
    for (world, agent) in [(&one, "shell-1"), (&two, "shell-2")] {
        let id = world.delegate("shell", "echo $ORCH_AGENT");
        assert_eq!(
            world.wait_for(&id, "succeeded")["result"]["text"],
            format!("{agent}\n"),
            "the agent gets a free name"
        );
    }
    // Each supervisor inspects all sessions repeatedly, and once more when it stops.
    assert!(one.orch(&["attach", "shell-2"]).ended(2).stderr.contains("there is no agent shell-2"));
    two.orch(&["stop"]).ok();
    let left = ["opus-master", "shell-1"];
    assert_eq!(one.sessions(), left, "it closes no session of the other project");
    assert_eq!(one.agent("shell-1")["state"], "idle");
    two.start();
    one.orch(&["stop"]).ok();
    assert_eq!(two.sessions(), ["w-master"]);
    two.stop_and_check_nothing_left();
}

#[test]
fn a_project_is_found_from_the_folders_below() {
    let world = World::started("");
    let below = world.project.join("a/b");
    fs::create_dir_all(&below).unwrap();
    let mut command = world.orch_command(&["delegate", "--wait", "pwd"]);
    command.current_dir(&below);
    assert_eq!(
        start(command).end().ok(),
        format!("{}\n", world.project.display()),
        "the task runs in the role's folder"
    );
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
    let started = two.orch(&["start"]).ok();
    assert!(started.contains("tmux attach") || started.contains("orch attach"), "{started}");
    assert!(started.contains("one has its master in the session opus-master"), "{started}");
    assert!(one.orch(&["start"]).ok().contains("two has its master in the session two-master"));
    assert_eq!(two.orch_json(&["status"])["agents"][0]["id"], "two-master");
    let three = World::builder().name("three").socket(&one.socket).build();
    let started = three.orch(&["start"]).ok();
    assert!(started.contains("one has its master") && !started.contains("two has"), "{started}");
    three.orch(&["stop"]).ok();
    for (world, agent) in [(&one, "shell-1"), (&two, "shell-2")] {
        let id = world.delegate("shell", "echo $ORCH_AGENT");
        assert_eq!(
            world.wait_for(&id, "succeeded")["result"]["text"],
            format!("{agent}\n"),
            "the agent gets a free name"
        );
        assert_eq!(world.orch_json(&["tasks"]).as_array().unwrap().len(), 1);
    }
    two.orch(&["stop"]).ok();
    assert_eq!(one.agent("shell-1")["state"], "idle");
    assert!(!one.sessions().iter().any(|name| name == "two-master" || name == "shell-2"), "{:?}", one.sessions());
    one.stop_and_check_nothing_left();
}

/// A folder with projects of a user who has written no sessions.toml.
fn orch_in<'a>(world: &'a World, folder: &'a std::path::Path) -> impl Fn(&[&str]) -> crate::common::Output + 'a {
    move |words| {
        let mut command = world.orch_command(words);
        command.current_dir(folder).env_remove("ORCH_HOME");
        command.env("TMUX_TMPDIR", &world.path).env("XDG_STATE_HOME", world.file("state"));
        // The PATH excludes the agent CLIs of this machine.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        start(command).end()
    }
}

#[test]
fn three_projects_start_without_any_configuration_and_are_listed() {
    let world = World::new();
    let folders = ["api", "web", "docs"].map(|name| world.file(name));
    folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let [api, web, docs] = &folders;
    let all = || {
        let list = orch_in(&world, api)(&["status", "--all", "--json"]).ended(0).json();
        let ours: Vec<serde_json::Value> = list.as_array().unwrap().clone();
        ours.into_iter().filter(|p| folders.iter().any(|f| p["folder"] == f.to_str().unwrap())).collect::<Vec<_>>()
    };
    let mut masters = Vec::new();
    for folder in &folders {
        let orch = orch_in(&world, folder);
        orch(&["start"]).ok();
        assert_eq!(orch(&["delegate", "--role", "shell", "--wait", "pwd"]).ok(), format!("{}\n", folder.display()));
        let status = orch(&["status", "--json"]).ended(0).json();
        let master = status["agents"].as_array().unwrap().iter().find(|a| a["master"] == true).unwrap().clone();
        masters.push((status["namespace"].as_str().unwrap().to_owned(), master["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(masters[0].1, "opus-master", "the first keeps the usual name");
    for (namespace, master) in &masters[1..] {
        assert_eq!(*master, format!("{namespace}-master"));
    }
    let listed = all();
    assert_eq!(listed.len(), 3, "{listed:#?}");
    for (namespace, master) in &masters {
        let project = listed.iter().find(|p| p["namespace"] == **namespace).unwrap();
        assert_eq!((&project["state"], &project["master"]), (&"running".into(), &(**master).into()), "{project}");
        assert_eq!((&project["agents"], &project["needs_person"]), (&2.into(), &0.into()), "{project}");
    }
    let page = orch_in(&world, web)(&["status", "--all"]).ok();
    assert!(page.contains("PROJECT") && masters.iter().all(|(name, _)| page.contains(name)), "{page}");

    // The second keeps its name while the usual one is free, because its tasks know it by that.
    orch_in(&world, api)(&["stop"]).ok();
    orch_in(&world, web)(&["stop"]).ok();
    orch_in(&world, web)(&["start"]).ok();
    let states = all();
    let state = |folder: &std::path::Path| {
        let project = states.iter().find(|p| p["folder"] == folder.to_str().unwrap()).unwrap();
        (project["state"].as_str().unwrap().to_owned(), project["master"].as_str().unwrap().to_owned())
    };
    assert_eq!(state(web), ("running".into(), masters[1].1.clone()));
    assert_eq!(state(api), ("stopped".into(), masters[0].1.clone()));
    for folder in [web, docs] {
        orch_in(&world, folder)(&["stop"]).ok();
    }
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_subfolder_of_a_repository_uses_the_project_that_runs_at_its_root() {
    let world = World::new();
    let (root, below) = (world.file("repository"), world.file("repository/src/deep"));
    fs::create_dir_all(&below).unwrap();
    let root_of = |folder: &std::path::Path| orch_in(&world, folder)(&["status", "--json"]).json()["namespace"].clone();
    let own = root_of(&below);
    orch_in(&world, &root)(&["start"]).ok();
    assert_eq!(root_of(&below), own, "without a repository, each folder is a project");
    fs::create_dir(root.join(".git")).unwrap();
    assert_ne!(root_of(&below), own);
    let printed = orch_in(&world, &below)(&["delegate", "--role", "shell", "--wait", "pwd"]).ok();
    assert_eq!(printed, format!("{}\n", root.display()));
    assert!(orch_in(&world, &below)(&["start"]).ok().contains("running already"));
    let nested = world.file("repository/vendored");
    fs::create_dir_all(nested.join(".git")).unwrap();
    assert_ne!(root_of(&nested), root_of(&root), "another repository is another project");
    orch_in(&world, &below)(&["stop"]).ok();
    assert_eq!(root_of(&below), own);
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn without_an_agent_program_english_is_refused_and_a_script_is_said_to_be_one() {
    let world = World::new();
    let folder = world.file("plain");
    fs::create_dir(&folder).unwrap();
    let orch = orch_in(&world, &folder);
    orch(&["start", "--paused"]).ok();
    let refused = crate::common::refused;
    refused(orch(&["delegate", "Fix the login page"]), 4, &["no agent program is installed", "--role shell"]);
    let answer = orch(&["delegate", "--json", "Explain"]).ended(4).json();
    assert!(answer["error"]["message"].as_str().unwrap().ends_with("there is no Explain"), "{answer}");
    fs::write(folder.join("prompts"), "true\nReview src/a.rs\n").unwrap();
    refused(orch(&["delegate", "--each", "prompts"]), 4, &["line 2 of prompts", "there is no Review"]);
    assert_eq!(orch(&["tasks", "--json"]).ended(0).json(), serde_json::json!([]), "nothing was accepted");
    // What a shell may be able to run is accepted, and said to be a script.
    let said = "the text runs as a shell script";
    assert!(orch(&["delegate", "echo 1"]).stderr.contains(said));
    let answer = orch(&["delegate", "--json", "echo 2"]).ended(0);
    assert!(answer.json()["note"].as_str().unwrap().contains(said) && answer.stderr.is_empty(), "{answer:?}");
    fs::write(folder.join("prompts"), "true\ntrue\n").unwrap();
    assert_eq!(orch(&["delegate", "--each", "prompts"]).stderr.matches(said).count(), 1);
    // A person who names the role knows.
    let chosen = orch(&["delegate", "--role", "shell", "Fix the login page"]);
    assert!(chosen.code == 0 && !chosen.stderr.contains("script"), "{chosen:?}");
    orch(&["stop"]).ok();
    world.wait_until("no process is left", || world.processes().is_empty());
}
