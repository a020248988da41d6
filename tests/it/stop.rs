//! `orch stop` leaves no process, session or lock, whatever state it finds, and loses no task.

use std::fs;

use crate::common::{Signal, World, append, forever, gate, kill9, signal};

/// A task that ignores signals, and has children that also leave its session.
const STUBBORN: &str = "trap '' TERM HUP INT\n\
    setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' &\n\
    (setsid nohup sleep 76543 >/dev/null 2>&1 &)\n\
    while :; do sleep 1; done";

fn stubborn_child_runs(world: &World) -> bool {
    world.processes().iter().any(|p| p.command.contains("sleep 76543"))
}

#[test]
fn stop_ends_stubborn_programs_and_counts_no_failure() {
    let world = World::started("[roles.shell]\nmax = 2");
    let stubborn = world.delegate("shell", &format!("[ $ORCH_ATTEMPT = 2 ] && exit\n{STUBBORN}"));
    let stopped =
        world.delegate("shell", &format!("{}; {}", append(&world.file("ran"), "$$"), gate(&world.file("go"))));
    let ready = world.delegate("shell", "echo ready");
    world.wait_until("both tasks run", || stubborn_child_runs(&world) && world.lines("ran").len() == 1);
    signal(world.lines("ran")[0].parse().unwrap(), Signal::SIGSTOP);
    assert_eq!(world.runners().len(), 3, "the master and two agents");
    world.stop_and_check_nothing_left();

    world.touch("go");
    world.start();
    for task in [&stubborn, &stopped, &ready] {
        assert_eq!(world.wait_for(task, "succeeded")["lost"], 0);
    }
    assert_eq!(world.show(&stubborn)["attempts"][0]["cause"], "lost");
    world.stop_and_check_nothing_left();
}

#[test]
fn stop_works_without_a_supervisor() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.delegate("shell", STUBBORN);
    world.wait_until("the task runs", || stubborn_child_runs(&world));
    kill9(world.supervisor_pid());
    world.stop_and_check_nothing_left();
}

#[test]
fn stop_works_without_redis() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &format!("[ $ORCH_ATTEMPT = 2 ] && exit\n{STUBBORN}"));
    world.wait_until("the task runs", || stubborn_child_runs(&world));
    kill9(world.redis_pid());
    world.stop_and_check_nothing_left();
    world.start();
    assert_eq!(world.wait_for(&task, "succeeded")["lost"], 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn stop_after_the_death_of_every_process_ends_the_orphans() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.delegate("shell", STUBBORN);
    world.wait_until("the task runs", || stubborn_child_runs(&world));
    let runners = [world.runner_pid("shell-1"), world.runner_pid("opus-master")];
    let pids = [[world.supervisor_pid(), world.redis_pid()], [world.tmux_server_pid(), runners[0]], [runners[1]; 2]];
    for pid in &pids.concat()[..5] {
        signal(*pid, Signal::SIGSTOP);
    }
    for pid in &pids.concat()[..5] {
        kill9(*pid);
    }
    assert!(stubborn_child_runs(&world), "the stubborn child is still alive");
    world.stop_and_check_nothing_left();
}

#[test]
fn draining_lets_running_tasks_and_their_subtasks_finish() {
    let world = World::started("[roles.shell]\nmax = 1\n[roles.helper]\ndriver = \"shell\"\nmax = 1");
    let subtask = format!("{}; {}; echo from below", append(&world.file("sub"), "x"), gate(&world.file("go")));
    let gate_first = gate(&world.file("first"));
    let parent = world.delegate(
        "shell",
        &format!("{gate_first}; cat > sub.sh <<'EOF'\n{subtask}\nEOF\norch delegate --role helper --wait - < sub.sh"),
    );
    world.wait_until("the task runs", || world.show(&parent)["state"] == "running");
    let left = world.delegate("shell", "echo later");
    let mut stop = world.orch_started(&["stop", "--drain"]);
    world.wait_until("the supervisor drains", || world.status()["supervisor"]["accepting"] == false);
    // The subtask is delegated during the drain, and needs an agent that is not started yet.
    world.touch("first");
    world.wait_until("the subtask runs", || world.lines("sub").len() == 1);
    assert!(!stop.has_ended());
    assert_eq!(world.show(&left)["state"], "ready");
    world.touch("go");
    stop.end().ok();
    world.check_nothing_left(&[]);

    world.start();
    let shown = world.show(&parent);
    assert_eq!((&shown["state"], shown["attempts"].as_array().unwrap().len()), (&"succeeded".into(), 1), "{shown:#}");
    assert!(shown["result"]["text"].as_str().unwrap().contains("from below"), "{shown:#}");
    world.wait_for(&left, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_drain_that_takes_too_long_becomes_a_stop() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", STUBBORN);
    world.wait_until("the task runs", || stubborn_child_runs(&world));
    world.orch(&["stop", "--drain", "--timeout", "300ms"]).ok();
    world.check_nothing_left(&[]);
    world.start();
    assert_eq!(world.show(&task)["lost"], 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn stop_may_be_repeated_and_history_is_kept() {
    let world = World::started("");
    let task = world.delegate("shell", "echo remembered");
    let before = world.wait_for(&task, "succeeded");
    let stops: Vec<_> = (0..3).map(|_| world.orch_started(&["stop"])).collect();
    for stop in stops {
        stop.end().ok();
    }
    world.check_nothing_left(&[]);
    assert_eq!(world.orch_json(&["stop"])["stopped"], false);
    let refused = world.orch(&["retry", &task]).ended(3);
    assert!(refused.stderr.contains("orch start"), "{refused:?}");
    let shown = world.orch(&["show", &task]).ended(0);
    assert!(shown.stdout.contains("remembered") && shown.stderr.contains("orch is stopped"), "{shown:?}");
    world.check_nothing_left(&[]);

    world.start();
    assert_eq!(world.show(&task), before);
    assert_eq!(world.events_of("task.succeeded").len(), 1);
    assert!(world.orch(&["logs", "--task", &task]).ok().contains("remembered"));
    world.stop_and_check_nothing_left();
}

#[test]
fn stop_where_nothing_ever_ran_creates_nothing() {
    let world = World::new();
    assert_eq!(world.orch_json(&["stop"])["stopped"], false);
    assert!(!world.home.exists());
}

#[test]
fn stop_continues_when_the_supervisor_dies_during_it() {
    let world = World::builder().supervisor("kill_grace", "\"3s\"").tables("[roles.shell]\nmax = 1").build();
    world.start();
    world.delegate("shell", STUBBORN);
    world.wait_until("the task runs", || stubborn_child_runs(&world));
    let stop = world.orch_started(&["stop"]);
    world.wait_until("the agent is asked to stop", || world.agent("shell-1")["state"] == "stopping");
    kill9(world.supervisor_pid());
    stop.end().ok();
    world.check_nothing_left(&[]);
}

#[test]
fn sigterm_to_the_supervisor_is_a_stop() {
    let world = World::started("[roles.shell]\nmin = 1");
    world.wait_for_agent("shell-1", "idle");
    signal(world.supervisor_pid(), Signal::SIGTERM);
    world.check_nothing_left(&[]);
}

#[test]
fn sigterm_to_everything_is_a_stop() {
    // A container or a service manager does this.
    let world = World::started("[roles.shell]\nmin = 1");
    world.wait_for_agent("shell-1", "idle");
    let (supervisor, redis, runner) = (world.supervisor_pid(), world.redis_pid(), world.runner_pid("shell-1"));
    signal(redis, Signal::SIGKILL);
    signal(supervisor, Signal::SIGTERM);
    signal(runner, Signal::SIGTERM);
    world.check_nothing_left(&[]);
}

#[test]
fn a_foreground_supervisor_ends_by_stop_and_by_sigterm() {
    let world = World::new();
    for by_signal in [false, true] {
        let supervisor = world.orch_started(&["supervise"]);
        world.wait_for_agent("opus-master", "idle");
        match by_signal {
            true => signal(supervisor.pid(), Signal::SIGTERM),
            false => drop(world.orch(&["stop"]).ok()),
        }
        supervisor.end().ok();
        world.check_nothing_left(&[]);
    }
}

#[test]
fn a_start_during_a_stop_is_a_start() {
    let world = World::started("[roles.shell]\nmin = 1");
    let ready = || world.agents("shell").iter().any(|a| a["state"] == "idle");
    world.wait_until("the supervisor runs", ready);
    for _ in 0..3 {
        signal(world.supervisor_pid(), Signal::SIGTERM);
        world.wait_until("the supervisor is stopping", || world.status()["supervisor"]["accepting"] == false);
        world.start();
        world.wait_for_agent("opus-master", "idle");
        world.wait_until("the supervisor runs", ready);
    }
    world.stop_and_check_nothing_left();
}

/// The runner was ended after Redis acknowledged the report and before the runner moved the file.
#[test]
fn an_acknowledged_report_that_was_not_filed_is_filed_by_the_stop() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", "echo once");
    world.wait_for(&task, "succeeded");
    let filed = world.home.join(format!("runs/{task}/1/result.json"));
    world.wait_until("the report is filed", || filed.exists());
    let mut report: serde_json::Value = serde_json::from_slice(&fs::read(&filed).unwrap()).unwrap();
    report["incarnation"] = "of-one-who-is-dead".into();
    let left = world.home.join(format!("reports/{task}.1.json"));
    fs::write(&left, report.to_string()).unwrap();
    world.stop_and_check_nothing_left();
    assert!(!left.exists());
}

#[test]
fn a_stop_ends_a_drain_early() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", forever());
    world.wait_for(&task, "running");
    let drain = world.orch_started(&["stop", "--drain"]);
    world.wait_until("the supervisor drains", || !world.events_of("supervisor.stopping").is_empty());
    world.orch(&["stop"]).ok();
    drain.end().ok();
    world.check_nothing_left(&[]);
}

#[test]
fn what_is_recorded_can_be_read_while_orch_is_stopped_and_nothing_is_started() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", "echo the answer");
    world.wait_for(&task, "succeeded");
    let failed = world.delegate("shell", "exit 65");
    world.wait_for(&failed, "failed");
    world.stop_and_check_nothing_left();

    let read = |args: &[&str]| {
        let output = world.orch(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains("orch is stopped"), "{args:?}: {}", output.stderr);
        output.stdout
    };
    let short = &task[..9];
    assert!(read(&["tasks"]).contains(&task));
    assert!(read(&["tasks", "--state", "failed"]).contains(&failed));
    assert!(read(&["show", short]).contains("the answer"));
    assert!(read(&["why", &failed]).contains("exit code 65"));
    assert_eq!(read(&["result", "@2"]), "the answer\n");
    assert!(read(&["logs"]).contains("the answer"));
    assert!(read(&["logs", "--grep", "answer", short]).contains("the answer"));
    assert!(read(&["events"]).contains("supervisor.stopped"));
    read(&["costs"]);
    assert_eq!(read(&["questions"]), "no open questions\n");
    read(&["agents"]);
    assert!(read(&["wait", &task]).contains("the answer"));
    assert_eq!(world.orch(&["retry", &failed]).code, 3, "what would change something is refused");
    world.check_nothing_left(&[]);

    // Also after the death of everything, and there is nothing to be seen of it afterwards.
    world.start();
    kill9(world.supervisor_pid());
    kill9(world.redis_pid());
    world.wait_until("Redis is gone", || world.redis_pid_if_any().is_none());
    assert!(read(&["show", &task]).contains("the answer"));
    assert!(world.redis_pid_if_any().is_none());
    world.start();
    world.wait_for(&task, "succeeded");

    // A question stays readable; what has not ended is not waited for.
    let asks = world.delegate("shell", "orch ask 'Which one?'");
    world.wait_until("it asks", || world.orch(&["questions"]).ok().contains("Which one?"));
    world.stop_and_check_nothing_left();
    assert!(read(&["questions"]).contains("Which one?"));
    let wait = world.orch(&["wait", &asks]).ended(3);
    assert!(wait.stderr.contains("orch is stopped") && wait.stderr.contains("orch start"), "{wait:#?}");
    assert!(world.orch(&["wait", "--any", &asks, &task]).ok().contains(&task));
    world.check_nothing_left(&[]);
}

#[test]
fn a_paused_start_starts_no_task_until_a_person_resumes() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.orch(&["pause"]);
    let task = world.delegate("shell", "echo hello");
    world.stop_and_check_nothing_left();
    world.orch(&["start", "--paused"]);
    assert_eq!(world.status()["supervisor"]["paused"], true);
    world.orch(&["resume"]);
    world.wait_for(&task, "succeeded");
    assert_eq!(world.orch(&["start", "--paused"]).code, 0, "also where it runs already");
    assert_eq!(world.status()["supervisor"]["paused"], true);
    world.stop_and_check_nothing_left();
}
