//! What an agent at work is not allowed to do.

use serde_json::json;

use super::{delegated, done, text};
use crate::common::{World, gate};

/// Runs a script as a task, and returns its output including errors.
fn output_of(world: &World, script: &str) -> String {
    let task = done(world, &["--retries", "0", &format!("exec 2>&1\n{script}")]);
    text(&task["result"]["text"])
}

#[test]
fn delegation_has_a_maximum_depth() {
    let world = World::builder().supervisor("max_depth", "2").build();
    world.start();
    let deeper = |script: &str| format!("orch delegate --wait - <<'E{}'\n{script}\nE{}\n", script.len(), script.len());
    let output =
        output_of(&world, &format!("{}exit 0", deeper(&deeper("orch delegate true; echo code $?; echo done"))));
    assert!(output.contains("done") && output.contains("code 1"), "{output}");
    let tasks = world.orch_json(&["tasks"]);
    assert_eq!(tasks.as_array().unwrap().len(), 3, "{tasks:#}");
    let deepest = tasks.as_array().unwrap().iter().find(|t| t["depth"] == 2).unwrap();
    let log = world.orch(&["logs", "--task", deepest["id"].as_str().unwrap()]).ok();
    assert!(log.contains("max_depth") && log.contains("2"), "{log}");
}

#[test]
fn a_task_has_a_maximum_number_of_open_subtasks() {
    let world = World::builder().supervisor("max_children", "2").build();
    world.start();
    world.orch(&["pause", "sonnet"]).ok();
    let script =
        "orch delegate --role sonnet a; orch delegate --role sonnet b; orch delegate --role sonnet c; echo code $?";
    let task = done(&world, &[&format!("exec 2>&1\n{script}")]);
    let output = text(&task["result"]["text"]);
    assert!(output.contains("max_children") && output.ends_with("code 1\n"), "{output}");
    let children: Vec<String> = task["children"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(children.len(), 2);
    // Ended subtasks do not count.
    let output = output_of(&world, "for i in 1 2 3 4; do orch delegate --wait \"echo $i\"; done");
    assert_eq!(output, "1\n2\n3\n4\n");
}

#[test]
fn a_role_delegates_only_to_the_roles_it_names() {
    let world = World::started(
        "[roles.sonnet]\ndriver = \"shell\"\ndelegates_to = [\"subagent\"]\n[roles.subagent]\ndriver = \"shell\"\ndelegates_to = []",
    );
    let script = "exec 2>&1\norch delegate --role shell true; echo code $?\n\
                  orch delegate --role subagent --wait 'exec 2>&1; orch delegate --role shell true; echo code $?'";
    let task = done(&world, &["--role", "sonnet", script]);
    let output = text(&task["result"]["text"]);
    assert!(output.contains("sonnet-1 may not delegate to shell: its role sonnet delegates to subagent"), "{output}");
    assert!(output.contains("its role subagent delegates to nobody"), "{output}");
    assert_eq!(output.matches("code 1").count(), 2, "{output}");
    assert_eq!(world.orch_json(&["tasks", "--role", "shell"]), json!([]));
}

#[test]
fn a_task_cannot_wait_for_itself_or_for_a_task_that_waits_for_it() {
    let world = World::started("");
    let output = output_of(
        &world,
        "orch wait $ORCH_TASK; echo code $?; orch delegate --wait --after $ORCH_TASK true; echo code $?",
    );
    assert_eq!(output.matches("code 1").count(), 2, "{output}");
    let output =
        output_of(&world, "export TOP=$ORCH_TASK; orch delegate --wait \"exec 2>&1; orch wait $TOP; echo code \\$?\"");
    assert!(output.contains("code 1"), "{output}");
    // A wait with a time limit would end, but is rejected immediately as well.
    let output = output_of(&world, "orch wait --timeout 1h $ORCH_TASK; echo code $?");
    assert!(output.contains("code 1"), "{output}");
}

#[test]
fn a_working_agent_may_only_delegate_and_wait() {
    let world = World::started("");
    let other = delegated(&world, &[&gate(&world.file("go"))]);
    let output = output_of(
        &world,
        &format!(
            "for words in stop start drain pause resume dismiss 'scale shell 1' 'spawn shell' 'kill shell-1' 'cancel {other}' \
             'retry {other}'; do orch $words >/dev/null; echo $words: $?; done"
        ),
    );
    assert_eq!(output.matches(": 1\n").count(), 11, "{output}");
    assert_eq!(world.show(&other)["state"], "running");
    let own = output_of(&world, "id=$(orch delegate --role sonnet nothing); orch cancel $id; orch show $id | head -1");
    assert!(own.contains("cancelled"), "it may cancel its own subtask: {own}");
    world.touch("go");
    world.wait_for(&other, "succeeded");
}

#[test]
fn what_an_agent_has_left_behind_is_no_person() {
    let world = World::started("");
    let [go, said] = ["go", "said"].map(|name| world.file(name).display().to_string());
    let left = format!(
        "until [ -e '{go}' ]; do sleep 0.05; done; unset ORCH_SOCKET; export ORCH_HOME='{}'; cd '{}'; \
         orch pause shell > '{said}.new' 2>&1; echo \"code $?\" >> '{said}.new'; mv '{said}.new' '{said}'",
        world.home.display(),
        world.project.display()
    );
    std::fs::write(world.file("left"), left).unwrap();
    let script = format!("setsid sh '{}' & {}", world.file("left").display(), gate(&world.file("never")));
    let task = delegated(&world, &["--role", "shell", &script]);
    world.wait_for(&task, "running");
    let runner = world.runner_pid("shell-1");
    // Nobody ends what the runner leaves, for now.
    crate::common::kill9(world.supervisor_pid());
    crate::common::kill9(runner);
    world.touch("go");
    world.wait_until("it has tried", || world.file("said").exists());
    let said = world.lines("said").join("\n");
    assert!(said.contains("which has ended") && said.ends_with("code 1"), "{said}");
    world.start();
    assert_eq!(world.status()["supervisor"]["paused_roles"], json!([]));
}

#[test]
fn an_agent_that_forgets_the_state_folder_starts_no_second_supervisor() {
    let world = World::started("[roles.sonnet]\ndriver = \"shell\"\ndelegates_to = []");
    let (project, state) = (world.project.display(), world.file("state"));
    let place = format!("PATH=\"$PATH\" HOME=\"$HOME\" XDG_STATE_HOME='{}'", state.display());
    for (verb, expected) in
        [("start", "orch start is for a person"), ("delegate --role shell x", "may not delegate to shell")]
    {
        for away in ["exec setsid -w", "setsid"] {
            let script = format!(
                "exec 2>&1; env -i {place} sh -c 'cd {project}; {away} orch {verb} > {0}/out 2>&1'; cat {0}/out",
                world.path.display()
            );
            let ended = done(&world, &["--role", "sonnet", "--retries", "0", &script]);
            let output = text(&ended["result"]["text"]);
            assert!(output.contains(expected), "{verb}: {output}");
        }
    }
    assert!(!state.exists(), "nothing was begun");
}

#[test]
fn what_the_environment_says_proves_nothing() {
    let world = World::started("[roles.sonnet]\ndriver = \"shell\"\ndelegates_to = []");
    let task = delegated(&world, &["--role", "sonnet", &gate(&world.file("go"))]);
    world.wait_for(&task, "running");
    let socket = world.home.join("sockets");
    let socket = std::fs::read_dir(socket).unwrap().flatten().map(|entry| entry.path());
    let socket = socket.filter(|path| path.extension().is_some_and(|end| end == "sock"));
    // A stranger that knows the sockets of all agents.
    for socket in socket {
        let mut stranger = world.orch_command(&["delegate", "x"]);
        stranger.env_remove("ORCH_HOME").env("ORCH_SOCKET", socket).env("ORCH_AGENT", "sonnet-1");
        let refused = crate::common::start(stranger).end().ended(3);
        assert!(refused.stderr.contains("does not answer"), "{refused:#?}");
    }
    // An agent that drops its socket, claims another role, or is given another file is still itself.
    let other = world.file("other.toml");
    let config = std::fs::read_to_string(world.project.join("sessions.toml")).unwrap();
    std::fs::write(&other, config.replace("delegates_to = []", "")).unwrap();
    let home = world.home.display();
    let (other, project) = (other.display(), world.project.display());
    for (n, claim) in [
        "unset ORCH_SOCKET ORCH_AGENT ORCH_ROLE ORCH_TASK ORCH_CAPABILITY".to_owned(),
        "export ORCH_ROLE=shell".to_owned(),
        format!("export ORCH_CONFIG='{other}' ORCH_HOME='{home}'"),
        format!("exec env -i PATH=\"$PATH\" ORCH_HOME='{home}' sh -c 'cd {project}; exec setsid -w orch delegate --role shell x'"),
    ]
    .iter()
    .enumerate()
    {
        let script = format!("exec 2>&1\nexport ORCH_HOME='{home}'; cd '{project}'; {claim}\norch delegate --role shell x");
        let ended = done(&world, &["--role", "sonnet", "--retries", "0", &script]);
        let output = text(&ended["result"]["text"]);
        assert!(output.contains("may not delegate to shell"), "{n}: {output}");
    }
    assert_eq!(world.orch_json(&["tasks", "--role", "shell"]), json!([]));
    world.touch("go");
}
