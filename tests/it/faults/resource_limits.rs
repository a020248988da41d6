//! The resource limits of a role, cgroups, and free memory: a program over its limit is ended together with every
//! process that it started.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Process, World, append, gate, kill9};

/// A command that no other process of this machine runs.
const ORPHAN: &str = "sleep 98764";

fn orphans_left(world: &World) -> usize {
    let mut orphans = world.processes();
    // A process that has cleared its environment and left the folder is found only by its cgroup.
    let known: Vec<u32> = orphans.iter().map(|p| p.pid).collect();
    orphans.extend(pids_in_cgroups(world).into_iter().filter(|pid| !known.contains(pid)).filter_map(Process::of));
    orphans.iter().filter(|p| p.command.contains(ORPHAN)).count()
}

/// Returns the world's current cgroups.
fn cgroups(world: &World) -> Vec<PathBuf> {
    let entries = world.cgroups().into_iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Returns the pids in any of the world's cgroups.
fn pids_in_cgroups(world: &World) -> Vec<u32> {
    let lists = cgroups(world).into_iter().filter_map(|path| fs::read_to_string(path.join("cgroup.procs")).ok());
    lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// Returns whether cgroups can be created here. If not, a test of them is skipped.
fn has_cgroups(world: &World) -> bool {
    let can = !world.cgroups().is_empty();
    if !can {
        eprintln!("skipped: no cgroup can be created here (this needs cgroup v2, and root or a delegated group)");
    }
    can
}

/// Stops orch, and checks that nothing is left, including cgroups.
#[track_caller]
fn stop_and_check_nothing_left(world: &World) {
    let groups = world.cgroups();
    world.stop_and_check_nothing_left();
    let left: Vec<&PathBuf> = groups.iter().filter(|group| group.exists()).collect();
    assert_eq!(left, [] as [&PathBuf; 0], "cgroups are left");
}

/// Waits until the task has succeeded after one lost attempt, and returns the reason of the loss.
#[track_caller]
fn lost_once(world: &World, task: &str) -> String {
    let shown = world.wait_for(task, "succeeded");
    let attempts = shown["attempts"].as_array().unwrap();
    let causes: Vec<&str> = attempts.iter().map(|a| a["cause"].as_str().unwrap()).collect();
    assert_eq!((causes, &shown["lost"]), (vec!["lost", "success"], &1.into()), "{shown:#}");
    attempts[0]["reason"].as_str().unwrap().to_owned()
}

/// A script that runs `first` in the first attempt, and succeeds in every later one.
fn only_once(first: &str) -> String {
    format!("if [ $ORCH_ATTEMPT = 1 ]; then\n{first}\nfi\necho done by attempt $ORCH_ATTEMPT")
}

#[test]
fn a_program_over_its_memory_is_ended_and_counts_as_lost() {
    let world = World::started("[roles.shell]\nmax = 1\nmemory_max = \"64M\"");
    // Nothing is ever printed: `tail` keeps a line without an end in memory.
    let task = world.delegate("shell", &only_once(&format!("({ORPHAN}) & (head -c 300M /dev/zero; {ORPHAN}) | tail")));
    let runner = world.wait_for_agent("shell-1", "busy")["pid"].clone();
    let reason = lost_once(&world, &task);
    assert!(reason.starts_with("over-memory: ") && reason.ends_with("memory_max is 64 MiB"), "{reason}");
    assert_eq!(orphans_left(&world), 0, "all its processes are ended");
    assert_eq!(world.agent("shell-1")["pid"], runner, "the same agent continues");
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains("over-memory"), "{why}");
    assert_eq!(world.show(&task)["attempts"][0]["evidence"]["rule"], "over_limit");
    stop_and_check_nothing_left(&world);
}

#[test]
fn memory_that_processes_share_counts_once() {
    let world = World::started("[roles.shell]\nmax = 1\nmemory_max = \"128M\"");
    // A shell that holds 32 MiB, and eight subshells that share this memory.
    let copies = format!(
        "text=$(head -c 32M /dev/zero | tr '\\0' x); for i in 1 2 3 4 5 6 7 8; do (read x) <'{0}' & done; read x <'{0}'",
        world.file("pipe").display()
    );
    nix::unistd::mkfifo(&world.file("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let task = world.delegate("shell", &format!("{copies}; echo ${{#text}}"));
    let rss = || world.agent("shell-1")["rss_bytes"].as_u64().unwrap_or(0);
    world.wait_until("the sum of all resident sizes is over the limit", || rss() > 200 << 20);
    // After several measurements, the task is still within its limit.
    std::thread::sleep(Duration::from_millis(2500));
    drop(fs::OpenOptions::new().write(true).open(world.file("pipe")).unwrap());
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], format!("{}\n", 32 << 20));
    stop_and_check_nothing_left(&world);
}

#[test]
fn too_many_processes_end_the_attempt() {
    let world = World::started("[roles.shell]\nmax = 1\nmax_processes = 20\n[roles.shell.retry]\nlost = 1");
    let task = world.delegate("shell", &format!("for i in $(seq 60); do {ORPHAN} & done; wait"));
    let shown = world.wait_for(&task, "failed");
    assert_eq!(
        (&shown["lost"], &shown["cause"]),
        (&2.into(), &"lost".into()),
        "the losses are bounded, then the task is a dead letter"
    );
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("over-processes: ") && reason.contains("max_processes is 20"), "{reason}");
    assert_eq!(orphans_left(&world), 0);
    stop_and_check_nothing_left(&world);
}

#[test]
fn too_much_of_the_processors_ends_the_attempt() {
    let world = World::started("[roles.shell]\nmax = 2\ncpu_max = 0.03");
    // This also holds where many short-lived processes use the time.
    let steady = world.delegate("shell", &only_once("while :; do :; done"));
    let many = world.delegate("shell", &only_once("while :; do /bin/true; done"));
    for task in [steady, many] {
        let reason = lost_once(&world, &task);
        assert!(reason.starts_with("over-cpu: ") && reason.ends_with("cpu_max is 0.03"), "{reason}");
    }
    stop_and_check_nothing_left(&world);
}

#[test]
fn output_over_its_limit_is_not_kept_and_ends_the_attempt() {
    let world = World::started("[roles.shell]\nmax = 1\nmax_output = \"64K\"");
    let task = world.delegate("shell", &only_once("yes; echo never"));
    let reason = lost_once(&world, &task);
    assert!(reason.starts_with("over-output: ") && reason.ends_with("max_output is 64 KiB"), "{reason}");
    let kept = fs::read(world.home.join(format!("runs/{task}/1/output"))).unwrap();
    let note = "orch: the output ends here; max_output is 64 KiB\n";
    assert!((64 << 10..(64 << 10) + 2 + note.len()).contains(&kept.len()), "{}", kept.len());
    let log = world.orch(&["logs", "--task", &task]).ok();
    assert!(log.contains(note.trim()) && !log.contains("never"), "{log}");
    stop_and_check_nothing_left(&world);
}

#[test]
fn a_hundred_megabytes_without_a_line_do_not_fill_the_runner() {
    let world = World::started("[roles.shell]\nmax = 1\nenv_from = [\"GIVEN\"]");
    let task = world.delegate("shell", &format!("head -c 100M /dev/zero | tr '\\0' x; {}", gate(&world.file("go"))));
    let output = world.home.join(format!("runs/{task}/1/output"));
    let size = || fs::metadata(&output).map_or(0, |m| m.len());
    world.wait_until("the whole output is on disk", || size() == 100 << 20);
    let peak = world.runner_peak("shell-1");
    assert!(peak < 16 << 10, "the runner had {peak} KiB");
    world.touch("go");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(
        (&shown["result"]["truncated"], shown["result"]["text"].as_str().unwrap().len()),
        (&true.into(), 64 << 10)
    );
    stop_and_check_nothing_left(&world);
}

#[test]
fn without_free_memory_no_agent_is_started_and_the_reason_is_reported() {
    let world = World::builder().supervisor("min_free_memory", "\"900G\"").build();
    world.start();
    let task = world.delegate("shell", "echo hello");
    world.orch(&["spawn", "shell"]).ok();
    let says = |attention: &Value| {
        let what = attention["what"].as_str().unwrap();
        what.starts_with("no new agent is started: ") && what.ends_with("min_free_memory is 900 GiB")
    };
    world.wait_until("status reports it", || world.status()["attention"].as_array().unwrap().iter().any(says));
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains("No new agent is started: ") && why.contains("min_free_memory is 900 GiB"), "{why}");
    let started: Vec<Value> = world.events_of("agent.starting");
    assert!(started.iter().all(|e| e["agent"] == "opus-master"), "only the master was started: {started:?}");
    // The same world with enough memory.
    let config = world.project.join("sessions.toml");
    let text = fs::read_to_string(&config).unwrap().replace("900G", "0");
    stop_and_check_nothing_left(&world);
    fs::write(config, text).unwrap();
    world.start();
    world.wait_for(&task, "succeeded");
    stop_and_check_nothing_left(&world);
}

#[test]
fn on_a_full_disk_no_agent_is_started_and_the_reason_is_reported() {
    let world = World::builder().supervisor("min_free_disk", "\"900T\"").build();
    world.start();
    let task = world.delegate("shell", "echo hello");
    world.orch(&["spawn", "shell"]).ok();
    let says = |attention: &Value| {
        let what = attention["what"].as_str().unwrap();
        what.starts_with("no new agent is started: the disk is full: ") && what.ends_with("min_free_disk is 900 TiB")
    };
    world.wait_until("status reports it", || world.status()["attention"].as_array().unwrap().iter().any(says));
    let why = world.orch(&["why", &task]).ok();
    assert!(
        why.contains("No new agent is started: the disk is full: ") && why.contains("min_free_disk is 900 TiB"),
        "{why}"
    );
    let started: Vec<Value> = world.events_of("agent.starting");
    assert!(started.iter().all(|e| e["agent"] == "opus-master"), "only the master was started: {started:?}");
    // The same world with enough memory.
    let config = world.project.join("sessions.toml");
    let text = fs::read_to_string(&config).unwrap().replace("900T", "0");
    stop_and_check_nothing_left(&world);
    fs::write(config, text).unwrap();
    world.start();
    world.wait_for(&task, "succeeded");
    stop_and_check_nothing_left(&world);
}

#[test]
fn a_process_without_environment_session_or_parents_ends_with_its_killed_runner() {
    let world = World::started("[roles.shell]\nmax = 1");
    if !has_cgroups(&world) {
        return;
    }
    let escape = format!("cd /; env -i setsid sh -c '(exec {ORPHAN}) >/dev/null 2>&1 </dev/null & exit' &");
    let script = format!("{escape}\n{}; {}", append(&world.file("ran"), "x"), gate(&world.file("never")));
    let task = world.delegate("shell", &only_once(&script));
    world.wait_until("the process has escaped", || world.lines("ran").len() == 1 && orphans_left(&world) == 1);
    let escaped =
        pids_in_cgroups(&world).into_iter().filter_map(Process::of).find(|p| p.command.contains(ORPHAN)).unwrap();
    assert!(!world.processes().contains(&escaped), "only its cgroup identifies it");
    kill9(world.runner_pid("shell-1"));
    world.wait_for(&task, "succeeded");
    world.wait_until("the escaped process has ended", || !escaped.is_alive());
    stop_and_check_nothing_left(&world);
}

#[test]
fn an_escaped_process_is_found_by_stop_after_everything_was_killed() {
    let world = World::started("[roles.shell]\nmax = 1");
    if !has_cgroups(&world) {
        return;
    }
    let escape = format!("cd /; env -i setsid sh -c '(exec {ORPHAN}) >/dev/null 2>&1 </dev/null & exit' &");
    world.delegate("shell", &format!("{escape}\n{}", gate(&world.file("never"))));
    world.wait_until("the process has escaped", || orphans_left(&world) == 1);
    let (supervisor, runner, tmux) = (world.supervisor_pid(), world.runner_pid("shell-1"), world.tmux_server_pid());
    for pid in [supervisor, runner, tmux] {
        // The end of one process may end another.
        if Process::of(pid).is_some() {
            kill9(pid);
        }
    }
    assert_eq!(orphans_left(&world), 1, "the escaped process is still alive");
    stop_and_check_nothing_left(&world);
    assert_eq!(orphans_left(&world), 0);
}

#[test]
fn supervisor_redis_and_tmux_are_never_in_an_agents_cgroup() {
    let world = World::started("[roles.shell]\nmin = 1");
    if !has_cgroups(&world) {
        return;
    }
    world.wait_for_agent("shell-1", "idle");
    let inside = pids_in_cgroups(&world);
    assert!(inside.contains(&world.runner_pid("shell-1")) && inside.contains(&world.runner_pid("opus-master")));
    // Who is in an agent's cgroup is the agent's, wherever it was started, and starts no supervisor.
    kill9(world.supervisor_pid());
    let within = cgroups(&world).into_iter().next().unwrap().join("cgroup.procs");
    let orch = env!("CARGO_BIN_EXE_orch");
    let mut shell = world.command("sh");
    shell.args(["-c", &format!("echo 0 > {} && exec {orch} start", within.display())]);
    let refused = crate::common::start(shell).end().ended(1);
    assert!(refused.stderr.contains("is for a person"), "{refused:#?}");
    world.start();
    let inside = pids_in_cgroups(&world);
    for pid in [world.supervisor_pid(), world.redis_pid(), world.tmux_server_pid()] {
        assert!(!inside.contains(&pid), "{:?} is in the cgroup of an agent", Process::of(pid));
    }
    stop_and_check_nothing_left(&world);
}

#[test]
fn a_cgroup_is_removed_with_its_agent_and_empty_ones_at_the_next_start() {
    let world = World::started("[roles.shell]\nmin = 1");
    if !has_cgroups(&world) {
        return;
    }
    world.wait_for_agent("shell-1", "idle");
    assert_eq!(cgroups(&world).len(), 2, "one cgroup per agent");
    let first = cgroups(&world);
    kill9(world.runner_pid("shell-1"));
    let all_new = |now: &[PathBuf]| now.len() == 2 && now.iter().filter(|e| first.contains(e)).count() == 1;
    world.wait_until("the dead agent's cgroup is removed", || all_new(&cgroups(&world)));
    kill9(world.supervisor_pid());
    let left_over = world.cgroups()[0].join("left-over");
    fs::create_dir(&left_over).unwrap();
    // The cgroup of a removed home is recognized by its age.
    let parent = world.cgroups()[0].parent().unwrap().to_owned();
    let name = |end: &str| parent.join(format!("orch-{:0>11x}{end}", std::process::id()));
    let (old, young) = (name("1"), name("2"));
    for group in [&old, &young] {
        fs::create_dir_all(group.join("agent")).unwrap();
    }
    let two_hours_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&old).unwrap().set_modified(two_hours_ago).unwrap();
    world.start();
    assert!(!left_over.exists());
    assert!(!old.exists() && young.exists());
    fs::remove_dir(young.join("agent")).and_then(|()| fs::remove_dir(&young)).unwrap();
    assert_eq!(cgroups(&world).len(), 2, "the cgroups of live agents are kept");
    stop_and_check_nothing_left(&world);
}

#[test]
fn three_hundred_processes_that_ignore_signals_end_with_their_attempt() {
    let world = World::started("[roles.shell]\nmax = 1");
    let ready = append(&world.file("ready"), "x").replace('\'', "'\\''");
    let deaf = format!("trap \"\" TERM HUP INT; {ready}; exec {ORPHAN}");
    let script = format!(
        "trap '' TERM HUP INT; n=0; while [ $n -lt 150 ]; do setsid sh -c '{deaf}' & nohup sh -c '{deaf}' >/dev/null 2>&1 & \
         n=$((n+1)); done; wait"
    );
    let task = world.delegate("shell", &script);
    world.wait_until("all of them run", || world.lines("ready").len() == 300 && orphans_left(&world) == 300);
    let began = Instant::now();
    world.orch(&["cancel", &task]).ok();
    world.wait_for(&task, "cancelled");
    let took = began.elapsed();
    assert_eq!(orphans_left(&world), 0, "the end is reported only after everything is gone");
    // The grace period of this world is half a second, and stragglers get a fifth of it.
    assert!(took < Duration::from_secs(5), "{took:?}");
    stop_and_check_nothing_left(&world);
}
