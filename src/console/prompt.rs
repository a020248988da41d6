//! Reads lines: with rustyline on a terminal, plainly elsewhere. Both block, so each runs on a thread of its own, which
//! passes on what it has read and never waits for the answer.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nix::sys::termios::{self, SetArg, Termios};
use rustyline::{
    Cmd, CompletionType, Config, Context, Editor, Helper, KeyCode, KeyEvent, Modifiers, completion::Completer,
    error::ReadlineError, highlight::Highlighter, hint::Hinter, history::FileHistory, validate::*,
};
use tokio::sync::mpsc::Sender;

use super::{
    complete::Known,
    input::{self, Input, Joiner, Roles},
    screen::Gate,
};
use crate::error::{Error, Result};

const PROMPT: &str = "orch> ";
const GOES_ON: &str = "  ... ";
const HISTORY_LINES: usize = 1_000;
/// Longer texts are not kept in the history: a thousand of them would fill the memory.
const HISTORY_LINE_BYTES: usize = 16 * 1024;

/// The callbacks of rustyline while a line is edited.
struct Assistant {
    known: Arc<Mutex<Known>>,
    gate: Arc<Gate>,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Completer for Assistant {
    type Candidate = String;
    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.known.lock().unwrap_or_else(PoisonError::into_inner).complete(line, pos))
    }
}

impl Hinter for Assistant {
    type Hint = String;
    /// Gives no hints. This is called when a prompt is drawn, with the terminal already set up for it.
    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.gate.shown();
        None
    }
}

impl Validator for Assistant {
    /// Every line is valid. This is called when Enter is pressed, before the prompt goes away.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.gate.away();
        Ok(ValidationResult::Valid(None))
    }
}

/// The prompt on a terminal.
pub(super) struct Prompt {
    editor: Editor<Assistant, FileHistory>,
    gate: Arc<Gate>,
    history: PathBuf,
}

impl Prompt {
    /// Takes the terminal. The history is read from, and kept in, this file (0600).
    ///
    /// # Errors
    /// The terminal can't be used.
    pub fn new(history: &Path, known: Arc<Mutex<Known>>, gate: Arc<Gate>) -> Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)
            .map_err(unusable)?
            .completion_type(CompletionType::List)
            // A pasted text is one text, however many lines it has.
            .bracketed_paste(true)
            .build();
        let mut editor = Editor::with_config(config).map_err(unusable)?;
        // Enter submits; with Alt it begins another line of the same text.
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        editor.set_helper(Some(Assistant { known, gate: gate.clone() }));
        // A history that does not exist or cannot be read is empty. rustyline keeps the file's mode at 0600.
        let _ = editor.load_history(history);
        Ok(Prompt { editor, gate, history: history.to_owned() })
    }

    /// Prints above the prompt, from any thread.
    ///
    /// # Errors
    /// The terminal can't be used.
    pub fn printer(&mut self) -> Result<impl rustyline::ExternalPrinter + Send + 'static> {
        self.editor.create_external_printer().map_err(unusable)
    }

    /// Reads until the person leaves or the terminal is gone, on a thread of its own.
    pub fn read_on(mut self, roles: Roles, inputs: Sender<Input>) {
        std::thread::spawn(move || {
            self.read_all(&roles, &inputs);
            // Before the sender is dropped: the end of the inputs means that printing is free.
            self.gate.gone();
            drop(self);
            drop(inputs);
        });
    }

    fn read_all(&mut self, roles: &Roles, inputs: &Sender<Input>) {
        let mut joiner = Joiner::default();
        loop {
            let read = self.editor.readline(if joiner.is_open() { GOES_ON } else { PROMPT });
            self.gate.away();
            let line = match read {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => {
                    joiner.take();
                    continue;
                }
                // Bytes that are not UTF-8: only this line is lost.
                Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                    let text = "the line is not UTF-8 and was not delegated: set the terminal to UTF-8".to_owned();
                    if inputs.blocking_send(Input::Mistake(text)).is_err() {
                        return;
                    }
                    continue;
                }
                Err(_) => return,
            };
            let Some(text) = joiner.push(&line) else { continue };
            self.remember(&text);
            match input::parse(&text, roles) {
                Input::Quit => return,
                Input::Nothing => {}
                input => {
                    if inputs.blocking_send(input).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn remember(&mut self, text: &str) {
        if text.trim().is_empty() || text.len() > HISTORY_LINE_BYTES {
            return;
        }
        // A history that cannot be written is no error: the line itself was submitted.
        if let Ok(true) = self.editor.add_history_entry(text) {
            let _ = self.editor.append_history(&self.history);
        }
    }
}

fn unusable(e: ReadlineError) -> Error {
    Error::config(format!("this terminal can't be used: {e}"))
        .hint("check TERM, or pipe lines into it: echo 'a task' | orch console")
}

/// Reads lines from a pipe until it ends, on a thread of its own.
pub(super) fn read_pipe(roles: Roles, inputs: Sender<Input>) {
    std::thread::spawn(move || read_lines(io::stdin().lock(), &roles, &inputs));
}

/// Reads lines until they end. A text that was to be continued with `\` is submitted as it is.
pub(super) fn read_lines(mut from: impl BufRead, roles: &Roles, inputs: &Sender<Input>) {
    let mut joiner = Joiner::default();
    loop {
        let mut bytes = Vec::new();
        let ended = !matches!(from.read_until(b'\n', &mut bytes), Ok(n) if n > 0);
        let line = String::from_utf8_lossy(&bytes);
        let text = if ended { Some(joiner.take()) } else { joiner.push(line.trim_end_matches(['\n', '\r'])) };
        let input = text.map_or(Input::Nothing, |text| input::parse(&text, roles));
        let left = input == Input::Quit || input != Input::Nothing && inputs.blocking_send(input).is_err();
        if ended || left {
            return;
        }
    }
}

/// The terminal's settings before the prompt changed them, to be restored when a signal ends the console.
pub(super) struct Before(Option<Termios>);

impl Before {
    /// Remembers them.
    pub fn now() -> Before {
        Before(termios::tcgetattr(io::stdin()).ok())
    }
    /// Restores them.
    pub fn restore(&self) {
        if let Some(before) = &self.0 {
            // Ends bracketed paste (DECSET 2004), as rustyline does when it ends normally.
            let _ = io::Write::write_all(&mut io::stdout(), b"\x1b[?2004l\r\n");
            let _ = io::Write::flush(&mut io::stdout());
            let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    fn roles() -> Roles {
        let names = vec!["shell".into(), "sonnet".into()];
        Roles { names, default: "sonnet".into(), default_is_shell: false, shell: Some("shell".into()) }
    }

    #[test]
    fn a_pipe_is_read_line_by_line_to_its_end() {
        let roles = roles();
        let (sender, mut inputs) = channel(16);
        let text: &[u8] = b"one\n\n@shell ls \\\r\n-la\r\nb\xffd\n/quit now\nlast \\";
        read_lines(text, &roles, &sender);
        drop(sender);
        let mut read = Vec::new();
        while let Some(input) = inputs.blocking_recv() {
            read.push(input);
        }
        let delegate =
            |role: Option<&str>, text: &str| Input::Delegate { role: role.map(str::to_owned), text: text.to_owned() };
        assert_eq!(read[..3], [delegate(None, "one"), delegate(Some("shell"), "ls -la"), delegate(None, "b\u{fffd}d")]);
        assert!(matches!(&read[3], Input::Mistake(text) if text.contains("/quit takes no argument")));
        assert_eq!(read[4..], [delegate(None, "last")]);
    }

    #[test]
    fn quit_ends_a_pipe() {
        let roles = roles();
        let (sender, mut inputs) = channel(16);
        read_lines(&b"/quit\none\n"[..], &roles, &sender);
        drop(sender);
        assert_eq!(inputs.blocking_recv(), None);
    }
}
