//! BullMQ: a queue in Redis for Node programs, here with a worker that starts one process per job. Its Redis is the
//! same program with the same settings as orch's: a unix socket, and each write is on disk before it is answered.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use orch::redis_server::find_program;

use crate::Result;

/// The folder in which `scripts/bench` installs the packages.
const PACKAGES: &str = "ORCH_BENCH_PEERS";
const JOBS: usize = 1000;
const LIMIT: Duration = Duration::from_secs(10);

/// A private Redis and a Node process. Both end when dropped.
pub struct BullMq {
    redis: Child,
    node: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl BullMq {
    /// Starts both, with a worker that runs `width` jobs concurrently.
    pub fn start(dir: &Path, width: usize) -> Result<Self> {
        let packages = std::env::var(PACKAGES).map_err(|_| format!("{PACKAGES} is not set"))?;
        if !Path::new(&packages).join("node_modules/bullmq").is_dir() {
            return Err(format!("the package bullmq is not in {packages}").into());
        }
        let dir = dir.join("bullmq");
        std::fs::create_dir(&dir)?;
        let socket = dir.join("redis.sock");
        let program = find_program()?;
        let redis = Command::new(&program.path)
            .arg0(program.argv0)
            .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
            .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
            .arg(&socket)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut peer = BullMq { redis, node: None };
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            if began.elapsed() > LIMIT {
                return Err("its redis-server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/peers/bullmq.cjs");
        let mut node = Command::new("node")
            .args([script, &packages])
            .arg(&socket)
            .arg(width.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (node.stdin.take().ok_or("no pipe")?, node.stdout.take().ok_or("no pipe")?);
        peer.node = Some((node, stdin, BufReader::new(stdout)));
        peer.answer("ready")?;
        Ok(peer)
    }

    /// Returns the jobs per second, from the resumption of a filled, paused queue to the end of its last job.
    pub fn throughput(&mut self, program: &str) -> Result<f64> {
        self.send(&format!("fill {JOBS} {program}"))?;
        self.answer("filled")?;
        self.send(&format!("run {JOBS}"))?;
        let took: f64 = self.answer("ran")?.trim().parse()?;
        Ok(JOBS as f64 / took * 1e3)
    }

    /// Sends a job to the Node process.
    pub fn add(&mut self, words: &[&str]) -> Result<()> {
        self.send(&format!("add {}", words.join(" ")))
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let (_, stdin, _) = self.node.as_mut().ok_or("node does not run")?;
        writeln!(stdin, "{line}").map_err(Into::into)
    }

    /// Waits for a line that begins with `word`, and returns the rest of it.
    fn answer(&mut self, word: &str) -> Result<String> {
        let (_, _, stdout) = self.node.as_mut().ok_or("node does not run")?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        line.strip_prefix(word).map(str::to_owned).ok_or_else(|| format!("node answered '{line}'").into())
    }
}

impl Drop for BullMq {
    fn drop(&mut self) {
        if let Some((mut node, stdin, _)) = self.node.take() {
            drop(stdin);
            let _ = node.kill();
            let _ = node.wait();
        }
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}
