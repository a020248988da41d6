//! A runner that dies after it has written its report, and before Redis has the result: the result counts, and the task
//! does not run again.

use std::{fs, time::Duration};

use super::{causes, real};
use crate::common::{Signal, World, append, forever, gate, kill9, signal};

/// Returns the pid of shell-1's runner, which has completed a task. It is read before Redis is stopped.
fn ready_runner(world: &World) -> u32 {
    let task = world.delegate("shell", ":");
    world.wait_for(&task, "succeeded");
    world.runner_pid("shell-1")
}

/// Delegates a task whose result is on disk but not sent, because Redis is stopped.
fn task_with_unsent_result(world: &World) -> String {
    let ran = append(&world.file("ran"), "x");
    let task = world.delegate("shell", &format!("{ran}; {}; echo precious", gate(&world.file("go"))));
    world.wait_until("the task runs", || world.lines("ran").len() == 1);
    signal(world.redis_pid(), Signal::SIGSTOP);
    world.touch("go");
    let reports = || std::fs::read_dir(world.home.join("reports")).unwrap().flatten().collect::<Vec<_>>();
    let is_report = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "json");
    world.wait_until_within(Duration::from_secs(20), "the report is on disk", || reports().iter().any(is_report));
    task
}

fn assert_reported_without_another_run(world: &World, task: &str) {
    let shown = world.wait_for(task, "succeeded");
    assert_eq!(shown["result"]["text"], "precious\n");
    assert_eq!((causes(&shown), world.lines("ran").len()), (vec!["success"], 1));
    let reports = std::fs::read_dir(world.home.join("reports")).unwrap().count();
    assert_eq!(reports, 0, "an acknowledged report is filed");
    world.stop_and_check_nothing_left();
}

#[test]
fn the_supervisor_reports_a_result_on_disk_for_a_dead_runner() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let task = task_with_unsent_result(&world);
    kill9(runner);
    kill9(world.redis_pid());
    assert_reported_without_another_run(&world, &task);
}

#[test]
fn the_next_supervisor_reports_a_result_on_disk() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let supervisor = world.supervisor_pid();
    let task = task_with_unsent_result(&world);
    kill9(supervisor);
    kill9(runner);
    kill9(world.redis_pid());
    world.start();
    assert_reported_without_another_run(&world, &task);
}

/// The supervisor has read that an agent is idle. Before it checks the agent's process, the agent claims a task, writes
/// its result and dies.
#[test]
fn a_result_on_disk_counts_also_for_an_agent_that_was_idle_a_moment_ago() {
    let world = World::builder().tables("[roles.shell]\nmax = 1\nmin = 1").build();
    let (slow, hangs) = (world.file("slow"), world.file("hangs"));
    world.program(
        "tmux",
        &format!(
            "case \"$*\" in *list-*)\n if [ -e '{slow}' ]; then echo x >> '{hangs}'; while [ -e '{slow}' ]; do sleep 0.05; done; fi;;\n\
             esac\nexec '{tmux}' \"$@\"",
            tmux = real(&["tmux"]).display(),
            slow = slow.display(),
            hangs = hangs.display()
        ),
    );
    world.start();
    world.wait_for_agent("shell-1", "idle");
    let runner = world.runner_pid("shell-1");
    world.touch("slow");
    world.wait_until("the supervisor is between reading the agent and checking its process", || hangs.exists());
    let script =
        format!("echo $ORCH_CAPABILITY $ORCH_INCARNATION > '{}'; {}", world.file("identity").display(), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("the task runs", || world.lines("identity").len() == 1);
    let identity = world.lines("identity").remove(0);
    let (_, incarnation) = identity.split_once(' ').unwrap();
    let fence = world.show(&task)["attempts"][0]["fence"].clone();
    let report = serde_json::json!({
        "task": task, "attempt": 1, "agent": "shell-1", "incarnation": incarnation, "fence": fence,
        "cause": "success", "reason": "it is done", "exit_code": 0, "delay_ms": 0,
        "result": {"text": "precious", "exit_code": 0, "data": null, "usage": null, "duration_ms": 1,
                   "truncated": false, "path": ""},
    });
    fs::write(world.home.join(format!("reports/{task}.1.json")), report.to_string()).unwrap();
    kill9(runner);
    fs::remove_file(&slow).unwrap();
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!((causes(&shown), &shown["result"]["text"]), (vec!["success"], &"precious".into()));
    world.stop_and_check_nothing_left();
}
