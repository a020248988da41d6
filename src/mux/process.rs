//! Runs one tmux process per call: two to five milliseconds, and no connection that could break in between.

use std::{
    ffi::{OsStr, OsString},
    io::ErrorKind,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command};

use super::{MuxError, Result, commands::Batch};
use crate::os;

/// The environment variables that are passed to tmux. The first tmux command starts the server, and every pane
/// inherits the server's environment: other variables of ours must not reach the panes.
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

/// Returns whether tmux, and with it every pane of a server that we start, receives this variable.
pub(super) fn is_passed_on(key: &OsStr) -> bool {
    key.to_str().is_some_and(|key| PASSED_ON.contains(&key) || key.starts_with("LC_"))
}

/// How to start a tmux process.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// A name on PATH, or a path.
    pub program: PathBuf,
    /// `-L name` or `-S path`, `-f file`.
    pub server: Vec<OsString>,
    /// Time limit of a call.
    pub limit: Duration,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The output of the commands before the first failure.
    pub text: String,
    /// The error of the command that failed, if one did.
    pub error: Option<MuxError>,
}

impl Answer {
    /// Returns the output if all commands succeeded.
    pub(super) fn text(self) -> Result<String> {
        self.error.map_or(Ok(self.text), Err)
    }
}

impl Program {
    /// Returns a tmux process for the right server, with UTF-8 in any locale and no input; it cannot outlive its
    /// caller, and does not receive the terminal's Ctrl-C.
    fn command(&self, before: &[&str], arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.program);
        // Variables are removed one by one. After `env_clear`, or with a changed PATH, the standard library would copy
        // the whole process for each call (fork) instead of sharing it (vfork).
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

    /// Runs the commands in one process. After an `Err` it is unknown whether they were run.
    pub(super) async fn run(&self, batch: &Batch) -> Result<Answer> {
        self.output(self.command(&[], &batch.arguments()), &[]).await
    }

    /// Does the same with data on standard input.
    pub(super) async fn feed(&self, batch: &Batch, input: &[u8]) -> Result<Answer> {
        let mut command = self.command(&[], &batch.arguments());
        command.stdin(Stdio::piped());
        self.output(command, input).await
    }

    /// Returns the output of `tmux -V`.
    pub(super) async fn version(&self) -> Result<String> {
        self.output(self.command(&["-V"], &[]), &[]).await?.text()
    }

    async fn output(&self, mut command: Command, input: &[u8]) -> Result<Answer> {
        // It may become the server, from which the user's own sessions inherit.
        let mut child = os::as_before(|| command.spawn()).map_err(|error| self.not_started(&error))?;
        let output = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A process that ended without reading reports the reason itself.
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

    /// Returns the error of a process that could not be started.
    fn not_started(&self, error: &std::io::Error) -> MuxError {
        let program = self.program.display().to_string();
        match error.kind() {
            ErrorKind::NotFound => MuxError::Missing { program },
            _ => MuxError::Unreachable(format!("starting {program}: {error}")),
        }
    }

    /// Returns the error of a timeout: the server may be stopped, or overloaded.
    fn silent(&self) -> MuxError {
        MuxError::Unreachable(format!("its server did not answer within {} ms", self.limit.as_millis()))
    }
}
