//! Opens files in folders that programs can write to: attempts' folders, scratch folders, a master's folder.
//!
//! Files that a program has put there are hostile input. A link could lead anywhere, a pipe would block, a device
//! would never end, a hard link could be a file of the user. So a file is opened below its fixed folder (`runs`,
//! `scratch`, `agents`) without following links, without waiting, and only if it is a regular file with one name; and
//! reads are bounded.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

/// The folders below which programs write.
const FIXED: [&str; 3] = ["runs", "scratch", "agents"];
/// How far above a file its fixed folder is at most: `runs/TASK/ATTEMPT/FILE`.
const DEPTH: usize = 4;
/// A longer line of a program's own record is skipped: one message of a model is far shorter.
const LONGEST_LINE: usize = 8 << 20;
/// A larger record is read up to here.
const LARGEST_RECORD: u64 = 256 << 20;

/// What a file is opened for. Each of those that write creates it (0600) if it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// To be read.
    Reading,
    /// To be appended to, and read.
    Appending,
    /// To be overwritten in place.
    Overwriting,
}

impl For {
    fn flags(self) -> OFlag {
        let own = match self {
            For::Reading => OFlag::O_RDONLY,
            For::Appending => OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT,
            For::Overwriting => OFlag::O_WRONLY | OFlag::O_CREAT,
        };
        own | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW
    }
}

/// Opens a regular file without following a link in or below its fixed folder.
///
/// # Errors
/// Fails when it cannot be opened, is not a regular file, or has a second name.
pub fn open(path: &Path, purpose: For) -> io::Result<File> {
    let (fixed, below) = split(path)?;
    let opened = open_below(&fixed, below, purpose.flags()).map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other(format!("{} is not a file: a link", path.display())),
        _ => e,
    });
    regular(opened?, path)
}

/// Creates a file (0600) in place of whatever is there, except a folder.
///
/// # Errors
/// Fails when it cannot be created.
pub fn create(path: &Path) -> io::Result<File> {
    let (fixed, below) = split(path)?;
    let folder = match below.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => open_below(&fixed, folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)?,
        None => fixed,
    };
    let name = below.file_name().ok_or(Errno::EINVAL)?;
    match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(&folder, name, flags, Mode::from_bits_truncate(0o600))?.into())
}

/// Creates a file with this content in place of whatever is there, except a folder.
///
/// # Errors
/// Fails when it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path)?.write_all(bytes)
}

/// Reads a whole file.
///
/// # Errors
/// As [`open`]; or it has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path, For::Reading)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {}", crate::model::size::human(most))));
    }
    Ok(bytes)
}

/// Opens the record that a program keeps of its conversation, in a folder of its own whose path it has named. Only a
/// regular file of this user is accepted, which is not reached through a link in its last folder; long lines are skipped,
/// and the rest of a very large file is not read.
///
/// # Errors
/// Fails when it is not such a file.
pub fn open_record(path: &Path) -> io::Result<impl BufRead> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} is not a file of this user", path.display())));
    }
    Ok(BufReader::new(Lines { from: BufReader::new(file.take(LARGEST_RECORD)), line: Vec::new(), given: 0 }))
}

/// The lines of a reader, without those that are too long.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    given: usize,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line that is not too long; an empty one at the end.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            self.line.clear();
            self.given = 0;
            let n = (&mut self.from).take(LONGEST_LINE as u64).read_until(b'\n', &mut self.line)?;
            if n < LONGEST_LINE || self.line.ends_with(b"\n") {
                return Ok(());
            }
            self.line.clear();
            self.line.shrink_to(1 << 16);
            skip_line(&mut self.from)?;
        }
    }
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = from.fill_buf()?;
        let (n, is_end) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        from.consume(n);
        if is_end {
            return Ok(());
        }
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() {
            self.advance()?;
        }
        let n = (&self.line[self.given..]).read(into)?;
        self.given += n;
        Ok(n)
    }
}

/// The fixed folder, opened, and the path below it.
fn split(path: &Path) -> io::Result<(OwnedFd, &Path)> {
    let parent = path.parent().ok_or(Errno::EINVAL)?;
    let is_fixed = |folder: &&Path| folder.file_name().is_some_and(|name| FIXED.iter().any(|fixed| name == *fixed));
    let fixed = path.ancestors().skip(1).take(DEPTH).find(is_fixed).unwrap_or(parent);
    let below = path.strip_prefix(fixed).map_err(|_| Errno::EINVAL)?;
    let folder = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(fixed)?;
    Ok((folder.into(), below))
}

fn open_below(folder: &OwnedFd, below: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let mode = if flags.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(0o600) } else { Mode::empty() };
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(folder.as_fd(), below, OpenHow::new().flags(flags).mode(mode).resolve(resolve)) {
        // An old kernel, or a filter of a container that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => open_by_steps(folder, below, flags, mode),
        opened => Ok(opened?),
    }
}

/// The same, one folder after the other.
fn open_by_steps(folder: &OwnedFd, below: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
    let mut at = folder.try_clone()?;
    let mut components = below.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Err(Errno::EXDEV.into()) };
        if components.peek().is_none() {
            return Ok(openat(&at, name, flags | OFlag::O_NOFOLLOW, mode)?);
        }
        let through = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        at = openat(&at, name, through, Mode::empty())?;
    }
    Err(Errno::EINVAL.into())
}

fn regular(file: OwnedFd, path: &Path) -> io::Result<File> {
    let file = File::from(file);
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() <= 1 {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is not a file with a single name", path.display()))),
    }
}

/// Reads a text file that a caller names: at most `limit` bytes of a plain file. A pipe would block, and a device never end.
///
/// # Errors
/// It is no plain file, is larger, is not UTF-8, or cannot be read.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if found.len() > limit {
        return Err(io::Error::other(format!("it has {} bytes, and may have at most {limit}", found.len())));
    }
    let mut text = String::new();
    file.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// `runs/t-1/1` in a new folder.
    fn attempt() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let attempt = dir.path().join("runs/t-1/1");
        fs::create_dir_all(&attempt).unwrap();
        (dir, attempt)
    }

    #[test]
    fn a_file_is_written_and_read_back() {
        let (_dir, attempt) = attempt();
        let path = attempt.join("prompt");
        for text in ["one", "two"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(read(&path, 3).unwrap(), text.as_bytes());
        }
        open(&path, For::Appending).unwrap().write_all(b"3").unwrap();
        assert!(read(&path, 3).unwrap_err().to_string().contains("more than"), "four bytes");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_opened_through_a_link() {
        let (dir, attempt) = attempt();
        let target = dir.path().join("target");
        fs::write(&target, "untouched").unwrap();
        symlink(&target, attempt.join("link")).unwrap();
        fs::hard_link(&target, attempt.join("second-name")).unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::write(dir.path().join("elsewhere/file"), "untouched").unwrap();
        symlink(dir.path().join("elsewhere"), dir.path().join("runs/t-2")).unwrap();
        symlink(dir.path().join("elsewhere"), attempt.join("folder")).unwrap();
        let through = ["runs/t-2/file", "runs/t-2/new", "runs/t-1/1/folder/file", "runs/t-1/1/../1/link"];
        for path in
            [attempt.join("link"), attempt.join("second-name")].into_iter().chain(through.map(|p| dir.path().join(p)))
        {
            for purpose in [For::Reading, For::Appending, For::Overwriting] {
                assert!(open(&path, purpose).is_err(), "{} {purpose:?}", path.display());
            }
        }
        for path in ["runs/t-2/file", "runs/t-1/1/folder/file"] {
            assert!(write(&dir.path().join(path), b"x").is_err(), "{path}");
        }
        // Created again in place of the link, and not through it.
        write(&attempt.join("link"), b"x").unwrap();
        for path in [target, dir.path().join("elsewhere/file")] {
            assert_eq!(fs::read_to_string(path).unwrap(), "untouched");
        }
        assert!(!dir.path().join("elsewhere/new").exists());
    }

    #[test]
    fn nothing_waits_for_a_pipe_and_no_device_is_read() {
        let (_dir, attempt) = attempt();
        let pipe = attempt.join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), &attempt] {
            assert!(open(path, For::Reading).is_err() && read(path, 10).is_err(), "{}", path.display());
            assert!(open_record(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn without_openat2_links_are_not_followed_either() {
        let (dir, attempt) = attempt();
        fs::write(attempt.join("file"), "x").unwrap();
        symlink(&attempt, dir.path().join("runs/t-2")).unwrap();
        let runs: OwnedFd = File::open(dir.path().join("runs")).unwrap().into();
        let by_steps = |below: &str| open_by_steps(&runs, Path::new(below), OFlag::O_RDONLY, Mode::empty());
        by_steps("t-1/1/file").unwrap();
        for below in ["t-2/file", "../runs/t-1/1/file", "/etc/passwd", ""] {
            assert!(by_steps(below).is_err(), "{below}");
        }
    }

    #[test]
    fn a_record_is_read_without_its_longest_lines() {
        let (_dir, attempt) = attempt();
        let path = attempt.join("record.jsonl");
        let long = vec![b'x'; LONGEST_LINE * 2 + 10];
        fs::write(&path, [b"one\n", &long[..], b"\ntwo\nthree"].concat()).unwrap();
        let lines: Vec<String> = open_record(&path).unwrap().lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }
}
