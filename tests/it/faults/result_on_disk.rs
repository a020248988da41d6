//! A runner that dies after it has written its report, and before Redis has the result: the result counts, and the task
//! does not run again.

use std::{fs, time::Duration};

use super::{causes, real};
use crate::common::{Signal, World, append, forever, gate, kill9, signal};

/// The runner of shell-1, which has done a task; its pid is known before Redis stands still.
fn ready_runner(world: &World) -> u32 {
    let task = world.delegate("shell", ":");
    world.wait_for(&task, "succeeded");
    world.runner_pid("shell-1")
}

/// A task that has written its report and could not tell it: Redis stands still.
fn untold(world: &World) -> String {
    let ran = append(&world.file("ran"), "x");
    let task = world.delegate("shell", &format!("{ran}; {}; echo precious", gate(&world.file("go"))));
    world.wait_until("it runs", || world.lines("ran").len() == 1);
    signal(world.redis_pid(), Signal::SIGSTOP);
    world.touch("go");
    let reports = || std::fs::read_dir(world.home.join("reports")).unwrap().flatten().collect::<Vec<_>>();
    let is_report = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|x| x == "json");
    world.wait_until_within(Duration::from_secs(20), "the report is on disk", || reports().iter().any(is_report));
    task
}

fn told_and_not_run_again(world: &World, task: &str) {
    let shown = world.wait_for(task, "succeeded");
    assert_eq!(shown["result"]["text"], "precious\n");
    assert_eq!((causes(&shown), world.lines("ran").len()), (vec!["success"], 1));
    let reports = std::fs::read_dir(world.home.join("reports")).unwrap().count();
    assert_eq!(reports, 0, "a report that was heard is filed");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_result_on_disk_is_told_in_the_dead_runners_place() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let task = untold(&world);
    kill9(runner);
    kill9(world.redis_pid());
    told_and_not_run_again(&world, &task);
}

#[test]
fn a_result_on_disk_is_told_by_the_next_supervisor() {
    let world = World::started("[roles.shell]\nmax = 1");
    let runner = ready_runner(&world);
    let supervisor = world.supervisor_pid();
    let task = untold(&world);
    kill9(supervisor);
    kill9(runner);
    kill9(world.redis_pid());
    world.start();
    told_and_not_run_again(&world, &task);
}

/// The supervisor has read that an agent is idle; before it looks at the agent's process, that one has claimed a task,
/// written its result and died.
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
    world.wait_until("the supervisor is between two looks", || hangs.exists());
    let script = format!("echo $ORCH_CAPABILITY $ORCH_INCARNATION > '{}'; {}", world.file("who").display(), forever());
    let task = world.delegate("shell", &script);
    world.wait_until("it runs", || world.lines("who").len() == 1);
    let who = world.lines("who").remove(0);
    let (_, incarnation) = who.split_once(' ').unwrap();
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
