//! To be woken when a process ends, whoever's child it is.

use std::{io, os::fd::OwnedFd, time::Duration};

use tokio::io::{Interest, unix::AsyncFd};

use super::{pidfd, stat::is_gone};
use crate::os::ProcessId;

/// How often the fallback looks. Seconds are too long for a person who waits, and a look costs some 10 µs.
const POLL: Duration = Duration::from_millis(200);

/// Waits for the end of one process, ours or not. Costs nothing while it waits, but one descriptor.
#[derive(Debug)]
pub struct ExitWatch {
    process: ProcessId,
    /// Readable once the process has ended (all its threads, reaped or not). `None` where the kernel has no pidfds.
    pidfd: Option<AsyncFd<OwnedFd>>,
}

impl ExitWatch {
    /// Starts to watch; `None` when the process has ended already. Call it within a tokio runtime.
    ///
    /// # Errors
    /// No descriptors left. Where there are no pidfds (kernels before 5.3, some containers) it looks every 200 ms.
    pub fn new(process: &ProcessId) -> io::Result<Option<Self>> {
        let pidfd = match pidfd::open(process.pid) {
            // SAFETY: the descriptor is owned, and stays open and the same for as long as it is registered.
            Ok(pidfd) => Some(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? }),
            Err(error) if pidfd::is_unsupported(&error) => None,
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            Err(error) => return Err(error),
        };
        // After the opening: had the pid changed hands before it, the descriptor would be a stranger's.
        Ok(process.is_alive().then_some(ExitWatch { process: *process, pidfd }))
    }

    /// Returns once the process has ended, and at once when called again. May be cancelled at any time.
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
    async fn without_pidfds_it_looks_again_and_again() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let process = ProcessId::of(child.id()).expect("just started");
        let mut watch = ExitWatch { process, pidfd: None };
        assert!(tokio::time::timeout(POLL * 2, watch.exited()).await.is_err(), "it lives");
        child.kill().expect("kill");
        watch.exited().await;
        child.wait().expect("wait");
    }
}
