//! What a user sees in the pane. A separate thread writes it, because a terminal may block (copy mode, Ctrl-S, a
//! stopped tmux), and nothing important may wait for it. Output that does not fit in the buffer is dropped with a
//! notice; the log contains everything.
//!
//! While a program has the terminal to itself, nothing is written to it, and our own lines appear only in the log.

use std::{
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::os::Terminal;

/// How many bytes may wait.
const WAITING: usize = 1024 * 1024;
/// How large a buffer is kept when nothing waits.
const KEPT: usize = 16 * 1024;
/// Writes are batched for this long: panes are read by people, and each write wakes the tmux server.
const GATHER: Duration = Duration::from_millis(15);
/// Pending output must have been written within this time; otherwise the terminal is considered stopped.
const WRITTEN: Duration = Duration::from_secs(1);

/// Undoes what a killed program may leave behind on a terminal: the alternate screen, mouse and keyboard reports,
/// bracketed paste, colours, margins, a hidden cursor, its title. Our output begins below whatever it has drawn.
const RESET: &str = "\x1b[?1049l\x1b[?1000;1002;1003;1004;1005;1006;1015;2004;2026l\x1b[<u\x1b[>4;0m\x1b[?1l\x1b>\x1b[?7h\
                     \x1b[4l\x1b[r\x1b[0m\x1b(B\x1b[?25h\x1b]2;\x1b\\\x1b[999;1H\r\n";

/// A handle to the pane.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Pane(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

/// One buffer here and one in the thread, which are swapped: pieces sent from one thread to the other would be freed
/// there, and the allocator caches freed sizes for a thread that never allocates them.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Bytes that were dropped, and are not announced yet.
    left_out: usize,
    /// Whether a program has the terminal to itself.
    is_lent: bool,
    /// Waiters for the earlier output to be written.
    marks: Vec<oneshot::Sender<()>>,
}

/// The terminal while a program has it to itself. When dropped, it is restored.
#[derive(Debug)]
pub(in crate::runner) struct Lent {
    pane: Pane,
    terminal: Option<Terminal>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.terminal.as_ref().map(Terminal::restore) {
            tracing::warn!("the pane's terminal could not be restored: {e}");
        }
        self.pane.0.waiting().is_lent = false;
        self.pane.show(RESET.as_bytes());
    }
}

impl Pane {
    /// Starts the writing thread; it ends with the process.
    pub fn start() -> Self {
        let pane = Pane(Arc::default());
        // Without the thread nothing is shown, but the agent works.
        let terminal = pane.0.clone();
        let write = move || terminal.write_for_ever(&mut std::io::stdout());
        let _ = std::thread::Builder::new().name("pane".into()).stack_size(64 * 1024).spawn(write);
        pane
    }

    /// Returns a pane that is never written, and a function that takes what was printed since its last call.
    #[cfg(test)]
    pub fn unwritten() -> (Self, impl FnMut() -> Vec<u8>) {
        let pane = Pane(Arc::default());
        let shared = pane.0.clone();
        (pane, move || std::mem::take(&mut shared.waiting().bytes))
    }

    /// Gives the terminal to a program, as soon as all earlier output is written.
    pub async fn lend(&self) -> Lent {
        let (mark, written) = oneshot::channel();
        {
            let mut waiting = self.0.waiting();
            waiting.is_lent = true;
            waiting.marks.push(mark);
        }
        self.0.came.notify_one();
        // If the terminal is stopped (Ctrl-S), the program has to wait for it.
        let _ = tokio::time::timeout(WRITTEN, written).await;
        Lent { pane: self.clone(), terminal: Terminal::remember() }
    }

    /// Rings the bell of the terminal: tmux marks the window for clients that show another one. Also while a program
    /// has the terminal: a bell leaves nothing on the screen.
    pub fn ring(&self) {
        self.add(&mut self.0.waiting(), b"\x07");
    }

    /// Prints a line of our own.
    pub fn print(&self, line: &str) {
        self.show(&own_line(line));
    }

    /// Shows a piece of the program's output unchanged: this is the program's own pane.
    pub fn show(&self, piece: &[u8]) {
        let mut waiting = self.0.waiting();
        if !waiting.is_lent {
            self.add(&mut waiting, piece);
        }
    }

    fn add(&self, waiting: &mut Waiting, piece: &[u8]) {
        // A full buffer means that the terminal is too slow.
        if waiting.bytes.len() + piece.len() > WAITING {
            waiting.left_out += piece.len();
        } else {
            waiting.bytes.extend_from_slice(piece);
        }
        self.0.came.notify_one();
    }
}

impl Shared {
    /// Locks the buffer, for the time to copy some bytes.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self, terminal: &mut impl Write) {
        let mut bytes = Vec::new();
        loop {
            let nothing =
                |waiting: &mut Waiting| waiting.bytes.is_empty() && waiting.left_out == 0 && waiting.marks.is_empty();
            drop(self.came.wait_while(self.waiting(), nothing));
            std::thread::sleep(GATHER);
            self.write(&mut bytes, terminal);
        }
    }

    /// Writes all pending output.
    fn write(&self, bytes: &mut Vec<u8>, terminal: &mut impl Write) {
        let mut waiting = self.waiting();
        std::mem::swap(&mut waiting.bytes, bytes);
        let (left_out, marks) = (std::mem::take(&mut waiting.left_out), std::mem::take(&mut waiting.marks));
        drop(waiting);
        if left_out > 0 {
            let line = format!("orch: {} KiB are left out here; orch logs has everything", left_out.div_ceil(1024));
            bytes.extend(b"\r\n");
            bytes.extend(own_line(&line));
        }
        // A closed terminal takes nothing; the runner receives SIGHUP for that.
        let _ = terminal.write_all(bytes).and_then(|()| terminal.flush());
        bytes.clear();
        bytes.shrink_to(KEPT);
        for mark in marks {
            let _ = mark.send(());
        }
    }
}

fn own_line(line: &str) -> Vec<u8> {
    format!("\x1b[2m{}\x1b[0m\r\n", crate::model::text::plain(line.as_bytes())).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_does_not_fit_is_dropped_with_a_notice() {
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
        pane.print("again");
        pane.0.write(&mut bytes, &mut terminal);
        let shown = String::from_utf8(terminal).unwrap();
        assert!(shown.contains("again") && !shown.contains("left out"), "{shown}");
    }

    #[tokio::test]
    async fn while_it_is_lent_nothing_is_written_to_it() {
        let (pane, mut bytes, mut terminal) = (Pane(Arc::default()), Vec::new(), Vec::new());
        pane.print("before");
        let lending = pane.lend();
        tokio::pin!(lending);
        assert!(futures_util::poll!(&mut lending).is_pending(), "earlier output is not written yet");
        pane.0.write(&mut bytes, &mut terminal);
        let lent = lending.await;
        pane.print("meanwhile");
        pane.ring();
        drop(lent);
        pane.print("after");
        pane.0.write(&mut bytes, &mut terminal);
        let written = String::from_utf8(terminal).unwrap();
        let (before, after) = written.split_once(RESET).expect("what a program may have left is undone");
        assert!(before.contains("before") && before.ends_with('\x07') && after.contains("after"), "{written:?}");
        assert!(!written.contains("meanwhile"), "{written:?}");
    }
}
