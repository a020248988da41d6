//! Removes secrets from a file that a program has written and that is kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::model::secret::Redactor;

/// A larger file is not kept: nothing reads it, and it would take long to go through.
const LARGEST: u64 = 64 << 20;
/// Bytes that are read together.
const PIECE: usize = 64 * 1024;

/// Replaces a file by the same without secrets, if it has any. Whatever else is at the path is left as it is.
///
/// # Errors
/// Fails when the file cannot be read, or the other one cannot be written; then the file is removed.
pub(in crate::runner) fn redact(path: &Path, redactor: &Redactor) -> io::Result<()> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let Ok(mut file) = open else { return Ok(()) };
    let Ok(meta) = file.metadata() else { return Ok(()) };
    if !meta.is_file() {
        return Ok(());
    }
    let redacted = path.with_extension("redacted");
    let result = match meta.len() <= LARGEST {
        true => copy(&mut file, &redacted, redactor, meta.len()),
        false => Err(io::ErrorKind::FileTooLarge.into()),
    };
    let replaced = result.and_then(|is_changed| if is_changed { fs::rename(&redacted, path) } else { Ok(()) });
    let _ = fs::remove_file(&redacted);
    replaced.inspect_err(|_| drop(fs::remove_file(path)))
}

/// Returns whether there was a secret; otherwise nothing was written for a file of one piece.
fn copy(file: &mut File, to: &Path, redactor: &Redactor, length: u64) -> io::Result<bool> {
    let mut piece = vec![0; PIECE.min(length as usize + 1)];
    let mut stream = redactor.clone();
    let (mut out, mut read, mut written) = (Vec::new(), Vec::new(), None::<File>);
    loop {
        let n = file.read(&mut piece)?;
        read.extend_from_slice(&piece[..n]);
        out.extend(if n == 0 { stream.finish() } else { stream.feed(&piece[..n]) });
        // Nearly every result is one piece, and has no secret.
        if n == 0 && written.is_none() && out == read {
            return Ok(false);
        }
        if n == 0 || read.len() > LARGEST as usize / 64 {
            let to = match &mut written {
                Some(to) => to,
                None => {
                    let _ = fs::remove_file(to);
                    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
                    written.insert(new)
                }
            };
            to.write_all(&out)?;
            out.clear();
            read.clear();
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_has_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answer.json");
        let redactor = Redactor::new(["hunter2-hunter2"].into_iter());
        redact(&path, &redactor).unwrap();
        assert!(!path.exists());
        for filler in [0, PIECE - 4, PIECE * 40] {
            let filler = "x".repeat(filler);
            for (text, kept) in [("hunter2-hunter2", "[redacted]"), ("nothing", "nothing")] {
                fs::write(&path, format!("{filler}{text}{filler}")).unwrap();
                redact(&path, &redactor).unwrap();
                assert!(fs::read_to_string(&path).unwrap() == format!("{filler}{kept}{filler}"));
            }
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_of_the_attempt_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("answer.json"), dir.path().join("other"));
        fs::write(&other, "hunter2-hunter2").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        redact(&path, &Redactor::new(["hunter2-hunter2"].into_iter())).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "hunter2-hunter2");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        redact(&path, &Redactor::default()).unwrap();
    }
}
