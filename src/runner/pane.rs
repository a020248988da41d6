//! What a person sees in the pane. A thread of its own writes it, because a terminal may block (copy mode, Ctrl-S, a
//! stopped tmux), and nothing that matters may wait for it. What does not fit meanwhile is left out and said so; the
//! log has everything.

//!
//! While a program has the terminal to itself, nothing is written to it, and what is said is lost: the log has it.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use crate::os::Terminal;

/// How many pieces may wait: at up to 16 KiB each, 1 MiB.
const WAITING: usize = 64;
/// Writes are gathered for this long: a pane is read by eyes, and each write wakes the tmux server.
const GATHER: Duration = Duration::from_millis(15);
/// And in no larger heap: what waits would be held twice.
const GATHERED: usize = 64 * 1024;

/// What is on its way must have been written within this time, or the terminal is stopped.
const WRITTEN: Duration = Duration::from_secs(1);

/// Undoes what a program on a terminal may leave behind when it is killed: the other screen, mouse and keyboard reports,
/// bracketed paste, colours, margins, a hidden cursor, its title. Ours begins below whatever it has drawn.
const RESET: &str = "\x1b[?1049l\x1b[?1000;1002;1003;1004;1005;1006;1015;2004;2026l\x1b[<u\x1b[>4;0m\x1b[?1l\x1b>\x1b[?7h\
                     \x1b[4l\x1b[r\x1b[0m\x1b(B\x1b[?25h\x1b]2;\x1b\\\x1b[999;1H\r\n";

/// The way to the pane.
#[derive(Debug, Clone)]
pub(super) struct Pane {
    pieces: SyncSender<Piece>,
    /// Whether a program has the terminal to itself.
    lent: Arc<AtomicBool>,
    /// Bytes that found no room, and have not been spoken of yet.
    left_out: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    /// Whoever waits until what came before is written.
    Mark(oneshot::Sender<()>),
}

/// The terminal while a program has it to itself. Dropped, it is ours again, as it was.
#[derive(Debug)]
pub(super) struct Lent {
    pane: Pane,
    terminal: Option<Terminal>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.terminal.as_ref().map(Terminal::restore) {
            tracing::warn!("the pane's terminal is not as it was: {e}");
        }
        self.pane.lent.store(false, Ordering::Relaxed);
        self.pane.show(RESET.into());
    }
}

impl Pane {
    /// Starts the writing thread; it ends with the process.
    pub fn start() -> Self {
        let (pieces, waiting) = sync_channel(WAITING);
        // Without the thread nothing is shown; the agent works all the same.
        let left_out = Arc::new(AtomicUsize::new(0));
        let pane = Pane { pieces, lent: Arc::default(), left_out: left_out.clone() };
        let write = move || write_all(&waiting, &left_out, &mut std::io::stdout());
        let _ = std::thread::Builder::new().name("pane".into()).stack_size(64 * 1024).spawn(write);
        pane
    }

    /// One that nobody writes, and what was said to it since the last look.
    #[cfg(test)]
    pub fn unwritten() -> (Self, impl FnMut() -> Vec<u8>) {
        let (pieces, waiting) = sync_channel(WAITING);
        let text = |piece| if let Piece::Text(text) = piece { text } else { Vec::new() };
        let pane = Pane { pieces, lent: Arc::default(), left_out: Arc::default() };
        (pane, move || waiting.try_iter().flat_map(text).collect())
    }

    /// Gives the terminal to a program, as soon as all that was said is written.
    pub async fn lend(&self) -> Lent {
        self.lent.store(true, Ordering::Relaxed);
        let (mark, mut written) = oneshot::channel();
        let mut mark = Some(Piece::Mark(mark));
        let all_written = async {
            while let Some(piece) = mark.take() {
                match self.pieces.try_send(piece) {
                    Err(TrySendError::Full(piece)) => {
                        mark = Some(piece);
                        tokio::time::sleep(GATHER).await;
                    }
                    _ => break,
                }
            }
            let _ = (&mut written).await;
        };
        // A terminal that is stopped (Ctrl-S) is the program's to wait for.
        let _ = tokio::time::timeout(WRITTEN, all_written).await;
        Lent { pane: self.clone(), terminal: Terminal::remember() }
    }

    /// A line of our own.
    pub fn say(&self, line: &str) {
        self.show(own_line(line));
    }

    /// Rings the bell of the terminal: tmux marks the window for whoever looks at another one. Also where a program has the
    /// terminal: a bell is seen nowhere on it.
    pub fn ring(&self) {
        let _ = self.pieces.try_send(Piece::Text(vec![b'\x07']));
    }

    /// A piece of the program's output, as it came: this is the program's own pane.
    pub fn show(&self, piece: Vec<u8>) {
        if self.lent.load(Ordering::Relaxed) {
            return;
        }
        // A full channel means that the terminal does not keep up.
        if let Err(TrySendError::Full(Piece::Text(piece))) = self.pieces.try_send(Piece::Text(piece)) {
            self.left_out.fetch_add(piece.len(), Ordering::Relaxed);
        }
    }
}

fn own_line(line: &str) -> Vec<u8> {
    format!("\x1b[2m{}\x1b[0m\r\n", crate::model::text::plain(line.as_bytes())).into_bytes()
}

fn write_all(waiting: &Receiver<Piece>, left_out: &AtomicUsize, terminal: &mut impl Write) {
    while let Ok(first) = waiting.recv() {
        std::thread::sleep(GATHER);
        let (mut bytes, mut marks, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some(piece) = next {
            match piece {
                Piece::Text(text) => bytes.extend(text),
                Piece::Mark(mark) => marks.push(mark),
            }
            next = if bytes.len() < GATHERED { waiting.try_recv().ok() } else { None };
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let line = format!("orch: {} KiB are left out here; orch logs has everything", missing.div_ceil(1024));
            bytes.extend(b"\r\n");
            bytes.extend(own_line(&line));
        }
        // A terminal that is gone takes nothing; the runner hears of that by SIGHUP.
        let _ = terminal.write_all(&bytes).and_then(|()| terminal.flush());
        for mark in marks {
            let _ = mark.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let (pieces, waiting) = sync_channel(2);
        let pane = Pane { pieces, lent: Arc::default(), left_out: Arc::default() };
        for _ in 0..3 {
            pane.show(vec![b'x'; 1500]);
        }
        let left_out = pane.left_out.clone();
        drop(pane);
        let mut terminal = Vec::new();
        write_all(&waiting, &left_out, &mut terminal);
        assert_eq!(terminal.iter().filter(|b| **b == b'x').count(), 2 * 1500);
        assert!(String::from_utf8(terminal).unwrap().contains("orch: 2 KiB are left out here"));
        assert_eq!(left_out.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn while_it_is_lent_nothing_is_written_to_it() {
        let (pieces, waiting) = sync_channel(WAITING);
        let pane = Pane { pieces, lent: Arc::default(), left_out: Arc::default() };
        let writer = std::thread::spawn(move || {
            let mut terminal = Vec::new();
            write_all(&waiting, &AtomicUsize::new(0), &mut terminal);
            String::from_utf8(terminal).unwrap()
        });
        pane.say("before");
        let lent = pane.lend().await;
        pane.say("meanwhile");
        drop(lent);
        pane.say("after");
        drop(pane);
        let written = writer.join().unwrap();
        let (before, after) = written.split_once(RESET).expect("what a program may have left is undone");
        assert!(before.contains("before") && after.contains("after") && !written.contains("meanwhile"), "{written:?}");
    }
}
