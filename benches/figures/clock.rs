//! The time at which an agent's program starts, to the microsecond: this binary is run as the program, and reports it.

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

/// The argument with which this binary acts as the program: `figures stamp PIPE`.
pub const STAMP: &str = "stamp";

/// The time limit for the start of a program, in ms.
const LIMIT: u16 = 20_000;

/// Returns the monotonic time, which all processes of this machine share, in ns.
pub fn now() -> i64 {
    // The monotonic clock always exists; a 0 would be visible in the figures.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| t.tv_sec() * 1_000_000_000 + t.tv_nsec())
}

/// Returns the Unix time in ms, like Redis, but with a fraction.
pub fn time_of_day_ms() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1e3
}

/// Acts as an agent's program: writes its start time into the pipe, and exits.
pub fn stamp(pipe: &str) -> ExitCode {
    let started = now();
    let written =
        OpenOptions::new().write(true).open(pipe.trim()).and_then(|mut p| p.write_all(&started.to_le_bytes()));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The name under which this binary reports its start time and then executes claude.
pub const CLAUDE: &str = "claude";
/// The environment variables that name the pipe for the start time, and the real claude.
pub const STAMPS: &str = "BENCH_STAMPS";
pub const CLAUDE_AT: &str = "BENCH_CLAUDE";

/// Returns whether this binary was started as claude.
pub fn is_claude() -> bool {
    std::env::args_os().next().is_some_and(|name| Path::new(&name).file_name() == Some(CLAUDE.as_ref()))
}

/// Writes the start time into the pipe, and executes claude.
pub fn stamp_and_become_claude() -> ExitCode {
    let started = now();
    let Some((pipe, claude)) = std::env::var_os(STAMPS).zip(std::env::var_os(CLAUDE_AT)) else {
        return ExitCode::FAILURE;
    };
    let written = OpenOptions::new().write(true).open(pipe).and_then(|mut p| p.write_all(&started.to_le_bytes()));
    if let Err(e) = written.map(|()| Command::new(claude).args(std::env::args_os().skip(1)).exec()) {
        eprintln!("{e}");
    }
    ExitCode::FAILURE
}

/// The pipe through which programs report their start times.
pub struct Stamps {
    pub path: PathBuf,
    pipe: File,
}

impl Stamps {
    /// Creates the pipe in a folder.
    pub fn new(dir: &Path) -> Result<Self> {
        let path = dir.join("stamps");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Opened for writing too, so that no end of file is read between two programs.
        let pipe = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Stamps { path, pipe })
    }

    /// Waits for the next program, and returns its start time as of [`now`].
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

/// Converts ns to ms.
pub fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// Converts a duration to ms.
pub fn in_ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}
