//! The console's output: above the prompt on a terminal, or straight to a pipe.
//!
//! The task that talks to Redis never waits for a terminal: a thread prints, and messages that a stopped terminal (Ctrl-S)
//! does not accept are counted and dropped.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use rustyline::ExternalPrinter;

use crate::{
    model::{text::count, time::Timestamp},
    view::{View, terminal},
};

/// Messages that wait for the terminal. Each holds at most the beginning of a result, so this is up to about 2 MB.
const WAITING: usize = 256;

/// Whether the prompt is shown. rustyline prints above its prompt only while there is one; between two prompts it would
/// write wherever the cursor is, so the printing thread waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Prompt>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    #[default]
    Away,
    Shown,
    /// There will be no other.
    Gone,
}

impl Gate {
    /// The prompt is shown, or is being drawn with the terminal set up for it.
    pub fn shown(&self) {
        self.set(Prompt::Shown);
    }
    /// The line was submitted.
    pub fn away(&self) {
        self.set(Prompt::Away);
    }
    /// The console is being left.
    pub fn gone(&self) {
        self.set(Prompt::Gone);
    }
    fn set(&self, to: Prompt) {
        let mut state = self.lock();
        if *state != to && *state != Prompt::Gone {
            *state = to;
            self.changed.notify_all();
        }
    }
    fn wait(&self) {
        let mut state = self.lock();
        while *state == Prompt::Away {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
    fn lock(&self) -> MutexGuard<'_, Prompt> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The console's output.
pub(super) struct Screen {
    out: Out,
}

enum Out {
    Terminal { sender: SyncSender<String>, printer: JoinHandle<()>, missed: Cell<usize> },
    Pipe { to: RefCell<Box<dyn Write>>, view: View, broken: Cell<bool> },
}

impl Screen {
    /// Above the prompt of a terminal.
    pub fn above_prompt(printer: impl ExternalPrinter + Send + 'static, gate: std::sync::Arc<Gate>) -> Screen {
        let (sender, texts) = sync_channel(WAITING);
        let printer = std::thread::spawn(move || print_all(&texts, printer, &gate));
        Screen { out: Out::Terminal { sender, printer, missed: Cell::new(0) } }
    }
    /// To anything else, in this view.
    pub fn pipe(to: Box<dyn Write>, view: View) -> Screen {
        Screen { out: Out::Pipe { to: RefCell::new(to), view, broken: Cell::new(false) } }
    }

    /// How a page looks here now: a window may have changed its size.
    pub fn view(&self) -> View {
        match &self.out {
            Out::Terminal { .. } => terminal::prompt_view(),
            Out::Pipe { view, .. } => View { now: Timestamp::now(), ..*view },
        }
    }

    /// Prints one or more whole lines.
    pub fn say(&self, text: &str) {
        match &self.out {
            Out::Terminal { sender, missed, .. } => {
                let lost = missed.replace(0);
                let text = match lost {
                    0 => format!("{text}\n"),
                    n => {
                        let lost = count(n, "message is", "messages are");
                        format!("({lost} not shown: the terminal did not accept them)\n{text}\n")
                    }
                };
                if let Err(TrySendError::Full(_)) = sender.try_send(text) {
                    missed.set(lost + 1);
                }
            }
            Out::Pipe { to, broken, .. } => {
                let mut to = to.borrow_mut();
                if writeln!(to, "{text}").and_then(|()| to.flush()).is_err() {
                    broken.set(true);
                }
            }
        }
    }

    /// Whether the reader has closed the pipe.
    pub fn is_broken(&self) -> bool {
        matches!(&self.out, Out::Pipe { broken, .. } if broken.get())
    }

    /// Prints what is still waiting. To be called when the prompt is gone.
    pub fn finish(self) {
        if let Out::Terminal { sender, printer, .. } = self.out {
            drop(sender);
            // It only prints; if it has panicked, nothing is left to show.
            let _ = printer.join();
        }
    }
}

fn print_all(texts: &Receiver<String>, mut printer: impl ExternalPrinter, gate: &Gate) {
    while let Ok(text) = texts.recv() {
        gate.wait();
        if printer.print(text).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    struct Recorder(mpsc::Sender<String>);
    impl ExternalPrinter for Recorder {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0.send(text).map_err(|_| rustyline::error::ReadlineError::Eof)
        }
    }

    #[test]
    fn nothing_is_printed_while_there_is_no_prompt() {
        let (sender, printed) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let screen = Screen::above_prompt(Recorder(sender), gate.clone());
        screen.say("one");
        assert!(printed.try_recv().is_err());
        gate.shown();
        assert_eq!(printed.recv().as_deref(), Ok("one\n"));
        gate.away();
        screen.say("two");
        gate.gone();
        gate.away();
        screen.finish();
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["two\n"]);
    }

    #[test]
    fn messages_that_a_stopped_terminal_does_not_accept_are_counted_and_dropped() {
        let (sender, printed) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let screen = Screen::above_prompt(Recorder(sender), gate.clone());
        let many = 10 * WAITING;
        for _ in 0..many {
            screen.say("x");
        }
        gate.shown();
        // Once this much was printed, the channel has room for one more.
        let mut texts: Vec<String> = printed.iter().take(WAITING).collect();
        screen.say("last");
        screen.finish();
        texts.extend(printed.iter());
        let counted = texts.iter().filter_map(|t| t.strip_prefix('(')?.split_once(' ')?.0.parse::<usize>().ok());
        assert_eq!(counted.sum::<usize>() + texts.len(), many + 1);
        assert!(texts.len() <= 2 * WAITING, "{} were kept", texts.len());
        assert!(texts.last().is_some_and(|t| t.ends_with("last\n")));
    }

    #[test]
    fn a_closed_pipe_is_noticed() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let screen = Screen::pipe(Box::new(Closed), View::plain());
        assert!(!screen.is_broken());
        screen.say("x");
        assert!(screen.is_broken());
    }
}
