//! One tmux process for each call: two to five milliseconds, and nothing that could be lost in between.

use std::{
    ffi::{OsStr, OsString},
    io::ErrorKind,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command};

use super::{MuxError, Result, commands::Batch};

/// The variables that tmux gets from us. The first tmux command starts the server, and every pane inherits the server's
/// environment: whatever else is in ours is none of the panes' business.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TMUX_TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "EDITOR",
    "VISUAL",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "LD_LIBRARY_PATH",
];

/// Whether tmux, and with it every pane of a server that we start, gets this variable of ours.
pub(super) fn is_passed_on(key: &OsStr) -> bool {
    key.to_str().is_some_and(|key| PASSED_ON.contains(&key) || key.starts_with("LC_"))
}

/// How one tmux process is started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// A name on PATH, or a path.
    pub program: PathBuf,
    /// `-L name` or `-S path`, `-f file`.
    pub server: Vec<OsString>,
    /// How long a call may take.
    pub limit: Duration,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the commands printed before one of them failed, if one did.
    pub text: String,
    /// Why the rest was dropped.
    pub error: Option<MuxError>,
}

impl Answer {
    /// The text, if all went well.
    pub(super) fn text(self) -> Result<String> {
        self.error.map_or(Ok(self.text), Err)
    }
}

impl Program {
    /// A tmux process of ours: the right server, UTF-8 whatever the locale, no input, no way to outlive its caller, and
    /// out of reach of the terminal's Ctrl-C.
    fn command(&self, before: &[&str], arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.program);
        // Taken out one by one. After `env_clear`, or with a PATH of its own, the standard library would copy the whole of
        // this process for each call (fork), where it otherwise lends it (vfork).
        for (key, _) in std::env::vars_os().filter(|(key, _)| !is_passed_on(key)) {
            command.env_remove(key);
        }
        command
            .arg("-u")
            .args(before)
            .args(&self.server)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs the commands in one process. An `Err` leaves open whether they were run.
    pub(super) async fn run(&self, batch: &Batch) -> Result<Answer> {
        self.output(self.command(&[], &batch.arguments()), &[]).await
    }

    /// The same with something to read on standard input.
    pub(super) async fn feed(&self, batch: &Batch, input: &[u8]) -> Result<Answer> {
        let mut command = self.command(&[], &batch.arguments());
        command.stdin(Stdio::piped());
        self.output(command, input).await
    }

    /// What `tmux -V` prints.
    pub(super) async fn version(&self) -> Result<String> {
        self.output(self.command(&["-V"], &[]), &[]).await?.text()
    }

    async fn output(&self, mut command: Command, input: &[u8]) -> Result<Answer> {
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let output = async {
            if let Some(mut stdin) = child.stdin.take() {
                // One that has ended without reading says itself why.
                let _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(self.limit, output)
            .await
            .map_err(|_| self.silent())?
            .map_err(|error| MuxError::Unreachable(format!("reading from {}: {error}", self.program.display())))?;
        let error = (!output.status.success()).then(|| MuxError::from_tmux(&String::from_utf8_lossy(&output.stderr)));
        Ok(Answer { text: String::from_utf8_lossy(&output.stdout).into_owned(), error })
    }

    /// Why a process did not come to be.
    fn not_started(&self, error: &std::io::Error) -> MuxError {
        let program = self.program.display().to_string();
        match error.kind() {
            ErrorKind::NotFound => MuxError::Missing { program },
            _ => MuxError::Unreachable(format!("starting {program}: {error}")),
        }
    }

    /// The server may be stopped, or busy for too long.
    fn silent(&self) -> MuxError {
        MuxError::Unreachable(format!("its server did not answer within {} ms", self.limit.as_millis()))
    }
}
