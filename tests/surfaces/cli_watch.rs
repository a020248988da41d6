//! `orch status --watch` on a real terminal (a pty) and in a pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

fn watch(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orch"));
    command.args(["status", "--watch"]).args(args).current_dir(dir).env_clear();
    command.env("ORCH_HOME", dir.join("home")).env("TERM", "xterm");
    command
}

/// A watch on a terminal of 40 columns, and what it has drawn so far.
struct Terminal {
    child: Child,
    /// Kept open, so that what was drawn can be read after the end.
    slave: OwnedFd,
    master: File,
    drawn: String,
    before: Termios,
    _dir: tempfile::TempDir,
}

impl Terminal {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = Winsize { ws_row: 12, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = watch(dir.path(), &[]).stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let mut terminal = Terminal {
            child,
            slave: pty.slave,
            master: File::from(pty.master),
            drawn: String::new(),
            before,
            _dir: dir,
        };
        terminal.read_until("supervisor stopped");
        terminal.read_until("\x1b[J");
        terminal
    }

    fn read_until(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.drawn.contains(text) {
            let n = self.master.read(&mut bytes).unwrap();
            assert!(n > 0, "the terminal was closed after {:?}", self.drawn);
            self.drawn.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    fn ends_in_order(mut self) {
        self.read_until(LEAVE);
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{:?}", self.drawn);
        assert_eq!(tcgetattr(&self.slave).unwrap(), self.before, "the terminal has its settings back");
    }
}

#[test]
fn q_restores_the_terminal() {
    let mut terminal = Terminal::start();
    assert!(terminal.drawn.starts_with(ENTER), "{:?}", terminal.drawn);
    assert_ne!(tcgetattr(&terminal.slave).unwrap(), terminal.before, "keys come one by one");
    terminal.master.write_all(b"\x1b[Aq").unwrap();
    terminal.ends_in_order();
}

#[test]
fn ctrl_c_and_a_signal_restore_the_terminal() {
    let mut terminal = Terminal::start();
    terminal.master.write_all(b"\x03").unwrap();
    terminal.ends_in_order();
    let terminal = Terminal::start();
    kill(Pid::from_raw(terminal.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    terminal.ends_in_order();
}

#[test]
fn the_watched_status_fits_40_columns() {
    let mut terminal = Terminal::start();
    let page = strip_ansi_escapes::strip_str(&terminal.drawn);
    assert!(page.lines().all(|line| line.chars().count() <= 40), "{page}");
    terminal.master.write_all(b"q").unwrap();
    terminal.ends_in_order();
}

#[test]
fn in_a_pipe_the_watched_status_ends_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [(&["--json"][..], "{\"namespace\":"), (&[][..], "")] {
        let mut child = watch(dir.path(), args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(expected) && line.contains("stopped") && !line.contains('\x1b'), "{line}");
        // Nothing changes any more, so it writes nothing: it has to notice by itself.
        drop(stdout);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
