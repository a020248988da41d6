//! When a program of an agent starts, to the microsecond: this very binary, run as that program, says so.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    time::{ClockId, clock_gettime},
    unistd::mkfifo,
};

use crate::Result;

/// The word by which this binary becomes the program: `figures stamp PIPE`.
pub const STAMP: &str = "stamp";

/// This long for a program to start is not slow, but broken.
const LIMIT: u16 = 20_000;

/// A time on the clock that all processes of this machine share, in ns.
pub fn now() -> i64 {
    // The monotonic clock is always there; 0 would show in the figures.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| t.tv_sec() * 1_000_000_000 + t.tv_nsec())
}

/// Time of day in ms, as Redis has it, with its fraction.
pub fn time_of_day_ms() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1e3
}

/// The program of an agent: writes when it was started into the pipe, and is done.
pub fn stamp(pipe: &str) -> ExitCode {
    let started = now();
    let told = OpenOptions::new().write(true).open(pipe.trim()).and_then(|mut p| p.write_all(&started.to_le_bytes()));
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Under this name this binary is claude, after it has said that it was started.
pub const CLAUDE: &str = "claude";
/// Name, in the environment, the pipe to say it through, and the real one.
pub const STAMPS: &str = "BENCH_STAMPS";
pub const CLAUDE_AT: &str = "BENCH_CLAUDE";

/// Whether that is how it was started.
pub fn is_claude() -> bool {
    std::env::args_os().next().is_some_and(|name| Path::new(&name).file_name() == Some(CLAUDE.as_ref()))
}

/// Writes when it was started into the pipe, and becomes claude.
pub fn stamp_and_become_claude() -> ExitCode {
    let started = now();
    let Some((pipe, claude)) = std::env::var_os(STAMPS).zip(std::env::var_os(CLAUDE_AT)) else {
        return ExitCode::FAILURE;
    };
    let told = OpenOptions::new().write(true).open(pipe).and_then(|mut p| p.write_all(&started.to_le_bytes()));
    if let Err(e) = told.map(|()| Command::new(claude).args(std::env::args_os().skip(1)).exec()) {
        eprintln!("{e}");
    }
    ExitCode::FAILURE
}

/// The pipe through which programs say when they started.
pub struct Stamps {
    pub path: PathBuf,
    pipe: File,
}

impl Stamps {
    /// Makes the pipe in a folder.
    pub fn new(dir: &Path) -> Result<Self> {
        let path = dir.join("stamps");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Both ends: it never reads as ended between two programs.
        let pipe = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Stamps { path, pipe })
    }

    /// When the next program started, as [`now`].
    pub fn next(&mut self) -> Result<i64> {
        let mut readable = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, PollTimeout::from(LIMIT))? == 0 {
            return Err(format!("no program was started within {LIMIT} ms").into());
        }
        let mut bytes = [0; 8];
        self.pipe.read_exact(&mut bytes)?;
        Ok(i64::from_le_bytes(bytes))
    }
}

/// Ns as ms.
pub fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// A duration as ms.
pub fn in_ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}
