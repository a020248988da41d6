//! An invalid sessions.toml: every command ends with exit code 4 and names the line and the key.

use std::fs;

use super::{config, write_config};
use crate::common::{World, refused};

/// Every verb that reads sessions.toml, with valid arguments.
const VERBS: &[&[&str]] = &[
    &["start"],
    &["stop"],
    &["status"],
    &["status", "--watch"],
    &["attach"],
    &["delegate", "x"],
    &["wait", "t-7k2m9qx4hz"],
    &["result", "t-7k2m9qx4hz"],
    &["tasks"],
    &["show", "shell-1"],
    &["why", "shell-1"],
    &["cancel", "t-7k2m9qx4hz"],
    &["retry", "t-7k2m9qx4hz"],
    &["logs"],
    &["logs", "-f"],
    &["events"],
    &["events", "-f"],
    &["agents"],
    &["spawn", "shell"],
    &["kill", "shell-1"],
    &["scale", "shell", "1"],
    &["pause"],
    &["drain"],
    &["resume"],
    &["dismiss"],
    &["doctor"],
    &["supervise"],
    &["console"],
];

#[test]
fn each_error_names_the_line_the_key_and_the_likely_intent() {
    let world = World::new();
    for (text, expected) in [
        ("[supervisor]\nheartbeat = ", &[":2:", "not valid TOML"][..]),
        ("name = \"a\nb\"", &[":1:"]),
        ("[roles.shell\nmax = 1", &[":1:"]),
        ("[supervisor]\nheartbaet = \"5s\"", &[":2:", "supervisor.heartbaet", "did you mean heartbeat?"]),
        ("[superviser]\nlease = \"5s\"", &[":1:", "superviser", "did you mean supervisor?"]),
        ("\n\n[roles.shell]\nmaxx = 3", &[":4:", "roles.shell.maxx", "did you mean max?"]),
        ("[roles.shell]\nmax = \"three\"", &[":2:", "roles.shell.max must be a whole number"]),
        ("[roles.shell]\nmax = -1", &[":2:", "roles.shell.max"]),
        ("[roles.shell]\nenv_from = \"TOKEN\"", &[":2:", "roles.shell.env_from", "list"]),
        ("[roles.shell]\ndriver = \"shel\"", &[":2:", "roles.shell.driver", "did you mean 'shell'?"]),
        ("[roles.shell]\ntask_timeout = \"30\"", &[":2:", "roles.shell.task_timeout", "90s"]),
        ("[roles.shell]\ntask_timeout = 30", &[":2:", "roles.shell.task_timeout", "30s"]),
        ("[roles.shell]\nmin = 3\nmax = 2", &[":3:", "roles.shell.max", "less than min (3)"]),
        ("[master]\ndefault_role = \"sonett\"", &[":2:", "master.default_role", "did you mean 'sonnet'?"]),
        ("[roles.a]\ncommand = [\"a\"]\ndelegates_to = [\"b\"]", &[":3:", "roles.a.delegates_to", "'b'"]),
        (
            "[roles.a]\ncommand = [\"a\"]\ndelegates_to = [\"b\"]\n[roles.b]\ncommand = [\"b\"]\ndelegates_to = [\"a\"]",
            &["roles.a.delegates_to", "cycle", "a (line 3) -> b (line 6) -> a"],
        ),
        ("[roles.a]\ndriver = \"command\"", &[":2:", "roles.a.command", "missing"]),
        ("[roles.Big_Name]\n", &[":1:", "Big_Name"]),
        ("[redis]\nurl = \"http://x\"", &[":2:", "redis.url"]),
        ("[supervisor]\nheartbeat = \"20s\"\nlease = \"30s\"", &[":3:", "supervisor.lease", "two heartbeats"]),
    ] {
        write_config(&world, text);
        let output = refused(world.orch(&["status"]), 4, expected);
        assert!(output.stderr.contains("sessions.toml:"), "{output:#?}");
    }
    // All errors are reported together, in the order of the file.
    write_config(&world, "x = 1\n[roles.shell]\nmax = 0\nmaxx = 1\n");
    let all = refused(world.orch(&["status"]), 4, &[":1:", ":3:", ":4:", "correct these 3 places"]);
    assert!(all.stderr.find(":1:") < all.stderr.find(":3:") && all.stderr.find(":3:") < all.stderr.find(":4:"));
}

#[test]
fn every_verb_reports_it_and_changes_nothing() {
    let world = World::new();
    write_config(&world, "[roles.shell]\nmaxx = 3\n");
    for words in VERBS {
        refused(world.orch(words), 4, &["sessions.toml:2:", "roles.shell.maxx"]);
        if words == &["supervise"] || words == &["console"] {
            continue;
        }
        let json = world.orch(&[words, &["--json"][..]].concat()).ended(4);
        assert_eq!(
            (json.json()["error"]["kind"].as_str(), json.stderr.as_str()),
            (Some("configuration"), ""),
            "{words:?}"
        );
        assert!(json.json()["error"]["message"].as_str().unwrap().contains(":2:"), "{words:?}");
    }
    assert!(!world.home.exists(), "nothing is created");
    assert!(world.processes().is_empty());
    // These verbs need no configuration.
    for words in [&["--help"][..], &["--version"], &["completions", "bash"]] {
        world.orch(words).ok();
    }
    write_config(&world, "");
    fs::remove_file(world.project.join("sessions.toml")).unwrap();
    world.orch(&["status"]).ended(3);
}

#[test]
fn a_file_that_becomes_invalid_while_orch_runs_keeps_no_verb_from_working_that_does_not_read_it() {
    let world = World::started("[roles.words]\ndriver = \"command\"\ncommand = [\"wc\", \"-w\"]\n");
    let good = config(&world);
    let held_up = world.delegate("shell", &format!("{}; echo done", crate::common::gate(&world.file("go"))));
    world.wait_for(&held_up, "running");
    for (wrong, why) in [
        (good.replace("[roles.opus]", "[roles.opus"), "sessions.toml:"),
        (good.replace("lease =", "laese ="), "supervisor.laese"),
    ] {
        write_config(&world, &wrong);
        let said = world.orch(&["delegate", "--role", "words", "--wait", "one two"]).ended(0);
        assert_eq!(said.stdout.trim(), "2", "what the supervisor has loaded counts: {said:?}");
        assert!(
            said.stderr.contains(why) && said.stderr.contains("uses the configuration that the supervisor has read"),
            "{said:?}"
        );
        assert_eq!(said.stderr.trim_end().lines().count(), 1, "{said:?}");
        for words in [&["tasks"][..], &["show", &held_up], &["why", &held_up], &["agents"], &["events"], &["logs"]] {
            assert!(world.orch(words).ended(0).stderr.contains(why), "{words:?}");
        }
        let status = world.orch(&["status", "--json"]).ended(0).json();
        assert_eq!(status["supervisor"]["state"], "running");
        let attention = &status["attention"][0];
        assert_eq!(attention["kind"], "configuration", "{status:#}");
        assert!(attention["what"].as_str().unwrap().contains(why), "{status:#}");
        for words in [&["start"][..], &["restart"], &["reload"], &["reload", "--dry-run"]] {
            let said = refused(world.orch(words), 4, &[why]);
            assert_eq!(said.stderr.matches("sessions.toml:").count(), 1, "the mistake is named once: {said:?}");
        }
        let doctor = world.orch(&["doctor"]).ended(4);
        assert!(doctor.stdout.contains(why), "{doctor:?}");
    }
    // Another project is not taken for this one.
    let other = world.file("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("sessions.toml"), "name = ").unwrap();
    let mut command = world.orch_command(&["stop"]);
    command.current_dir(&other);
    refused(crate::common::start(command).end(), 4, &["sessions.toml:"]);
    world.touch("go");
    assert_eq!(world.wait_for(&held_up, "succeeded")["result"]["text"], "done\n");
    world.stop_and_check_nothing_left();
    let history = world.orch(&["tasks", "--json"]).ended(0).json();
    assert_eq!(history.as_array().unwrap().len(), 3, "what is recorded can be read, too");
}

#[test]
fn a_project_is_found_by_its_wrong_file_where_no_variable_names_its_state_folder() {
    let world = World::new();
    let orch = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.env_remove("ORCH_HOME").env("XDG_STATE_HOME", world.file("state"));
        crate::common::start(command).end()
    };
    orch(&["start"]).ok();
    write_config(&world, &config(&world).replace("name = \"w\"", "nmae = \"w\""));
    assert_eq!(orch(&["status", "--json"]).ended(0).json()["namespace"], "w");
    let all = orch(&["status", "--all", "--json"]).ended(0).json();
    let ours = all.as_array().unwrap().iter().find(|one| one["is_this"] == true).unwrap().clone();
    assert_eq!((&ours["state"], &ours["agents"]), (&"running".into(), &1.into()), "{ours}");
    orch(&["stop"]).ended(0);
    world.wait_until("no process is left", || world.processes().is_empty());

    // A project that was started without a file, and gets a wrong one.
    let plain = world.file("plain");
    fs::create_dir(&plain).unwrap();
    let orch = |words: &[&str]| {
        let mut command = world.orch_command(words);
        command.current_dir(&plain).env_remove("ORCH_HOME").env("XDG_STATE_HOME", world.file("state"));
        crate::common::start(command).end()
    };
    orch(&["start"]).ok();
    fs::write(plain.join("sessions.toml"), "[roles.shell\nmax = = 3\n").unwrap();
    assert_eq!(orch(&["status", "--json"]).ended(0).json()["supervisor"]["state"], "running");
    let stopped = orch(&["stop"]).ended(0);
    assert!(stopped.stderr.contains("not valid TOML"), "{stopped:?}");
    world.wait_until("no process is left", || world.processes().is_empty());
}

#[test]
fn a_named_file_that_does_not_exist_is_reported() {
    let world = World::new();
    for (flag, by) in [(true, "--config"), (false, "ORCH_CONFIG")] {
        for (path, why) in [("/nowhere/x.toml", "does not exist"), ("/dev/null/x", "/dev/null/x")] {
            let mut command = match flag {
                true => world.orch_command(&["status", "--config", path]),
                false => world.orch_command(&["status"]),
            };
            if !flag {
                command.env("ORCH_CONFIG", path);
            }
            refused(crate::common::start(command).end(), 4, &[path, by, why]);
        }
    }
}

#[test]
fn unknown_names_are_usage_errors_with_suggestions() {
    let world = World::started("");
    for (words, expected) in [
        (&["delegate", "--role", "shel", "x"][..], &["'shel'", "did you mean 'shell'?"][..]),
        (&["spawn", "sonett"], &["'sonett'", "sonnet"]),
        (&["scale", "nobody", "2"], &["'nobody'"]),
        (&["pause", "nobody"], &["'nobody'"]),
        (&["resume", "nobody"], &["'nobody'"]),
        (&["tasks", "--role", "nobody"], &["'nobody'"]),
        (&["show", "t-7k2m9qx4hz"], &["no task t-7k2m9qx4hz", "orch tasks"]),
        (&["why", "t-7k2m9qx4hz"], &["no task t-7k2m9qx4hz"]),
        (&["wait", "t-7k2m9qx4hz"], &["no task t-7k2m9qx4hz"]),
        (&["retry", "t-7k2m9qx4hz"], &["no task t-7k2m9qx4hz"]),
        (&["show", "shell-7"], &["no agent shell-7"]),
        (&["attach", "shell-7"], &["no agent shell-7"]),
        (&["kill", "shell-7"], &["no agent shell-7"]),
        (&["show", "T-7K2"], &["'T-7K2'", "neither"]),
        (&["wait", "t-short"], &["t-short"]),
        (&["delegate", "--priority", "urgent", "x"], &["urgent", "low, normal, high"]),
        (&["delegate", "--timeout", "90", "x"], &["90", "90s"]),
        (&["delegate", "--timeout", "0s", "x"], &["limit of 0"]),
        (&["delegate", "--retries", "-1", "x"], &["-1"]),
        (&["delegate", "--context", "{", "x"], &["--context", "it is not JSON"]),
        (&["delegate", "--context", "@/nowhere", "x"], &["/nowhere"]),
        (&["delegate", "--label", "noequals", "x"], &["noequals"]),
        (&["delegate", "--cwd", "/nowhere", "x"], &["/nowhere"]),
        (&["delegate", "--key", "", "x"], &["key is empty"]),
        (&["delegate", ""], &["no text"]),
        (&["delegate", "--role", "opus", "x"], &["role opus", "takes no tasks"]),
    ] {
        refused(world.orch(words), 2, expected);
    }
    assert_eq!(world.orch_json(&["tasks"]), serde_json::json!([]), "no task is accepted");
}
