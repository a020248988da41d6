//! The terminal that this process writes to, for giving it back as it was.

use std::io;

use nix::{
    sys::{
        signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
        termios::{FlushArg, SetArg, Termios, tcflush, tcgetattr, tcsetattr},
    },
    unistd::{getpgrp, tcsetpgrp},
};

/// How a terminal was.
#[derive(Debug)]
pub struct Terminal {
    modes: Termios,
}

impl Terminal {
    /// The terminal that is standard output. `None`: it is none.
    pub fn remember() -> Option<Self> {
        tcgetattr(io::stdout()).ok().map(|modes| Terminal { modes })
    }

    /// Makes it ours again, and as it was. What was typed and nobody has read is thrown away: it was meant for somebody
    /// who has ended.
    ///
    /// # Errors
    /// What the system says, most likely that the terminal is gone.
    pub fn restore(&self) -> io::Result<()> {
        // Whoever had the terminal may have taken it from our process group. To speak to it from another one stops a
        // process, unless this signal is kept from it.
        let (stops, mut before) = (SigSet::from(Signal::SIGTTOU), SigSet::empty());
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&stops), Some(&mut before))?;
        let done = tcsetpgrp(io::stdout(), getpgrp())
            .and_then(|()| tcsetattr(io::stdout(), SetArg::TCSANOW, &self.modes))
            .and_then(|()| tcflush(io::stdout(), FlushArg::TCIFLUSH));
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        Ok(done?)
    }
}
