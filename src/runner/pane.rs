//! What a person sees in the pane. A thread of its own writes it, because a terminal may block (copy mode, Ctrl-S, a
//! stopped tmux), and nothing that matters may wait for it. What does not fit meanwhile is left out and said so; the
//! log has everything.

use std::{
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many bytes may wait.
const WAITING: usize = 1024 * 1024;
/// How large a buffer is kept when nothing waits.
const KEPT: usize = 16 * 1024;
/// Writes are gathered for this long: a pane is read by eyes, and each write wakes the tmux server.
const GATHER: Duration = Duration::from_millis(15);

/// The way to the pane.
#[derive(Debug, Clone)]
pub(super) struct Pane(Arc<Terminal>);

#[derive(Debug, Default)]
struct Terminal {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

/// One buffer here and one with the thread, which change places: pieces that went from one thread to the other would be
/// freed there, and its allocator keeps some of every size for a thread that never asks for any.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Bytes that found no room, and have not been spoken of yet.
    left_out: usize,
}

impl Pane {
    /// Starts the writing thread; it ends with the process.
    pub fn start() -> Self {
        let pane = Pane(Arc::default());
        // Without the thread nothing is shown; the agent works all the same.
        let terminal = pane.0.clone();
        let write = move || terminal.write_for_ever(&mut std::io::stdout());
        let _ = std::thread::Builder::new().name("pane".into()).stack_size(64 * 1024).spawn(write);
        pane
    }

    /// A line of our own.
    pub fn say(&self, line: &str) {
        self.show(&own_line(line));
    }

    /// A piece of the program's output, as it came: this is the program's own pane.
    pub fn show(&self, piece: &[u8]) {
        let mut waiting = self.0.waiting();
        // No room means that the terminal does not keep up.
        if waiting.bytes.len() + piece.len() > WAITING {
            waiting.left_out += piece.len();
        } else {
            waiting.bytes.extend_from_slice(piece);
        }
        self.0.came.notify_one();
    }
}

impl Terminal {
    /// Held for as long as it takes to copy some bytes.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self, terminal: &mut impl Write) {
        let mut bytes = Vec::new();
        loop {
            let nothing = |waiting: &mut Waiting| waiting.bytes.is_empty() && waiting.left_out == 0;
            drop(self.came.wait_while(self.waiting(), nothing));
            std::thread::sleep(GATHER);
            self.write(&mut bytes, terminal);
        }
    }

    /// Writes all that waits.
    fn write(&self, bytes: &mut Vec<u8>, terminal: &mut impl Write) {
        let mut waiting = self.waiting();
        std::mem::swap(&mut waiting.bytes, bytes);
        let left_out = std::mem::take(&mut waiting.left_out);
        drop(waiting);
        if left_out > 0 {
            let line = format!("orch: {} KiB are left out here; orch logs has everything", left_out.div_ceil(1024));
            bytes.extend(b"\r\n");
            bytes.extend(own_line(&line));
        }
        // A terminal that is gone takes nothing; the runner hears of that by SIGHUP.
        let _ = terminal.write_all(bytes).and_then(|()| terminal.flush());
        bytes.clear();
        bytes.shrink_to(KEPT);
    }
}

fn own_line(line: &str) -> Vec<u8> {
    format!("\x1b[2m{}\x1b[0m\r\n", crate::model::text::plain(line.as_bytes())).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let pane = Pane(Arc::default());
        for _ in 0..3 {
            pane.show(&vec![b'x'; WAITING / 2]);
        }
        let (mut bytes, mut terminal) = (Vec::new(), Vec::new());
        pane.0.write(&mut bytes, &mut terminal);
        assert_eq!(terminal.iter().filter(|b| **b == b'x').count(), WAITING);
        assert!(String::from_utf8(terminal).unwrap().contains("orch: 512 KiB are left out here"));
        assert!(bytes.is_empty() && bytes.capacity() <= KEPT, "{}", bytes.capacity());

        let mut terminal = Vec::new();
        pane.say("again");
        pane.0.write(&mut bytes, &mut terminal);
        let shown = String::from_utf8(terminal).unwrap();
        assert!(shown.contains("again") && !shown.contains("left out"), "{shown}");
    }
}
