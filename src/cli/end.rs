//! Why a command ended before it was done.

use std::io;

use crate::error::Error;

/// Why a command ended before it was done.
#[derive(Debug)]
pub(super) enum End {
    /// Something is wrong, and is said.
    Error(Error),
    /// Nobody reads our standard output any more (`orch logs | head`): nothing is left to be done, nor to be said.
    Unread,
}

impl From<Error> for End {
    fn from(e: Error) -> Self {
        End::Error(e)
    }
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => End::Unread,
            _ => End::Error(Error::failed(format!("standard output cannot be written: {e}"))),
        }
    }
}
