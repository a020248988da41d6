//! The life of an agent: it starts, shows its work, takes the next task and leaves. Tested with one agent, several, and
//! sixty.

use std::{thread, time::Duration};

use crate::common::{World, append, forever, gate, kill9};

#[test]
fn an_agent_starts_shows_its_work_takes_the_next_task_and_leaves() {
    let world = World::started("[roles.shell]\nmax = 1\nidle_timeout = \"1s\"");
    let first = world.delegate("shell", &format!("echo first words; {}; echo last words", gate(&world.file("go"))));
    let second = world.delegate("shell", "echo the second task");
    // The pane shows the task's text too, so only a whole line counts as output.
    let shows = |line: &str| world.pane("shell-1").lines().any(|l| l.trim_end() == line);
    world.wait_until("the pane shows the output immediately", || shows("first words"));
    assert!(!shows("last words"));
    let agent = world.agent("shell-1");
    assert_eq!((&agent["state"], agent["task"].as_str()), (&"busy".into(), Some(first.as_str())));
    world.touch("go");
    let shown = world.wait_for(&second, "succeeded");
    assert_eq!(shown["attempts"][0]["agent"], "shell-1");
    world.wait_until("the idle agent leaves", || world.agent("shell-1").is_null());
    world.wait_until("its session is closed", || !world.sessions().contains(&"shell-1".to_owned()));
    let starts = world.events_of("agent.starting").iter().filter(|e| e["agent"] == "shell-1").count();
    assert_eq!(starts, 1, "the same runner ran both tasks");
    world.stop_and_check_nothing_left();
}

#[test]
fn idle_agents_are_kept_ready_up_to_the_minimum() {
    let world = World::started("[roles.shell]\nmin = 2\nidle_timeout = \"100ms\"");
    let ready = || world.agents("shell").iter().filter(|a| a["state"] == "idle").count();
    world.wait_until("two agents are idle", || ready() == 2);
    let dead = world.runner_pid("shell-1");
    kill9(dead);
    world.wait_until("the dead agent is replaced", || {
        ready() == 2 && world.agents("shell").iter().all(|a| a["pid"] != dead)
    });
    world.stop_and_check_nothing_left();
}

#[test]
fn ctrl_c_in_the_pane_ends_the_attempt_and_not_the_agent() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "x"), forever()));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    let runner = world.runner_pid("shell-1");
    world.tmux(&["send-keys", "-t", "=shell-1:", "C-c"]).ok();
    let shown = world.wait_for(&task, "cancelled");
    assert!(shown["reason"].as_str().unwrap().contains("Ctrl-C"), "{shown:#}");
    assert_eq!(shown["attempts"][0]["cause"], "cancelled");
    // An idle runner only reports that nothing is running.
    world.wait_for_agent("shell-1", "idle");
    world.tmux(&["send-keys", "-t", "=shell-1:", "C-c"]).ok();
    world.wait_until("the pane reports that nothing is running", || {
        world.pane("shell-1").contains("nothing is running here")
    });
    let next = world.delegate("shell", "echo next");
    world.wait_for(&next, "succeeded");
    assert_eq!(world.runner_pid("shell-1"), runner);
    world.stop_and_check_nothing_left();
}

#[test]
fn sixty_agents_run_a_hundred_and_twenty_tasks_and_leave_nothing() {
    let world = World::builder()
        .supervisor("max_agents", "60")
        .supervisor("heartbeat", "\"2s\"")
        .supervisor("lease", "\"30s\"")
        .tables("[roles.shell]\nmax = 60")
        .build();
    world.start();
    let script = format!("{}; echo $ORCH_AGENT", gate(&world.file("go")));
    let tasks: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..30).map(|_| world.delegate("shell", &script)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let limit = Duration::from_secs(60);
    world.wait_until_within(limit, "all sixty agents are busy", || world.status()["tasks"]["running"] == 60);
    world.touch("go");
    world.wait_until_within(limit, "all tasks are done", || world.status()["tasks"]["succeeded"] == 120);
    for task in &tasks {
        assert_eq!(world.show(task)["attempts"].as_array().unwrap().len(), 1);
    }
    world.stop_and_check_nothing_left();
}
