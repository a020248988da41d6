//! Follows the file in which a program's hooks leave what they were told ([`crate::drivers::Noted`]).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::os::FileWatch;

/// Read at once.
const PIECE: usize = 16 * 1024;

/// The file of one program, from its beginning.
#[derive(Debug)]
pub(in crate::runner) struct Hooks {
    path: PathBuf,
    file: File,
    watch: FileWatch,
}

impl Hooks {
    /// Makes the file anew: what an earlier program has left in it is nobody's business any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_new_program(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Hooks { watch: FileWatch::new(path)?, file, path: path.to_owned() })
    }

    /// What is there of it at this moment; `None` at its end.
    ///
    /// # Errors
    /// The file does not read.
    pub fn rest(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        let n = self.file.read(&mut piece)?;
        piece.truncate(n);
        Ok((n > 0).then_some(piece))
    }

    /// The next piece, as soon as there is one. May be cancelled.
    ///
    /// # Errors
    /// The file does not read, or is gone with its folder.
    pub async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            // Before the wait: what was written since the last look has woken nobody.
            if let Some(piece) = self.rest()? {
                return Ok(piece);
            }
            if self.watch.changed().await? == crate::os::FileChange::Gone {
                // What was written before is read first.
                if let Some(piece) = self.rest()? {
                    return Ok(piece);
                }
                // Somebody has removed it: the next hook would write where nobody reads.
                let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
                (self.watch, self.file) = (FileWatch::new(&self.path)?, file);
            }
        }
    }
}
