//! Follows the file to which a program's hooks append what they were called with ([`crate::drivers::Noted`]).

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    drivers::{Hook, Noted},
    home::files::{self, For},
    os::FileWatch,
};

/// Bytes per read.
const PIECE: usize = 16 * 1024;

/// Most bytes that are read of the file of a program without a screen.
const MOST: u64 = 16 << 20;

/// Returns the answers at whose end something was passed on to the program, so that its turn continued.
pub(in crate::runner) fn kept_answers(path: &Path) -> Vec<String> {
    let text = files::read(path, MOST).unwrap_or_default();
    let noted = text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Noted>(line).ok());
    noted
        .filter_map(|noted| match noted.hook {
            Hook::GoesOn { said } => said,
            _ => None,
        })
        .collect()
}

/// The file of one program, from its beginning.
#[derive(Debug)]
pub(in crate::runner) struct Hooks {
    path: PathBuf,
    file: File,
    watch: FileWatch,
}

impl Hooks {
    /// Creates the file, and discards what an earlier program has left in it.
    ///
    /// # Errors
    /// Fails when the file cannot be created or watched.
    pub fn of_new_program(path: &Path) -> io::Result<Self> {
        let file = files::create(path)?;
        Ok(Hooks { watch: FileWatch::new(path)?, file, path: path.to_owned() })
    }

    /// Returns what can be read now; `None` at the end of the file.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn rest(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        let n = self.file.read(&mut piece)?;
        piece.truncate(n);
        Ok((n > 0).then_some(piece))
    }

    /// Waits for the next piece. Cancel safe.
    ///
    /// # Errors
    /// Fails when the file cannot be read, or was removed with its folder.
    pub async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            // Read before waiting: what was written since the last read triggers no event.
            if let Some(piece) = self.rest()? {
                return Ok(piece);
            }
            if self.watch.changed().await? == crate::os::FileChange::Gone {
                // What was written before is read first.
                if let Some(piece) = self.rest()? {
                    return Ok(piece);
                }
                // The file was removed: the next hook would write where it is not read.
                let file = files::open(&self.path, For::Appending)?;
                (self.watch, self.file) = (FileWatch::new(&self.path)?, file);
            }
        }
    }
}
