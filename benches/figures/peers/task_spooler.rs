//! task-spooler: a queue server for one user, a unix socket, and a client process per job.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::Result;

/// The server accepts 1,000 connections, and each unfinished job keeps one.
const JOBS: usize = 500;

/// A private server in a folder. It ends with its jobs when dropped.
pub struct TaskSpooler {
    dir: PathBuf,
}

impl TaskSpooler {
    /// Starts a server that runs `width` jobs concurrently.
    pub fn start(dir: &Path, width: usize) -> Result<Self> {
        let dir = dir.join("task-spooler");
        fs::create_dir(&dir)?;
        let spooler = TaskSpooler { dir };
        spooler.run(&["-S", &width.to_string()]).map_err(|e| format!("tsp: {e}"))?;
        Ok(spooler)
    }

    /// Returns the jobs per second, from the release of a filled queue to the end of its last job.
    pub fn throughput(&self, width: usize, program: &str) -> Result<f64> {
        let gate = self.close()?;
        for _ in 0..JOBS {
            self.add(&[program])?;
        }
        self.run(&["-S", &width.to_string()])?;
        let began = Instant::now();
        self.open(&gate)?;
        self.run(&["-w"])?;
        let rate = JOBS as f64 / began.elapsed().as_secs_f64();
        self.run(&["-C"])?;
        Ok(rate)
    }

    /// Blocks the queue with a job that waits for a pipe.
    pub fn close(&self) -> Result<PathBuf> {
        let gate = self.dir.join("gate");
        let _ = fs::remove_file(&gate);
        mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR)?;
        self.run(&["-S", "1"])?;
        self.add(&["cat", &gate.display().to_string()])?;
        Ok(gate)
    }

    /// Releases the queue.
    pub fn open(&self, gate: &Path) -> Result<()> {
        // Waits for the job to open its end.
        OpenOptions::new().write(true).open(gate)?.write_all(b"go\n").map_err(Into::into)
    }

    /// Adds a job whose output is discarded; returns when the client has exited.
    pub fn add(&self, words: &[&str]) -> Result<()> {
        self.run(&[&["-n"], words].concat())
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("tsp");
        command.args(words).env("TS_SOCKET", self.dir.join("socket")).env("TMPDIR", &self.dir);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("tsp {}: {status}", words.join(" ")).into()) }
    }
}

impl Drop for TaskSpooler {
    fn drop(&mut self) {
        let _ = self.run(&["-K"]);
    }
}
