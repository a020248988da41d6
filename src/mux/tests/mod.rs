//! The real multiplexer on real tmux: each test has a server of its own, on a socket in a folder of its own.

mod failures;
mod sessions;
mod typing;
mod words;

use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use super::*;

/// A private tmux server, or the place for one. Ends with its value.
struct Server {
    dir: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tmux.conf"), "").unwrap();
        Server { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> TmuxOptions {
        TmuxOptions {
            socket: Some(self.path("s").to_str().unwrap().to_owned()),
            config: Some(self.path("tmux.conf")),
            ..TmuxOptions::default()
        }
    }

    fn mux(&self) -> TmuxMux {
        TmuxMux::new(self.options())
    }

    /// What a person does at a shell.
    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.path("s")).arg("-f").arg(self.path("tmux.conf")).args(arguments);
        command.env_remove("TMUX").output().unwrap()
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn spec(&self, name: &str) -> SessionSpec {
        SessionSpec {
            name: name.into(),
            cwd: self.dir.path().to_owned(),
            argv: ["sh", "-c", "read line"].map(Into::into).to_vec(),
            size: (80, 24),
            env: vec![],
            tags: Tags { namespace: "shop".into(), agent: name.into(), incarnation: "host/boot/1-2".into() },
        }
    }

    /// A program that stands in for tmux.
    fn script(&self, body: &str) -> PathBuf {
        let path = self.path("fake-tmux");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

async fn names(mux: &TmuxMux) -> Vec<String> {
    mux.sessions().await.unwrap().into_iter().map(|session| session.name).collect()
}

/// Waits for a condition, with a limit that only a failure reaches.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
