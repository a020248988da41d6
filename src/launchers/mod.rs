//! Where an agent's program runs.
//!
//! A driver says *what* is started ([`Start`]); a [`Launcher`] says *where*: it makes the program's files, builds the
//! command that starts it there, and ends what the program has left behind. The runner does the rest in the same way for
//! every launcher: pipes or terminal, time limits, signals to the program itself.
//!
//! [`Direct`] runs the program as the runner's own child, with the rights of the user. It is the only launcher so far.
//!
//! Whether a program can be started at all is [`preflight`]'s to say.
//!
//! To add a launcher: a file here with a type that implements [`Launcher`], and a line in [`of`].

mod direct;
pub mod preflight;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

pub use self::direct::Direct;
use crate::{config::Role, drivers::Start, os::EndReport};

/// One start of a program.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// How its driver wants it to be started.
    pub start: &'a Start,
    /// The working folder, absolute.
    pub cwd: &'a Path,
    /// The whole environment. Of a name that occurs twice, the last value counts.
    pub env: Vec<(&'a OsStr, &'a OsStr)>,
}

/// A place where programs run.
///
/// One launcher serves one runner, which runs one program at a time; so "the program" needs no further name.
pub trait Launcher: Send + Sync {
    /// Writes the files (mode 0600) that the program finds when it starts.
    ///
    /// # Errors
    /// What the system says.
    fn prepare(&self, files: &[(PathBuf, Vec<u8>)]) -> io::Result<()>;

    /// Returns the command that starts the program. Its standard streams and its process group are up to the caller.
    fn command(&self, invocation: &Invocation) -> Command;

    /// Reports whether any process that the program has started still exists, the program included. Zombies count.
    fn is_alive(&self) -> bool;

    /// Ends every process that the program has started, except `keep` and their descendants: TERM, `grace` for them to end,
    /// then KILL until none is left or `limit` has passed. Blocks.
    ///
    /// The exit status of the program itself must have been collected before.
    ///
    /// # Errors
    /// The processes can't be listed, so it is unknown what is left.
    fn end(&self, keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport>;
}

/// Returns the launcher of a role's programs.
pub fn of(_role: &Role) -> &'static dyn Launcher {
    &Direct
}
