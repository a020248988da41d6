//! Waits for changes of a file or folder (`logs -f`), by inotify.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::os::FileChange;

/// Waits for changes of one file; for a folder, for entries that are added, removed or written.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<Descriptor>,
    path: PathBuf,
    /// The identity of the file when the watch began.
    identity: Identity,
    gone: bool,
}

/// Device and inode: the identity of a file at a path.
type Identity = (u64, u64);

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FileWatch {
    /// Starts to watch `path`, which must exist. To miss nothing, create the watch first, then read the file, then
    /// wait. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No such file, not readable, or the user's inotify limits are used up; the message names the path.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::start(path)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot watch {}: {error}", path.display())))
    }

    fn start(path: &Path) -> io::Result<Self> {
        // Before the watch begins: a file that is replaced in between is reported as gone, not missed.
        let identity = identity(path)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let file = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        // An unlinked file that is still open (most likely in the waiting reader) is not "deleted" yet: only its link
        // count changes.
        let unlinked = AddWatchFlags::IN_ATTRIB;
        let entries = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
        inotify.add_watch(path, file | unlinked | entries)?;
        // SAFETY: the descriptor is owned, and stays open and the same for as long as it is registered.
        let inotify = unsafe { AsyncFd::register_with_interest(Descriptor(inotify), Interest::READABLE)? };
        Ok(FileWatch { inotify, path: path.to_owned(), identity, gone: false })
    }

    /// Returns when something has changed since the last call; several changes are reported once. Cancel safe.
    ///
    /// # Errors
    /// Fails when inotify itself fails.
    pub async fn changed(&mut self) -> io::Result<FileChange> {
        if self.gone {
            return Ok(FileChange::Gone);
        }
        loop {
            let mut ready = self.inotify.readable().await?;
            let seen = drain(&self.inotify.get_ref().0)?;
            ready.clear_ready();
            if !seen {
                continue;
            }
            // Regardless of the event's type: what counts is whether the path still refers to the same file.
            self.gone = !identity(&self.path).is_ok_and(|now| now == self.identity);
            return Ok(if self.gone { FileChange::Gone } else { FileChange::Modified });
        }
    }
}

/// Discards all pending events; returns whether there were any.
fn drain(inotify: &Inotify) -> io::Result<bool> {
    let mut seen = false;
    loop {
        match inotify.read_events() {
            Ok(events) => seen |= !events.is_empty(),
            Err(Errno::EAGAIN) => return Ok(seen),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
