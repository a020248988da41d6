//! A page that is redrawn in place on a terminal. The terminal is restored however this ends.

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
    /// The first line of the page that is shown.
    from: usize,
}

/// What a reader asks for by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// q, Ctrl-C, Ctrl-D or Escape.
    Leave,
    /// By this many lines, up where negative; a page has `PAGE` of them.
    Scroll(isize),
}

/// Stands for as many lines as the terminal has.
const PAGE: isize = 1 << 20;

/// Standard input read key by key.
struct Keys {
    stdin: AsyncFd<io::Stdin>,
    before: Termios,
}

impl Screen {
    pub(super) fn open() -> Result<Self, End> {
        let screen = Screen { shown: None, keys: Keys::open(), from: 0 };
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws the next page even if it is the same: the screen was disturbed.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// Scrolls: the next page is drawn from there on, as far as it has lines.
    pub(super) fn scroll(&mut self, by: isize, size: Option<(usize, usize)>) {
        let rows = size.map_or(1, |(_, rows)| rows.saturating_sub(2).max(1)) as isize;
        let by = if by.abs() >= PAGE { rows * by.signum() } else { by };
        self.from = self.from.saturating_add_signed(by);
    }

    /// Draws a page, cut to the terminal's rows, unless it is shown already.
    pub(super) fn draw(&mut self, page: &str, size: Option<(usize, usize)>) -> Result<(), End> {
        let frame = frame(page, size, &mut self.from);
        if self.shown.as_ref() != Some(&frame) {
            write(&frame)?;
            self.shown = Some(frame);
        }
        Ok(())
    }

    /// Returns what the reader asks for next.
    pub(super) async fn key(&self) -> Key {
        match &self.keys {
            Some(keys) => keys.next().await,
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

    async fn next(&self) -> Key {
        loop {
            let Ok(mut ready) = self.stdin.readable().await else { return Key::Leave };
            let mut keys = [0; 64];
            match nix::unistd::read(self.stdin.get_ref(), &mut keys) {
                // The terminal is gone.
                Ok(0) | Err(nix::Error::EIO) => return Key::Leave,
                Ok(n) => match meaning(&keys[..n]) {
                    Some(key) => return key,
                    None => ready.clear_ready(),
                },
                Err(_) => ready.clear_ready(),
            }
        }
    }
}

/// What was typed together: one key, or several that were typed quickly.
fn meaning(typed: &[u8]) -> Option<Key> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    if typed.contains(&CTRL_C) || typed == [ESCAPE] {
        return Some(Key::Leave);
    }
    let (mut lines, mut rest) = (0, typed);
    while !rest.is_empty() {
        let (key, further) = rest.split_at(length_of_key(rest));
        rest = further;
        match key {
            [b'q' | b'Q' | CTRL_D] => return Some(Key::Leave),
            [b'j'] | b"\x1b[B" | b"\x1bOB" => lines += 1,
            [b'k'] | b"\x1b[A" | b"\x1bOA" => lines -= 1,
            [b' '] | b"\x1b[6~" => lines += PAGE,
            [b'b'] | b"\x1b[5~" => lines -= PAGE,
            _ => {}
        }
    }
    (lines != 0).then_some(Key::Scroll(lines))
}

const ESCAPE: u8 = 27;

/// How many bytes the first key has: an escape sequence ends with its final byte (ECMA-48, 5.4), or with what was typed.
fn length_of_key(typed: &[u8]) -> usize {
    match typed {
        [ESCAPE, b'[', parameters @ ..] => {
            parameters.iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(typed.len(), |at| at + 3)
        }
        [ESCAPE, b'O', ..] => typed.len().min(3),
        [ESCAPE, _, ..] => 2,
        _ => 1,
    }
}

/// The bytes that replace the shown page by this one, from its line `from` on, without clearing the screen in between. A line
/// that is too far down is corrected.
fn frame(page: &str, size: Option<(usize, usize)>, from: &mut usize) -> String {
    let rows = size.map_or(usize::MAX, |(_, rows)| rows);
    let lines: Vec<&str> = page.lines().collect();
    let mut frame = "\x1b[H".to_owned();
    let room = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    *from = (*from).min(lines.len() - room);
    for (n, line) in lines.iter().skip(*from).take(room).enumerate() {
        frame.push_str(if n > 0 { "\r\n" } else { "" });
        frame.push_str(line);
        frame.push_str("\x1b[K");
    }
    if room < lines.len() {
        let (above, below) = (*from, lines.len() - room - *from);
        let hidden = match (above, below) {
            (0, below) => format!("({below} more lines: j, k, space)"),
            (above, 0) => format!("({above} lines above)"),
            (above, below) => format!("({above} lines above, {below} below)"),
        };
        frame.push_str(if room > 0 { "\r\n" } else { "" });
        frame.push_str(&format!("{hidden}\x1b[K"));
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
    fn a_frame_overwrites_and_never_scrolls_the_terminal() {
        let drawn = |page: &str, from: usize| frame(page, Some((80, 2)), &mut { from });
        assert_eq!(drawn("a\nb\n", 0), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(drawn("a\nb\n", 9), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(drawn("a\nb\nc\n", 0), "\x1b[Ha\x1b[K\r\n(2 more lines: j, k, space)\x1b[K\x1b[J");
        assert_eq!(drawn("a\nb\nc\n", 1), "\x1b[Hb\x1b[K\r\n(1 lines above, 1 below)\x1b[K\x1b[J");
        assert_eq!(drawn("a\nb\nc\n", 7), "\x1b[Hc\x1b[K\r\n(2 lines above)\x1b[K\x1b[J");
    }

    #[test]
    fn keys_leave_or_scroll() {
        for leave in [&b"q"[..], b"\x03", b"\x1b", b"xq"] {
            assert_eq!(meaning(leave), Some(Key::Leave));
        }
        assert_eq!(
            (meaning(b"\x1b[B"), meaning(b"k"), meaning(b"jjj")),
            (Some(Key::Scroll(1)), Some(Key::Scroll(-1)), Some(Key::Scroll(3)))
        );
        assert_eq!((meaning(b" "), meaning(b"\x1b[5~")), (Some(Key::Scroll(PAGE)), Some(Key::Scroll(-PAGE))));
        assert_eq!((meaning(b"x"), meaning(b"\x1b[C")), (None, None));
        assert_eq!((meaning(b"\x1b[Aq"), meaning(b"\x1b[1;5Cj")), (Some(Key::Leave), Some(Key::Scroll(1))));
    }
}
