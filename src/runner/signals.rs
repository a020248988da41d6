//! The signals that reach a runner.

use nix::{
    sys::signal::{Signal as Sig, killpg},
    unistd::getpgrp,
};
use tokio::signal::unix::{self, SignalKind};

use crate::error::{Error, Result};

/// A signal, by its meaning in a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl-C was typed in the pane: it stops the attempt's program, not the runner.
    Interrupt,
    /// The pane's terminal is gone: its session was closed, or the tmux server died.
    Hangup,
    /// SIGTERM: the runner is to end.
    Terminate,
}

/// The signals, received since this was created.
pub(super) struct Signals {
    interrupt: unix::Signal,
    hangup: unix::Signal,
    terminate: unix::Signal,
    suspend: unix::Signal,
}

impl Signals {
    pub fn new() -> Result<Self> {
        let listen = |kind| unix::signal(kind).map_err(|e| Error::internal(format!("signals: {e}")));
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            suspend: listen(SignalKind::from_raw(libc::SIGTSTP))?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Signal::Interrupt,
                _ = self.hangup.recv() => return Signal::Hangup,
                _ = self.terminate.recv() => return Signal::Terminate,
                // A program on our terminal has received Ctrl-Z, and would wait for `fg` from a shell. There is no
                // shell, so it is continued immediately.
                _ = self.suspend.recv() => drop(killpg(getpgrp(), Sig::SIGCONT)),
            }
        }
    }
}
