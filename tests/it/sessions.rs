//! tmux sessions that orch did not create: they are never touched, and a name that is taken is a conflict or avoided.

use crate::common::World;

#[test]
fn the_masters_name_taken_by_a_persons_own_session_is_a_conflict() {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "opus-master", "cat"]).ok();
    let refused = world.orch(&["start"]).ended(6);
    assert!(refused.stderr.contains("opus-master") && refused.stderr.contains("kill-session"), "{refused:?}");
    world.check_nothing_left(&["opus-master"]);
    assert_eq!(world.pane("opus-master").trim(), "");
    world.tmux(&["kill-session", "-t", "=opus-master"]).ok();
    world.start();
    world.stop_and_check_nothing_left();
}

#[test]
fn another_namespace_with_the_same_session_is_a_conflict_and_touches_nothing() {
    // A name that both files give; a name that none gives is chosen so that it is free.
    let named = |world: &World| {
        let file = world.project.join("sessions.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("[master]", "[master]\nsession = \"desk\"")).unwrap();
    };
    let first = World::new();
    named(&first);
    first.start();
    let before = (first.supervisor_pid(), first.runner_pid("desk"));
    let second = World::builder().name("other").socket(&first.socket).build();
    named(&second);
    let refused = second.orch(&["start"]).ended(6);
    assert!(
        refused.stderr.contains("desk") && refused.stderr.contains("the master of another project, w"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("[master] session = \"other-master\""), "{refused:?}");
    second.wait_until("the failed start leaves no process", || second.processes().is_empty());
    assert_eq!(second.status()["supervisor"]["state"], "stopped");
    assert_eq!((first.supervisor_pid(), first.runner_pid("desk")), before);
    first.stop_and_check_nothing_left();
}

#[test]
fn a_persons_own_session_is_never_touched() {
    let world = World::new();
    world.tmux(&["new-session", "-d", "-s", "shell-1", "cat"]).ok();
    let pane = || world.tmux(&["list-panes", "-t", "=shell-1:", "-F", "#{pane_pid} #{pane_current_command}"]).ok();
    let before = pane();
    world.start();
    let task = world.delegate("shell", "echo hello");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["attempts"][0]["agent"], "shell-2");
    assert_eq!((pane(), world.pane("shell-1").trim()), (before.clone(), ""));
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&["shell-1"]);
    assert_eq!((pane(), world.pane("shell-1").trim()), (before, ""));
}

#[test]
fn a_session_that_takes_the_next_agent_name_is_avoided() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.tmux(&["new-session", "-d", "-s", "shell-1", "cat"]).ok();
    let task = world.delegate("shell", "echo hello");
    assert_eq!(world.wait_for(&task, "succeeded")["attempts"][0]["agent"], "shell-2");
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&["shell-1"]);
}
