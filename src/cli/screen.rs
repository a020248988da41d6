//! A page drawn in place on a terminal. The terminal is restored however this ends.

use std::io::{self, IsTerminal, Write};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use tokio::io::unix::AsyncFd;

use super::stdio::End;

/// Alternate screen; hidden cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal while a page is drawn on it.
pub(super) struct Screen {
    shown: Option<String>,
    keys: Option<Keys>,
}

/// Standard input read key by key.
struct Keys {
    stdin: AsyncFd<io::Stdin>,
    before: Termios,
}

impl Screen {
    pub(super) fn open() -> Result<Self, End> {
        let screen = Screen { shown: None, keys: Keys::open() };
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws the next page even if it is the same: the screen was disturbed.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// Draws a page, cut to the terminal's rows, unless it is shown already.
    pub(super) fn draw(&mut self, page: &str, size: Option<(usize, usize)>) -> Result<(), End> {
        let frame = frame(page, size);
        if self.shown.as_ref() != Some(&frame) {
            write(&frame)?;
            self.shown = Some(frame);
        }
        Ok(())
    }

    /// Returns when the reader asks to leave: q, Ctrl-C, Ctrl-D or Escape.
    pub(super) async fn left(&self) {
        match &self.keys {
            Some(keys) => keys.leave().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(keys) = &self.keys {
            // A terminal that is gone needs nothing back.
            let _ = termios::tcsetattr(keys.stdin.get_ref(), SetArg::TCSANOW, &keys.before);
        }
        let _ = write(LEAVE);
    }
}

impl Keys {
    /// `None` where standard input is not a terminal: then only signals end the page.
    fn open() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        // SAFETY: standard input stays open, and the same, until the process ends.
        let stdin = unsafe { AsyncFd::register_with_interest(stdin, tokio::io::Interest::READABLE) }.ok()?;
        let mut by_key = before.clone();
        // A stop with Ctrl-Z would leave the shell on the alternate screen, so Ctrl-C and Ctrl-Z arrive as keys.
        by_key.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        termios::tcsetattr(stdin.get_ref(), SetArg::TCSANOW, &by_key).ok()?;
        Some(Keys { stdin, before })
    }

    async fn leave(&self) {
        const CTRL_C: u8 = 3;
        const CTRL_D: u8 = 4;
        const ESCAPE: u8 = 27;
        loop {
            let Ok(mut ready) = self.stdin.readable().await else { return };
            let mut keys = [0; 64];
            match nix::unistd::read(self.stdin.get_ref(), &mut keys) {
                // The terminal is gone.
                Ok(0) | Err(nix::Error::EIO) => return,
                // An escape sequence (an arrow key) begins with Escape, and is not it.
                Ok(1) if matches!(keys[0], b'q' | b'Q' | CTRL_C | CTRL_D | ESCAPE) => return,
                Ok(n) if keys[..n].iter().any(|k| matches!(*k, b'q' | CTRL_C)) => return,
                Ok(_) | Err(_) => ready.clear_ready(),
            }
        }
    }
}

/// The bytes that replace the shown page by this one without clearing the screen in between.
fn frame(page: &str, size: Option<(usize, usize)>) -> String {
    let rows = size.map_or(usize::MAX, |(_, rows)| rows);
    let lines: Vec<&str> = page.lines().collect();
    let mut frame = "\x1b[H".to_owned();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    for (n, line) in lines.iter().take(shown).enumerate() {
        frame.push_str(if n > 0 { "\r\n" } else { "" });
        frame.push_str(line);
        frame.push_str("\x1b[K");
    }
    if shown < lines.len() {
        let more = format!("({} more lines)", lines.len() - shown);
        frame.push_str(if shown > 0 { "\r\n" } else { "" });
        frame.push_str(&format!("{}\x1b[K", more));
    }
    frame.push_str("\x1b[J");
    frame
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_overwrites_and_never_scrolls() {
        assert_eq!(frame("a\nb\n", Some((80, 2))), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(frame("a\nb\nc\n", Some((80, 2))), "\x1b[Ha\x1b[K\r\n(2 more lines)\x1b[K\x1b[J");
    }
}
