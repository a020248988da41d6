//! Saves and restores the terminal that this process writes to.

use std::io;

use nix::{
    sys::{
        signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
        termios::{FlushArg, SetArg, Termios, tcflush, tcgetattr, tcsetattr},
    },
    unistd::{getpgrp, tcsetpgrp},
};

/// The saved state of a terminal.
#[derive(Debug)]
pub struct Terminal {
    modes: Termios,
}

impl Terminal {
    /// Saves the state of the terminal on standard output. `None`: standard output is not a terminal.
    pub fn remember() -> Option<Self> {
        tcgetattr(io::stdout()).ok().map(|modes| Terminal { modes })
    }

    /// Takes the terminal back and restores its state. Unread input is discarded: it was typed for a program that has
    /// ended.
    ///
    /// # Errors
    /// Fails when the terminal is gone.
    pub fn restore(&self) -> io::Result<()> {
        // The program may have taken the terminal from our process group. Writing settings from another group stops a
        // process, unless this signal is blocked.
        let (stops, mut before) = (SigSet::from(Signal::SIGTTOU), SigSet::empty());
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stops), Some(&mut before))?;
        let done = tcsetpgrp(io::stdout(), getpgrp())
            .and_then(|()| tcsetattr(io::stdout(), SetArg::TCSANOW, &self.modes))
            .and_then(|()| tcflush(io::stdout(), FlushArg::TCIFLUSH));
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        Ok(done?)
    }
}
