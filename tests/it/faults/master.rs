//! The master: its program or its session ends, and a supervisor is started from within its session.

use std::{fs, time::Duration};

use crate::common::{World, kill9};

#[test]
fn the_master_restarts_after_any_end() {
    let world = World::started("");
    let runner = world.runner_pid("opus-master");
    let console = || world.processes().into_iter().find(|p| p.parent == runner && p.command.contains(" console "));
    world.wait_until("the console runs", || console().is_some());
    let before = console();
    world.tmux(&["send-keys", "-t", "=opus-master:", "C-d"]).ok();
    world.wait_until("the console runs again after Ctrl-D", || console().is_some_and(|now| Some(now) != before));
    assert_eq!(world.runner_pid("opus-master"), runner);
    world.tmux(&["kill-session", "-t", "=opus-master"]).ok();
    let master_state = || world.agent("opus-master");
    world.wait_until("the closed session is opened again", || {
        master_state()["state"] == "idle" && master_state()["pid"] != runner
    });
    world.stop_and_check_nothing_left();
}

#[test]
fn a_master_program_that_ends_immediately_is_not_restarted_endlessly() {
    let world = World::new();
    let text = fs::read_to_string(world.project.join("sessions.toml")).unwrap();
    fs::write(world.project.join("sessions.toml"), text.replace("\"console\"", "\"claude\"")).unwrap();
    let starts = world.file("starts");
    world.program("claude", &format!("date +%s%N >> '{}'", starts.display()));
    world.start();
    world.wait_until_within(Duration::from_secs(60), "the program was started six times", || {
        world.lines("starts").len() >= 6
    });
    let at: Vec<u64> = world.lines("starts").iter().map(|line| line.parse().unwrap()).collect();
    let pause = Duration::from_nanos(at[5] - at[4]);
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_start_beside_the_master_in_its_session_works_normally() {
    let world = World::builder().users_own_server().master_driver("claude").tables("[roles.shell]\nmax = 1").build();
    world.program("claude", "exec sh -i");
    world.start();
    let master = world.runner_pid("opus-master");
    kill9(world.supervisor_pid());
    let type_line = |line: &str| {
        world.tmux(&["send-keys", "-t", "=opus-master:", line, "Enter"]).ok();
    };
    // Its program is an agent's, which starts nothing: the supervisor would be one of the agent's environment and choice.
    type_line("orch start");
    world.wait_until("it is refused", || world.pane("opus-master").contains("orch start is for a person"));
    let home = format!("ORCH_HOME={}", world.home.display());
    let orch = env!("CARGO_BIN_EXE_orch");
    world.tmux(&["split-window", "-d", "-t", "=opus-master:", "-e", &home, orch, "start"]).ok();
    world.wait_until("the supervisor runs again", || world.status()["supervisor"]["state"] == "running");
    let (supervisor, redis) = (world.supervisor_pid(), world.redis_pid());
    assert_eq!(world.runner_pid("opus-master"), master, "the new supervisor adopts it");

    let task = world.delegate("shell", "echo done");
    world.wait_for(&task, "succeeded");
    assert!(world.sessions().contains(&"shell-1".to_owned()), "on the same tmux server: {:?}", world.sessions());

    // The master's program ends together with every process it started.
    let shell = || world.processes().into_iter().find(|p| p.parent == master && p.command.starts_with("sh -i"));
    let before = shell();
    assert!(before.is_some());
    type_line("exit");
    world.wait_until("another shell runs", || shell().is_some_and(|now| Some(now) != before));
    assert_eq!((world.supervisor_pid(), world.redis_pid()), (supervisor, redis));
    world.stop_and_check_nothing_left();
}
