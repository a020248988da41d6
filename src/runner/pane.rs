//! What a person sees in the pane. A thread of its own writes it, because a terminal may block (copy mode, Ctrl-S, a
//! stopped tmux), and nothing that matters may wait for it. What does not fit meanwhile is left out and said so; the
//! log has everything.

use std::{
    io::Write,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    time::Duration,
};

/// How many pieces may wait: at up to 16 KiB each, 1 MiB.
const WAITING: usize = 64;
/// Writes are gathered for this long: a pane is read by eyes, and each write wakes the tmux server.
const GATHER: Duration = Duration::from_millis(15);

/// The way to the pane.
#[derive(Debug, Clone)]
pub(super) struct Pane {
    pieces: SyncSender<Vec<u8>>,
}

impl Pane {
    /// Starts the writing thread; it ends with the process.
    pub fn start() -> Self {
        let (pieces, waiting) = sync_channel(WAITING);
        // Without the thread nothing is shown; the agent works all the same.
        let _ =
            std::thread::Builder::new().name("pane".into()).stack_size(64 * 1024).spawn(move || write_all(&waiting));
        Pane { pieces }
    }

    /// A line of our own.
    pub fn say(&self, line: &str) {
        self.show(format!("\x1b[2m{}\x1b[0m\r\n", crate::model::text::plain(line.as_bytes())).into_bytes());
    }

    /// A piece of the program's output, as it came: this is the program's own pane.
    pub fn show(&self, piece: Vec<u8>) {
        // A full channel means that the terminal does not keep up.
        if let Err(TrySendError::Full(_)) = self.pieces.try_send(piece) {
            tracing::debug!("the pane does not keep up: output is left out there");
        }
    }
}

fn write_all(waiting: &Receiver<Vec<u8>>) {
    let mut terminal = std::io::stdout();
    while let Ok(mut piece) = waiting.recv() {
        std::thread::sleep(GATHER);
        while let Ok(more) = waiting.try_recv() {
            piece.extend(more);
        }
        // A terminal that is gone takes nothing; the runner hears of that by SIGHUP.
        let _ = terminal.write_all(&piece).and_then(|()| terminal.flush());
    }
}
