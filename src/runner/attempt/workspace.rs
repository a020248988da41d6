//! The files that one attempt's program receives, and the file in which it leaves its result.
//!
//! An agent program gets the attempt's own folder, where its files stay. A shell script or custom program gets paths
//! in a folder of the runner that every attempt reuses, so that an attempt without output creates no files. At the
//! end, what is to be kept is moved to the attempt's folder, and everything else is removed.
//!
//! Both folders are in the state folder, and not in memory (`$XDG_RUNTIME_DIR`, `/dev/shm`): systemd empties those
//! when the user logs out, while agents continue, and overwriting an existing file costs the same on a disk.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    drivers::ResultFile,
    home::{
        self, Home, RESULT,
        files::{self, For},
    },
    store::tasks::Claimed,
};

#[cfg(test)]
mod fuzz;

/// A larger result file is not read: its text could not be stored completely anyway.
const LARGEST_RESULT: u64 = 4 * 1024 * 1024;

/// File names in an attempt's folder.
const PROMPT: &str = "prompt";
const CONTEXT: &str = "context.json";

/// The files of one attempt.
pub(in crate::runner) struct Workspace {
    /// The attempt's folder. It may not exist while the files are in the runner's.
    pub dir: PathBuf,
    pub prompt: PathBuf,
    pub context: PathBuf,
    pub result: PathBuf,
    is_shared: bool,
}

impl Workspace {
    /// Returns the files of an attempt in its own folder.
    pub fn in_own_folder(home: &Home, claimed: &Claimed) -> Self {
        let dir = home.run(&claimed.task.id, claimed.attempt);
        Workspace {
            prompt: dir.join(PROMPT),
            context: dir.join(CONTEXT),
            result: dir.join(RESULT),
            dir,
            is_shared: false,
        }
    }

    /// Returns the files of an attempt in the runner's folder. The result's file name is unique to the attempt: processes
    /// left from an earlier program cannot write into it.
    pub fn in_runners_folder(home: &Home, incarnation: &str, claimed: &Claimed) -> Self {
        // Not the incarnation's own folder, whose siblings belong to other runners: a program may clean up around its
        // files.
        let shared = home.scratch(incarnation).join("files");
        Workspace {
            dir: home.run(&claimed.task.id, claimed.attempt),
            prompt: shared.join(PROMPT),
            context: shared.join(CONTEXT),
            result: shared.join(format!("answer-{}.json", claimed.fence)),
            is_shared: true,
        }
    }

    /// Writes the files that the program reads. In the runner's folder they overwrite those of its last attempt.
    ///
    /// # Errors
    /// Fails when a file cannot be written.
    pub fn write<'a>(
        &self,
        home: &Home,
        prompt: &[u8],
        context: &[u8],
        more: impl Iterator<Item = (PathBuf, &'a [u8])>,
    ) -> io::Result<()> {
        if self.is_shared {
            // Output and results are kept below `runs/`. An attempt whose output has nowhere to go must not begin.
            if !fs::metadata(home.runs())?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let write = || {
                write_over(&self.prompt, prompt)?;
                write_over(&self.context, context)
            };
            if write().is_err() {
                // It is the first attempt, or an earlier one has replaced a file by something else.
                let _ = fs::remove_dir_all(self.files());
                home::create_dir(self.files())?;
                write()?;
            }
        } else {
            home::create_dir(&self.dir)?;
            // Redis may have lost an attempt of this number.
            let _ = fs::remove_file(&self.result);
            home::write_new(&self.prompt, prompt)?;
            home::write_new(&self.context, context)?;
        }
        more.into_iter().try_for_each(|(path, bytes)| home::write_new(&path, bytes))
    }

    /// Returns the folder of the files.
    pub fn files(&self) -> &Path {
        self.prompt.parent().unwrap_or(&self.dir)
    }

    /// Returns what the program left, or why that cannot be read.
    pub fn read_result(&self) -> Result<Option<ResultFile>, String> {
        // Named by where it will be kept.
        let kept = self.dir.join(RESULT);
        read(&self.result).map_err(|why| format!("its result file {} cannot be read: {why}", kept.display()))
    }

    /// Ends the use of the files. Moves them to the attempt's folder if there is output, which has created that
    /// folder, or a result. Returns whether there is. A file that cannot be moved does not fail the attempt: Redis
    /// receives its result.
    pub fn keep(&self, has_output: bool) -> bool {
        let Some(shared) = self.prompt.parent().filter(|_| self.is_shared) else { return true };
        let has_result = fs::symlink_metadata(&self.result).is_ok();
        let is_kept = has_output || has_result;
        if is_kept && let Err(e) = self.move_all(has_result) {
            tracing::warn!("not all files of {} are kept: {e}", self.dir.display());
        }
        // Anything else that the program has left there would be in the way of the next one.
        let is_ours = |entry: fs::DirEntry| entry.file_name() == PROMPT || entry.file_name() == CONTEXT;
        if !fs::read_dir(shared).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(is_ours))) {
            let _ = fs::remove_dir_all(shared);
        }
        is_kept
    }

    fn move_all(&self, has_result: bool) -> io::Result<()> {
        home::create_dir(&self.dir)?;
        if has_result {
            fs::rename(&self.result, self.dir.join(RESULT))?;
        }
        fs::rename(&self.prompt, self.dir.join(PROMPT))?;
        fs::rename(&self.context, self.dir.join(CONTEXT))
    }
}

/// Overwrites a file in place. It is truncated afterwards and not before: ext4 flushes a file that was truncated to
/// zero as soon as it is closed.
fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = files::open(path, For::Overwriting)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

fn read(path: &Path) -> Result<Option<ResultFile>, String> {
    let bytes = match files::read(path, LARGEST_RESULT) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| e.to_string())?,
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    // It must be an object: a list of a struct's fields in order would be accepted as well.
    let fields: serde_json::Map<_, _> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    serde_json::from_value(fields.into()).map(Some).map_err(|e| e.to_string())
}
