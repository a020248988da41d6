//! Faults: each process of orch, and each that orch needs, is killed, stopped or missing; the machine and its disk
//! misbehave; agents' programs misbehave; input is wrong. Accepted tasks are never lost or run twice, and every refusal
//! names what is wrong and what to do.

mod combined;
mod config;
mod damaged_records;
mod emergency_stop;
mod failpoints;
mod formats;
mod full_disk;
mod locks;
mod lost;
mod machine;
mod master;
mod moved;
mod program;
mod program_unavailable;
mod redis;
mod resource_limits;
mod result_on_disk;
mod runner;
mod state_folder;
mod supervisor;
mod tmux;

use std::path::PathBuf;

use serde_json::Value;

use crate::common::{World, append, gate};

/// Replaces the world's sessions.toml.
fn write_config(world: &World, text: &str) {
    std::fs::write(world.project.join("sessions.toml"), text).expect("sessions.toml");
}

/// Returns the contents of the world's sessions.toml.
fn config(world: &World) -> String {
    std::fs::read_to_string(world.project.join("sessions.toml")).expect("sessions.toml")
}

/// Delegates `n` tasks that run until the gate opens.
fn gated(world: &World, n: usize) -> Vec<String> {
    let script = format!("{}; {}; echo done", append(&world.file("ran"), "$ORCH_TASK"), gate(&world.file("go")));
    (0..n).map(|_| world.delegate("shell", &script)).collect()
}

/// Returns the number of running tasks.
fn running(world: &World) -> usize {
    world.status()["tasks"]["running"].as_u64().unwrap_or(0) as usize
}

/// Returns the id of each agent and the pid of its runner, in the order of `status`. A starting runner has no pid yet.
fn runners(world: &World) -> Vec<(String, Option<u64>)> {
    let pid = |a: &Value| (a["id"].as_str().expect("id").to_owned(), a["pid"].as_u64());
    world.status()["agents"].as_array().expect("agents").iter().map(pid).collect()
}

/// Waits until all of these tasks have succeeded, each with its first attempt.
fn succeeded_at_first_attempt(world: &World, tasks: &[String]) {
    for task in tasks {
        let shown = world.wait_for(task, "succeeded");
        assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown:#}");
    }
}

/// Returns the causes of the ends of a task's attempts, in order; `none` for a running attempt.
fn causes(shown: &Value) -> Vec<&str> {
    shown["attempts"].as_array().unwrap().iter().map(|a| a["cause"].as_str().unwrap_or("none")).collect()
}

/// Returns the path of the first of these programs that is installed.
fn real(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let named = |name: &&str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.exists());
    names.iter().find_map(named).unwrap_or_else(|| panic!("none of {names:?} is installed"))
}

/// The command of a process that outlives its parents. Nothing else on this machine sleeps for this long.
const ORPHAN: &str = "sleep 98765";

/// A script that starts three processes that outlive their parents: one leaves its session, one ignores HUP and TERM,
/// one is forked twice. Each adds a line to the file `orphans` when it runs.
fn orphans(world: &World) -> String {
    let ready = append(&world.file("orphans"), "$$");
    format!(
        "setsid sh -c 'trap \"\" TERM HUP INT; {here}; {ORPHAN} & wait' &\n\
         nohup sh -c 'trap \"\" TERM HUP; {here}; exec {ORPHAN}' >/dev/null 2>&1 &\n\
         (setsid sh -c '({here}; exec {ORPHAN}) & exit' &)\n",
        here = ready.replace('\'', "'\\''")
    )
}

/// The number of processes of [`orphans`] that still run.
fn orphans_left(world: &World) -> usize {
    world.processes().iter().filter(|p| p.command.contains(ORPHAN)).count()
}

/// A script that runs `first` in the first attempt, and succeeds in every later one.
fn only_once(first: &str) -> String {
    format!("if [ $ORCH_ATTEMPT = 1 ]; then\n{first}\nfi\necho done by attempt $ORCH_ATTEMPT")
}
