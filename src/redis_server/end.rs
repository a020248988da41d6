//! Ends the private server without asking it anything: it may be stopped, hung, or out of memory or disk space.

use std::{
    fs::{self, File},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::signal::Signal,
};

use super::{lock, places, process};
use crate::os::ProcessId;

/// Ends the private server of `home` (ORCH_HOME) and removes its socket. A server that does not end on SIGTERM within
/// half of `limit` is killed. Returns its process, or `None` if none was running. Blocks the calling thread.
///
/// Nothing that it has acknowledged is lost: each write is on the disk before it is answered.
pub fn end(home: &Path, limit: Duration) -> Option<ProcessId> {
    let dir = places::server_dir(home);
    let server = holder(&dir);
    if let Some(server) = &server {
        end_process(server, limit);
    }
    let socket = places::socket_path(home).ok().filter(|socket| holder(&dir).is_none() && socket.exists());
    if let Some(Err(e)) = socket.map(|socket| places::remove_socket(&dir, &socket)) {
        tracing::warn!("{e}");
    }
    server
}

fn end_process(server: &ProcessId, limit: Duration) {
    if !process::is_stopped(server) && server.signal(Signal::SIGTERM).is_ok() {
        wait_for_end(server, limit / 2);
    }
    if server.is_alive() {
        process::kill(server);
        wait_for_end(server, limit / 2);
    }
}

/// The process that holds the lock of the server's folder. Only read: the disk may be full or read-only.
fn holder(dir: &Path) -> Option<ProcessId> {
    let path = dir.join(lock::FILE);
    let holder = process::living(fs::read_to_string(&path).ok()?.trim().parse().ok()?)?;
    let is_held = Flock::lock(File::open(&path).ok()?, FlockArg::LockSharedNonblock);
    matches!(is_held, Err((_, Errno::EWOULDBLOCK))).then_some(holder)
}

fn wait_for_end(server: &ProcessId, limit: Duration) {
    let began = Instant::now();
    while server.is_alive() && began.elapsed() < limit {
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_in_a_lock_that_nobody_holds_is_not_ended() {
        let home = tempfile::tempdir().unwrap();
        let dir = places::server_dir(home.path());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(lock::FILE), format!("{:>15}\n", std::process::id())).unwrap();
        assert_eq!(end(home.path(), Duration::ZERO), None);
    }
}
