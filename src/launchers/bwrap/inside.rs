//! `orch run-sandboxed`: the first process of a sandbox. It runs inside, with the limits of the program that it starts, and
//! is shielded from it (see [`first_process`]).
//!
//! It forwards signals, reports how the program ended, connects the program to the proxy, and watches the mounts that
//! protect a git repository (see `repository`): when one is lost because a process outside has replaced the mounted file,
//! the sandbox ends, and with it the attempt, which is retried.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::{
        fd::RawFd,
        unix::{ffi::OsStrExt, fs::FileExt, process::CommandExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::{bridge::Bridge, repository::COMMON};
use crate::os::{self, first_process};

/// What the program has left behind gets this long to end cleanly, as without a sandbox.
const GRACE: Duration = Duration::from_millis(200);
/// The longest report.
pub(super) const LONGEST_REPORT: usize = 512;

/// What is to run inside.
#[derive(Debug)]
pub struct Inside {
    /// The descriptor of the file for the report.
    pub report: RawFd,
    /// Whether the program shares the pane's terminal.
    pub on_a_terminal: bool,
    /// The proxy's socket.
    pub proxy: Option<PathBuf>,
    /// The destinations of the role on this machine.
    pub local: Vec<String>,
    /// Mounts that must last.
    pub guard: Vec<PathBuf>,
    /// The name by which the program is called, its file, and its arguments.
    pub program: Vec<OsString>,
}

/// What the first process reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The program has ended with this wait status.
    Ended(i32),
    /// The program could not be started, with this error of the system.
    NotStarted(i32),
    /// The sandbox was ended, for this reason.
    Broken(String),
}

impl Report {
    pub fn read(bytes: &[u8]) -> Option<Report> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (kind, what) = text.split_once('\0')?.0.split_once(' ')?;
        match kind {
            "ended" => what.parse().ok().map(Report::Ended),
            "not-started" => what.parse().ok().map(Report::NotStarted),
            "broken" => Some(Report::Broken(what.to_owned())),
            _ => None,
        }
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let mut text = match self {
            Report::Ended(raw) => format!("ended {raw}"),
            Report::NotStarted(errno) => format!("not-started {errno}"),
            Report::Broken(what) => format!("broken {what}"),
        };
        while text.len() >= LONGEST_REPORT {
            text.pop();
        }
        text.push('\0');
        file.write_all_at(text.as_bytes(), 0)
    }
}

/// Runs the program, and returns the exit code of the sandbox.
///
/// # Errors
/// This is not the first process of a sandbox; or the program could not be started, which was reported.
pub fn run(inside: Inside) -> io::Result<u8> {
    // Before the program exists.
    first_process::shield()?;
    let report = Arc::new(os::inherited(inside.report)?);
    let Some(([name, program], args)) = inside.program.split_first_chunk() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command.arg0(name).args(args);
    let guard = Guard::new(&inside.guard)?;
    if let Some(socket) = inside.proxy {
        command.envs(Bridge::serve(socket, &inside.local)?.variables());
    }
    let watched = guard.map(|guard| {
        let report = report.clone();
        (guard.sweeper(), std::thread::spawn(move || guard.watch(&report)))
    });
    let ended = first_process::run(command, !inside.on_a_terminal, GRACE);
    if let Some((sweep, _)) = watched {
        sweep();
    }
    let what = match &ended {
        Ok(status) => Report::Ended(status.into_raw()),
        Err(error) => Report::NotStarted(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    what.write(&report)?;
    Ok(ended?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Watches the folders of mounts that must last.
struct Guard {
    inotify: Inotify,
    /// The watched names, by the watch of their folder.
    names: BTreeMap<WatchDescriptor, (PathBuf, Vec<OsString>)>,
}

impl Guard {
    fn new(paths: &[PathBuf]) -> io::Result<Option<Guard>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let mut names: BTreeMap<WatchDescriptor, (PathBuf, Vec<OsString>)> = BTreeMap::new();
        let what = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
        for path in paths {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let watch = inotify.add_watch(folder, what)?;
            names.entry(watch).or_insert_with(|| (folder.to_owned(), Vec::new())).1.push(name.to_owned());
        }
        let guard = Guard { inotify, names };
        // Left by an attempt that was killed.
        guard.sweeper()();
        Ok(Some(guard))
    }

    /// Returns what removes the names that must not exist. A repository whose `commondir` is not protected has none.
    fn sweeper(&self) -> impl Fn() + use<> {
        let folders = self.names.values().filter(|(_, names)| !names.iter().any(|name| name == COMMON));
        let planted: Vec<PathBuf> = folders.map(|(folder, _)| folder.join(COMMON)).collect();
        move || planted.iter().for_each(|path| remove(path))
    }

    fn watch(self, report: &File) {
        let sweep = self.sweeper();
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                let (Some(name), Some((folder, names))) = (event.name, self.names.get(&event.wd)) else { continue };
                if names.contains(&name) {
                    let path = folder.join(&name);
                    let what = format!(
                        "{} was replaced while a sandbox protected it; the attempt was ended, because its program could \
                         have changed it",
                        path.display()
                    );
                    let _ = Report::Broken(what).write(report);
                    // With the first process, everything ends.
                    std::process::exit(1);
                }
                if name.as_os_str() == OsStr::from_bytes(COMMON.as_bytes()) {
                    sweep();
                }
            }
        }
    }
}

fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let all = [Report::Ended(15), Report::NotStarted(2), Report::Broken("x was replaced".into())];
        for report in all {
            let file = os::memory_file(c"test", b"").unwrap();
            report.write(&file).unwrap();
            let mut bytes = [0; LONGEST_REPORT];
            let length = file.read_at(&mut bytes, 0).unwrap();
            assert_eq!(Report::read(&bytes[..length]), Some(report));
        }
        assert_eq!(Report::read(b""), None);
        let long = Report::Broken("é".repeat(LONGEST_REPORT));
        let file = os::memory_file(c"test", b"").unwrap();
        long.write(&file).unwrap();
        assert!(file.metadata().unwrap().len() <= LONGEST_REPORT as u64);
    }
}
