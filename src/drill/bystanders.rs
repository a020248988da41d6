//! Those whom nothing may touch: processes with names that the drill's own have too, a tmux session on the drill's tmux
//! server, and one on another server that is called like an agent.

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

/// A person's session on the drill's own server, and an agent's name on another.
const NOTES: &str = "notes";
const NAMESAKE: &str = "worker-1";

pub(super) struct Bystanders {
    /// Not the world's: nothing about them names its folder.
    processes: Vec<Child>,
    /// Another tmux server.
    elsewhere: TmuxMux,
    namesake: SessionInfo,
    notes: Option<SessionInfo>,
}

impl Bystanders {
    /// Brings them in. `beside`: also onto the drill's tmux server, which must be up.
    ///
    /// # Errors
    /// When they cannot be started.
    pub async fn bring(world: &World, beside: bool) -> Result<Bystanders> {
        let elsewhere = tmux_at(&world.root.join("a/tmux"));
        let mut bystanders = Bystanders {
            processes: vec![start(&["sleep", "86400"])?, start(&["sh", "-c", "while :; do sleep 3600; done"])?],
            namesake: open(&elsewhere, NAMESAKE).await?,
            elsewhere,
            notes: None,
        };
        if beside {
            bystanders.notes = Some(open(&world.mux, NOTES).await?);
        }
        Ok(bystanders)
    }

    /// The pane's process on the drill's server: it is nobody's leftover.
    pub fn spared(&self) -> Option<u32> {
        self.notes.as_ref().and_then(|session| session.pane_pid)
    }

    /// Says who has been touched.
    pub async fn check(&mut self, scene: &Scene) {
        let harmed = |who: String, facts: &str| scene.violated("who is not orch's is never touched", who, facts);
        for child in &mut self.processes {
            if !matches!(child.try_wait(), Ok(None)) {
                harmed(format!("process {}", child.id()), "a process with nothing to do with orch has ended");
            }
        }
        let beside = self.notes.as_ref().map(|session| (&scene.world.mux, session));
        for (mux, before) in [(&self.elsewhere, &self.namesake)].into_iter().chain(beside) {
            let who = format!("tmux session {}", before.name);
            match find(mux, &before.name).await {
                Ok(Some(now)) if now == *before => {}
                Ok(Some(_)) => harmed(who, "it is not what it was"),
                Ok(None) => harmed(who, "it is gone"),
                Err(e) => harmed(who, &e.message),
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

fn start(words: &[&str]) -> Result<Child> {
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
    opened.ok_or_else(|| Error::failed(format!("the tmux session {name} has ended at once")))
}

async fn find(mux: &TmuxMux, name: &str) -> Result<Option<SessionInfo>> {
    Ok(mux.sessions().await?.into_iter().find(|session| session.name == name))
}
