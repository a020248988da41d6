//! Where the console's text goes: above the prompt on a terminal, or to a pipe as it comes.
//!
//! The side that talks to Redis never waits for a terminal: a thread of its own does the printing, and what a stopped
//! terminal (Ctrl-S) does not take is counted, not kept.

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

use super::page::Page;
use crate::model::text::count;

/// Messages that wait for the terminal; each is at most a result's beginning, so this is about 2 MB at worst.
const WAITING: usize = 256;

/// Whether the prompt stands. rustyline prints above its prompt only while one is there; in the moment between two
/// prompts it writes wherever the cursor is, so the printing thread waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<Prompt>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    #[default]
    Away,
    Stands,
    /// There will be none again.
    Gone,
}

impl Gate {
    /// The prompt stands, or is being drawn with the terminal set for it.
    pub fn stands(&self) {
        self.set(Prompt::Stands);
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
    Pipe { to: RefCell<Box<dyn Write>>, page: Page, broken: Cell<bool> },
}

impl Screen {
    /// Above the prompt of a terminal.
    pub fn above_prompt(printer: impl ExternalPrinter + Send + 'static, gate: std::sync::Arc<Gate>) -> Screen {
        let (sender, texts) = sync_channel(WAITING);
        let printer = std::thread::spawn(move || print_all(&texts, printer, &gate));
        Screen { out: Out::Terminal { sender, printer, missed: Cell::new(0) } }
    }
    /// To anything else, set for this page.
    pub fn pipe(to: Box<dyn Write>, page: Page) -> Screen {
        Screen { out: Out::Pipe { to: RefCell::new(to), page, broken: Cell::new(false) } }
    }

    /// How text is to be set for it now: a window may have changed its size.
    pub fn page(&self) -> Page {
        match &self.out {
            Out::Terminal { .. } => Page::of_stdout(),
            Out::Pipe { page, .. } => *page,
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
                        format!("({lost} not shown: the terminal did not take them)\n{text}\n")
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

    /// Whether nobody reads any more.
    pub fn is_broken(&self) -> bool {
        matches!(&self.out, Out::Pipe { broken, .. } if broken.get())
    }

    /// Prints what is still waiting. For when the prompt is gone.
    pub fn finish(self) {
        if let Out::Terminal { sender, printer, .. } = self.out {
            drop(sender);
            // It only prints; if it panicked, there is nothing left to show.
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
    fn nothing_is_printed_while_no_prompt_stands() {
        let (sender, printed) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let screen = Screen::above_prompt(Recorder(sender), gate.clone());
        screen.say("one");
        assert!(printed.try_recv().is_err());
        gate.stands();
        assert_eq!(printed.recv().as_deref(), Ok("one\n"));
        gate.away();
        screen.say("two");
        gate.gone();
        gate.away();
        screen.finish();
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["two\n"]);
    }

    #[test]
    fn what_a_stopped_terminal_does_not_take_is_counted_not_kept() {
        let (sender, printed) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let screen = Screen::above_prompt(Recorder(sender), gate.clone());
        let many = 10 * WAITING;
        for _ in 0..many {
            screen.say("x");
        }
        gate.stands();
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
        let screen = Screen::pipe(Box::new(Closed), Page { columns: 80, colour: false });
        assert!(!screen.is_broken());
        screen.say("x");
        assert!(screen.is_broken());
    }
}
