//! What a person sees in the pane. A thread of its own writes it, because a terminal may block (copy mode, Ctrl-S, a
//! stopped tmux), and nothing that matters may wait for it. What does not fit meanwhile is left out and said so; the
//! log has everything.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

/// How many pieces may wait: at up to 16 KiB each, 1 MiB.
const WAITING: usize = 64;
/// Writes are gathered for this long: a pane is read by eyes, and each write wakes the tmux server.
const GATHER: Duration = Duration::from_millis(15);
/// And in no larger heap: what waits would be held twice.
const GATHERED: usize = 64 * 1024;

/// The way to the pane.
#[derive(Debug, Clone)]
pub(super) struct Pane {
    pieces: SyncSender<Vec<u8>>,
    /// Bytes that found no room, and have not been spoken of yet.
    left_out: Arc<AtomicUsize>,
}

impl Pane {
    /// Starts the writing thread; it ends with the process.
    pub fn start() -> Self {
        let (pieces, waiting) = sync_channel(WAITING);
        // Without the thread nothing is shown; the agent works all the same.
        let left_out = Arc::new(AtomicUsize::new(0));
        let pane = Pane { pieces, left_out: left_out.clone() };
        let write = move || write_all(&waiting, &left_out, &mut std::io::stdout());
        let _ = std::thread::Builder::new().name("pane".into()).stack_size(64 * 1024).spawn(write);
        pane
    }

    /// A line of our own.
    pub fn say(&self, line: &str) {
        self.show(own_line(line));
    }

    /// A piece of the program's output, as it came: this is the program's own pane.
    pub fn show(&self, piece: Vec<u8>) {
        // A full channel means that the terminal does not keep up.
        if let Err(TrySendError::Full(piece)) = self.pieces.try_send(piece) {
            self.left_out.fetch_add(piece.len(), Ordering::Relaxed);
        }
    }
}

fn own_line(line: &str) -> Vec<u8> {
    format!("\x1b[2m{}\x1b[0m\r\n", crate::model::text::plain(line.as_bytes())).into_bytes()
}

fn write_all(waiting: &Receiver<Vec<u8>>, left_out: &AtomicUsize, terminal: &mut impl Write) {
    while let Ok(mut piece) = waiting.recv() {
        std::thread::sleep(GATHER);
        while piece.len() < GATHERED
            && let Ok(more) = waiting.try_recv()
        {
            piece.extend(more);
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let line = format!("orch: {} KiB are left out here; orch logs has everything", missing.div_ceil(1024));
            piece.extend(b"\r\n");
            piece.extend(own_line(&line));
        }
        // A terminal that is gone takes nothing; the runner hears of that by SIGHUP.
        let _ = terminal.write_all(&piece).and_then(|()| terminal.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let (pieces, waiting) = sync_channel(2);
        let pane = Pane { pieces, left_out: Arc::default() };
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
}
