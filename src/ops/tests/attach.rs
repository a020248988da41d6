//! attach: against a tmux server of the test's own.

use std::{ffi::OsString, process::Command};

use super::*;
use crate::{
    error::Kind,
    mux::{Mux, SessionSpec, Tags},
};

/// Ends the world's tmux server, however the test ends.
struct Sessions<'a>(&'a World);

impl Sessions<'_> {
    async fn open(&self, name: &str, namespace: &str, agent: &str) {
        let namespace = Tags::world(namespace, self.0.ops().home().path());
        let tags = Tags { namespace, agent: agent.into(), incarnation: "x".into() };
        let argv = ["sleep", "1000"].map(OsString::from).to_vec();
        let cwd = self.0.folder.path().into();
        let spec = SessionSpec { name: name.into(), cwd, argv, size: (80, 24), env: Vec::new(), tags };
        self.0.ops().mux().open(&spec).await.unwrap();
    }
}

impl Drop for Sessions<'_> {
    fn drop(&mut self) {
        let socket = self.0.folder.path().join("tmux");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

#[tokio::test]
async fn attach_finds_only_agents_of_this_project() {
    let world = World::asleep();
    let ops = world.ops();
    assert_eq!(ops.attach_command(None).await.unwrap_err().kind, Kind::NotRunning);

    let sessions = Sessions(&world);
    sessions.open("opus-master", "test", "opus-1").await;
    sessions.open("shell-1", "test", "shell-1").await;
    sessions.open("shell-2", "another", "shell-2").await;
    for (agent, session) in [
        (None, "opus-master"),
        (Some("opus-1"), "opus-master"),
        (Some("opus-master"), "opus-master"),
        (Some("shell-1"), "shell-1"),
    ] {
        let command = ops.attach_command(agent).await.unwrap();
        let target = command.get_args().last().unwrap().to_string_lossy().into_owned();
        assert!(target.starts_with(&format!("={session}")), "{command:?}");
    }
    let error = ops.attach_command(Some("shell-2")).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.hint.unwrap().contains("shell-1"), "the nearest of those there are");
}
