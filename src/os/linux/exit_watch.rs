//! Waits for the end of any process, not only of a child.

use std::{io, os::fd::OwnedFd, time::Duration};

use tokio::io::{Interest, unix::AsyncFd};

use super::{pidfd, stat::is_gone};
use crate::os::ProcessId;

/// Polling interval of the fallback. Seconds would be too long for an interactive user, and a check costs about 10 µs.
const POLL: Duration = Duration::from_millis(200);

/// Waits for the end of one process, ours or not. While waiting it costs one descriptor and nothing else.
#[derive(Debug)]
pub struct ExitWatch {
    process: ProcessId,
    /// Readable once the process has ended (all its threads, reaped or not). `None` where the kernel has no pidfds.
    pidfd: Option<AsyncFd<OwnedFd>>,
}

impl ExitWatch {
    /// Starts to watch; `None` when the process has already ended. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Fails when no descriptors are left. Without pidfds (kernels before 5.3, some containers) it polls every 200 ms.
    pub fn new(process: &ProcessId) -> io::Result<Option<Self>> {
        let pidfd = match pidfd::open(process.pid) {
            // SAFETY: the descriptor is owned, and stays open and the same for as long as it is registered.
            Ok(pidfd) => Some(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? }),
            Err(error) if pidfd::is_unsupported(&error) => None,
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            Err(error) => return Err(error),
        };
        // Compared after opening: had the pid been reused before, the descriptor would refer to another process.
        Ok(process.is_alive().then_some(ExitWatch { process: *process, pidfd }))
    }

    /// Returns once the process has ended; returns immediately when called again. Cancel safe.
    pub async fn exited(&mut self) {
        if let Some(pidfd) = &self.pidfd
            && pidfd.readable().await.is_ok()
        {
            return;
        }
        while self.process.is_alive() {
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_pidfds_it_polls() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let process = ProcessId::of(child.id()).expect("just started");
        let mut watch = ExitWatch { process, pidfd: None };
        assert!(tokio::time::timeout(POLL * 2, watch.exited()).await.is_err(), "it lives");
        child.kill().expect("kill");
        watch.exited().await;
        child.wait().expect("wait");
    }
}
