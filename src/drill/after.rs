//! `orch stop`, and what must not be left then: a process, a session, a socket, a lock, a half-written file.

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

/// The tmux server ends by itself some moments after its last session.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const INVARIANT: &str = "orch stop leaves nothing behind";

/// At rest, nothing is left of the tasks' programs: all attempts have ended, and the agents are idle.
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
                let facts = format!("'{LITTER}' of a task is there {GONE_WITHIN:?} after everything has come to rest");
                scene.violated("no process outlives its attempt", format!("process {}", process.pid), facts);
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stops the world, and looks for what is left of it. `spared` is the process of a bystander's session.
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
                scene.violated(INVARIANT, format!("tmux session {}", session.name), "it is there");
            }
        }
        Err(e) => scene.note(format!("tmux: {e}")),
    }
    files(scene);
}

/// The processes of the world that do not end by themselves.
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
        ("the mark of a supervisor that did not end in order", home.running()),
    ] {
        if path.exists() {
            scene.violated(INVARIANT, path.display().to_string(), format!("{what} is there"));
        }
    }
    for lock in [home.supervisor_lock(), home.start_lock(), home.redis().join("server.lock")] {
        if lock.exists() && !matches!(os::lock_file(&lock), Ok(Some(_))) {
            scene.violated(INVARIANT, lock.display().to_string(), "the lock is held");
        }
    }
    for (folder, what) in [
        (home.launches(), "how an agent was to be started, with its environment"),
        (home.reports(), "the end of an attempt that nobody was told"),
        (home.path().join("scratch"), "what an attempt's program was given"),
        (scene.world.path.join("tmp"), "a temporary file"),
    ] {
        for path in entries(&folder) {
            scene.violated(INVARIANT, path.display().to_string(), format!("{what}: it is there"));
        }
    }
    for report in home.unacknowledged(|_| true) {
        scene.violated(
            INVARIANT,
            report.task.to_string(),
            "an end that was not acknowledged is in its runner's journal",
        );
    }
    for path in half_written(home.path()) {
        scene.violated(INVARIANT, path.display().to_string(), "a file that was never finished");
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Files under temporary names, anywhere below.
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
    fn an_unfinished_file_is_found_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("runs/t/1")).unwrap();
        for name in ["runs/t/1/result.tmp", "runs/t/1/result.json", "tmp"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(half_written(dir.path()), [dir.path().join("runs/t/1/result.tmp")]);
    }
}
