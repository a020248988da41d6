//! Runs `orch stop`, and checks that no process, session, socket, lock or half-written file is left.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{scene::Scene, workload::LITTER};
use crate::{
    mux::Mux,
    os::{self, ProcessId},
};

/// The time limit for every end. The tmux server exits some moments after its last session.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const INVARIANT: &str = "orch stop leaves nothing behind";

/// Checks that no process of a task's program is left once all attempts have ended and the agents are idle.
pub(super) async fn look_for_programs(scene: &Scene) {
    let is_left = |process: &ProcessId| os::command_line(process.pid).is_some_and(|words| words == LITTER);
    let began = Instant::now();
    loop {
        let all = os::of_folder(&scene.world.path).unwrap_or_default();
        let left: Vec<ProcessId> = all.into_iter().filter(is_left).collect();
        if left.is_empty() {
            return;
        }
        if began.elapsed() > GONE_WITHIN {
            for process in left {
                let facts = format!("'{LITTER}' of a task still runs {GONE_WITHIN:?} after all tasks have ended");
                scene.violated("no process outlives its attempt", format!("process {}", process.pid), facts);
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stops the world, and reports everything that is left of it. `spared` is the process of a bystander's session.
pub(super) async fn stop_and_look(scene: &Scene, spared: Option<u32>) {
    let output = scene.world.orch(&["stop", "--json"]).await;
    if output.code != 0 {
        scene.violated("orch stop stops everything", "orch stop", output.complaint());
    }
    for process in left(scene, spared).await {
        let command = os::command_line(process.pid).unwrap_or_default();
        let facts = format!("{} (state {})", command.trim(), process.state().unwrap_or('?'));
        scene.violated(INVARIANT, format!("process {}", process.pid), facts);
    }
    match scene.world.mux.sessions().await {
        Ok(sessions) => {
            for session in sessions.iter().filter(|s| s.tags.is_some()) {
                scene.violated(INVARIANT, format!("tmux session {}", session.name), "it still exists");
            }
        }
        Err(e) => scene.note(format!("tmux: {e}")),
    }
    files(scene);
}

/// Returns the processes of the world that have not ended within the limit.
async fn left(scene: &Scene, spared: Option<u32>) -> Vec<ProcessId> {
    // A bystander's session keeps its tmux server.
    let server = spared.and_then(ProcessId::of).and_then(|pane| os::parent_of(&pane)).map(|process| process.pid);
    let began = Instant::now();
    loop {
        let all = os::of_folder(&scene.world.path).unwrap_or_default();
        let left: Vec<ProcessId> = all.into_iter().filter(|p| Some(p.pid) != spared && Some(p.pid) != server).collect();
        if left.is_empty() || began.elapsed() > GONE_WITHIN {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn files(scene: &Scene) {
    let home = &scene.world.home;
    for (what, path) in [
        ("Redis's socket", home.redis().join("redis.sock")),
        ("the marker of a supervisor that did not end in order", home.running()),
    ] {
        if path.exists() {
            scene.violated(INVARIANT, path.display().to_string(), format!("{what} still exists"));
        }
    }
    for lock in [home.supervisor_lock(), home.start_lock(), home.redis().join("server.lock")] {
        if lock.exists() && !matches!(os::lock_file(&lock), Ok(Some(_))) {
            scene.violated(INVARIANT, lock.display().to_string(), "the lock is held");
        }
    }
    for (folder, what) in [
        (home.launches(), "the launch file of an agent, with its environment"),
        (home.reports(), "an unsent report of an attempt's end"),
        (home.path().join("scratch"), "the input of an attempt's program"),
        (scene.world.path.join("tmp"), "a temporary file"),
    ] {
        for path in entries(&folder) {
            scene.violated(INVARIANT, path.display().to_string(), format!("{what} still exists"));
        }
    }
    for report in home.unacknowledged(|_| true) {
        scene.violated(INVARIANT, report.task.to_string(), "its runner's journal has an unacknowledged end");
    }
    for path in half_written(home.path()) {
        scene.violated(INVARIANT, path.display().to_string(), "the file is half-written");
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Returns all files with temporary names in and below a folder.
fn half_written(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for path in entries(&folder) {
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "tmp") {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_file_is_found_in_any_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("runs/t/1")).unwrap();
        for name in ["runs/t/1/result.tmp", "runs/t/1/result.json", "tmp"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(half_written(dir.path()), [dir.path().join("runs/t/1/result.tmp")]);
    }
}
