//! The program from which agents are started: the supervisor's own, even after an upgrade has removed or replaced its
//! file.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    home::{self, Home},
};

/// The kernel keeps a program that runs, whatever became of its file.
const RUNNING: &str = "/proc/self/exe";

/// Returns the path of a file with the program that runs here: its own, or a copy in the state folder where its own was
/// removed or replaced.
///
/// # Errors
/// Configuration: the copy cannot be made.
pub(super) fn own_program(home: &Home) -> Result<PathBuf> {
    let lost = |e: io::Error| Error::internal(format!("our own program is not to be found: {e}"));
    let (path, running) = (std::env::current_exe().map_err(lost)?, fs::metadata(RUNNING).map_err(lost)?);
    if is_program(&path, &running) {
        return Ok(path);
    }
    let copy = home.program().join(format!("orch-{}-{}", running.ino(), running.mtime()));
    if fs::metadata(&copy).is_ok_and(|kept| kept.len() == running.len()) {
        return Ok(copy);
    }
    tracing::warn!("{} is not the program of this supervisor any more: agents are started from a copy", path.display());
    keep(Path::new(RUNNING), &copy).map_err(|e| home::unusable(&copy, &e))?;
    Ok(copy)
}

fn is_program(path: &Path, running: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (running.dev(), running.ino()))
}

/// Copies a program. Under its name it is complete.
fn keep(program: &Path, copy: &Path) -> io::Result<()> {
    home::create_dir(copy.parent().unwrap_or(copy))?;
    let unfinished = copy.with_extension("tmp");
    let _ = fs::remove_file(&unfinished);
    let mut into = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&unfinished)?;
    io::copy(&mut fs::File::open(program)?, &mut into)?;
    drop(into);
    fs::rename(unfinished, copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_complete_and_runs() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("program/orch-1-2");
        keep(Path::new("/bin/true"), &copy).unwrap();
        assert!(std::process::Command::new(&copy).status().unwrap().success());
        let running = fs::metadata(&copy).unwrap();
        assert!(is_program(&copy, &running) && !is_program(Path::new("/bin/true"), &running));
        assert!(!is_program(&dir.path().join("gone"), &running));
    }
}
