//! Processes and sessions that orch must not touch: processes with the same names as the drill's, a tmux session on the
//! drill's tmux server, and one on another server that has an agent's name.

use std::{
    ffi::OsString,
    process::{Child, Command, Stdio},
};

use super::{
    scene::Scene,
    world::{World, tmux_at},
};
use crate::{
    error::{Error, Result},
    mux::{Mux, SessionInfo, TmuxMux},
    os::ProcessId,
};

/// The name of a person's session on the drill's server, and an agent's name on another server.
const NOTES: &str = "notes";
const NAMESAKE: &str = "worker-1";

pub(super) struct Bystanders {
    /// Processes that do not name the world's folder in any way.
    processes: Vec<Child>,
    /// Another tmux server.
    elsewhere: TmuxMux,
    namesake: SessionInfo,
    notes: Option<SessionInfo>,
}

impl Bystanders {
    /// Starts them. With `on_drills_server`, also opens a session on the drill's tmux server, which must be running.
    ///
    /// # Errors
    /// Returns an error if they cannot be started.
    pub async fn start(world: &World, on_drills_server: bool) -> Result<Bystanders> {
        let elsewhere = tmux_at(&world.root.join("a/tmux"));
        let mut bystanders = Bystanders {
            processes: vec![
                start_process(&["sleep", "86400"])?,
                start_process(&["sh", "-c", "while :; do sleep 3600; done"])?,
            ],
            namesake: open(&elsewhere, NAMESAKE).await?,
            elsewhere,
            notes: None,
        };
        if on_drills_server {
            bystanders.notes = Some(open(&world.mux, NOTES).await?);
        }
        Ok(bystanders)
    }

    /// Returns the pid of the pane on the drill's server, which is not an orphan.
    pub fn spared(&self) -> Option<u32> {
        self.notes.as_ref().and_then(|session| session.pane_pid)
    }

    /// Reports every bystander that was touched.
    pub async fn check(&mut self, scene: &Scene) {
        let harmed =
            |subject: String, facts: &str| scene.violated("nothing outside of the world is touched", subject, facts);
        for child in &mut self.processes {
            if !matches!(child.try_wait(), Ok(None)) {
                harmed(format!("process {}", child.id()), "a process that does not belong to orch has ended");
            }
        }
        let on_drills_server = self.notes.as_ref().map(|session| (&scene.world.mux, session));
        for (mux, before) in [(&self.elsewhere, &self.namesake)].into_iter().chain(on_drills_server) {
            let subject = format!("tmux session {}", before.name);
            match find(mux, &before.name).await {
                Ok(Some(now)) if now == *before => {}
                Ok(Some(_)) => harmed(subject, "it has changed"),
                Ok(None) => harmed(subject, "it has ended"),
                Err(e) => harmed(subject, &e.message),
            }
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        for child in &mut self.processes {
            if let Some(process) = ProcessId::of(child.id()) {
                for left in crate::os::children_of(&process) {
                    let _ = left.signal(nix::sys::signal::Signal::SIGKILL);
                }
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_process(words: &[&str]) -> Result<Child> {
    Command::new(words[0])
        .args(&words[1..])
        .current_dir("/")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Error::config(format!("{} could not be started: {e}", words[0])))
}

async fn open(mux: &TmuxMux, name: &str) -> Result<SessionInfo> {
    let words: Vec<OsString> = ["sleep", "86400"].map(OsString::from).into();
    mux.open_untagged(name, &words).await?;
    let opened = find(mux, name).await?;
    opened.ok_or_else(|| Error::failed(format!("the tmux session {name} has ended immediately")))
}

async fn find(mux: &TmuxMux, name: &str) -> Result<Option<SessionInfo>> {
    Ok(mux.sessions().await?.into_iter().find(|session| session.name == name))
}
