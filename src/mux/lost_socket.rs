//! Recovers a tmux server whose socket was removed: it continues to run with all sessions, but cannot be reached. On
//! SIGUSR1 it creates its socket again (tmux(1), "If the socket is accidentally removed").

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, FileTypeExt},
    path::Path,
};

use nix::sys::signal::Signal;
use tokio::net::UnixStream;

use crate::os::{self, ProcessId};

/// How the kernel names the process of a server.
const SERVER: &str = "tmux: server";

/// Whether nothing is at the server's socket, or something that is no socket.
pub(super) fn is_lost(socket: &Path) -> bool {
    !fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket())
}

/// Asks the server that holds the pane of this process to make its socket again. Returns whether it was asked.
///
/// Only where nothing is in the socket's place: a server that makes its socket removes what is there, and that may be the
/// socket of another server.
///
/// # Errors
/// Fails when the socket's folder cannot be made, or the server cannot be signalled.
pub(super) fn restore(socket: &Path, pane: &ProcessId) -> io::Result<bool> {
    let Some(server) = server_of(pane) else { return Ok(false) };
    if socket.symlink_metadata().is_ok() {
        return Ok(false);
    }
    if let Some(folder) = socket.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    server.signal(Signal::SIGUSR1)?;
    Ok(true)
}

/// Returns the process that listens at a socket; `None` if none does, or it cannot be seen from here.
pub(super) async fn holder(socket: &Path) -> Option<u32> {
    let pid = UnixStream::connect(socket).await.ok()?.peer_cred().ok()?.pid()?;
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

/// Returns the server that holds the pane of this process.
pub(super) fn server_of(pane: &ProcessId) -> Option<ProcessId> {
    let server = os::parent_of(pane).filter(|_| pane.is_alive())?;
    let name = fs::read_to_string(format!("/proc/{}/comm", server.pid)).unwrap_or_default();
    name.starts_with(SERVER).then_some(server)
}
