//! Runs a program with a time limit, and collects its output.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The time limit of every command, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(90);

/// A program's output, and how it ended.
#[derive(Debug)]
pub struct Output {
    // Shown in the message of a failed test.
    #[allow(dead_code)]
    pub words: String,
    /// The exit code; -1 if a signal ended the program.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Asserts that the program ended with this exit code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Output {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
    /// Asserts that the program succeeded, and returns its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        self.ended(0).stdout
    }
    /// Parses the standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// Asserts that `orch` ended with this code, and that its error message contains all of `expected` and a hint.
#[track_caller]
pub fn refused(output: Output, code: i32, expected: &[&str]) -> Output {
    let output = output.ended(code);
    for part in expected {
        assert!(output.stderr.contains(part), "{part:?} is missing: {output:#?}");
    }
    assert!(output.stderr.starts_with("orch: ") && output.stderr.contains("\n  hint: "), "{output:#?}");
    assert_eq!(output.stdout, "", "{output:#?}");
    output
}

/// A running program.
pub struct Running {
    words: String,
    child: std::process::Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

/// Starts a program with empty standard input.
pub fn start(command: Command) -> Running {
    start_with(command, Stdio::null())
}

/// Runs a program with this standard input.
#[track_caller]
pub fn feed(command: Command, input: &[u8]) -> Output {
    let mut running = start_with(command, Stdio::piped());
    let (mut pipe, input) = (running.child.stdin.take().expect("piped"), input.to_vec());
    // In a thread, because the program may write while it reads. If it stops reading, the pipe breaks.
    let writer = thread::spawn(move || drop(pipe.write_all(&input)));
    let output = running.end();
    writer.join().expect("the writer");
    output
}

fn start_with(mut command: Command, stdin: Stdio) -> Running {
    let words = format!("{command:?}");
    // The environment is the same for all commands of a world, so it is left out.
    let words = words.rsplit_once("/orch\" ").map_or(words.clone(), |(_, words)| format!("orch {words}"));
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{words}: {e}"));
    let stdout = read(child.stdout.take().expect("piped"));
    let stderr = read(child.stderr.take().expect("piped"));
    Running { words, child, stdout, stderr }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub fn end(mut self) -> Output {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if began.elapsed() > LIMIT {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{} did not end within {LIMIT:?}: {:?}", self.words, self.stderr.try_recv());
            }
            thread::sleep(Duration::from_millis(3));
        };
        // A daemon that the program left behind must not keep its pipes open: a reader would wait forever.
        let text = |from: mpsc::Receiver<String>| {
            from.recv_timeout(Duration::from_secs(10))
                .unwrap_or_else(|_| panic!("{}: its output is still open", self.words))
        };
        Output {
            code: status.code().unwrap_or(-1),
            stdout: text(self.stdout),
            stderr: text(self.stderr),
            words: self.words,
        }
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
