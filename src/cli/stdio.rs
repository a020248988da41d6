//! Standard input and output: every answer goes through [`Out`], and a text may come from standard input.
//!
//! `println!` panics when standard output is closed; here that is an ordinary end of a command.

use std::io::{self, BufWriter, Read, Stdout, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// Largest text on standard input. A text is read as a whole by an agent; anything larger belongs in a file.
const TEXT_LIMIT: u64 = 1024 * 1024;

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum End {
    /// Something is wrong; the error is shown.
    Error(Error),
    /// Standard output was closed (`orch logs | head`): nothing is left to do or to show.
    Closed,
}

impl From<Error> for End {
    fn from(e: Error) -> Self {
        End::Error(e)
    }
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => End::Closed,
            _ => End::Error(Error::failed(format!("standard output cannot be written: {e}"))),
        }
    }
}

/// Standard output, buffered until [`Out::flush`].
pub(super) struct Out {
    to: BufWriter<Stdout>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Out { to: BufWriter::new(io::stdout()) }
    }

    /// Writes a text unchanged.
    pub(super) fn text(&mut self, text: &str) -> Result<(), End> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// Writes a JSON value, on one line or, with `pretty`, indented for reading.
    pub(super) fn json<T: Serialize>(&mut self, value: &T, pretty: bool) -> Result<(), End> {
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text = text.map_err(|e| Error::internal(format!("the answer cannot be written as JSON: {e}")))?;
        self.text(&text)?;
        self.text("\n")
    }

    /// Passes everything written so far to the operating system.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        // `Stdout` buffers by line as well, and is flushed with it.
        Ok(self.to.flush()?)
    }
}

/// Returns when standard output is closed by its reader; never where that cannot be detected (a file, /dev/null).
///
/// For verbs that follow something: `orch logs -f | head -1` ends together with `head`, not with the next line.
pub(super) async fn closed() -> End {
    use tokio::io::{Interest, unix::AsyncFd};
    // SAFETY: standard output stays open, and the same, until the process ends.
    let stdout = unsafe { AsyncFd::register_with_interest(io::stdout(), Interest::ERROR) };
    if let Ok(stdout) = stdout
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return End::Closed;
    }
    std::future::pending().await
}

/// The text that an argument stands for; `-` reads standard input.
///
/// # Errors
/// Usage: standard input holds more than 1 MiB, or is not UTF-8. Failed: it cannot be read.
pub(super) fn text(argument: String) -> Result<String> {
    if argument == "-" { read_text(&mut io::stdin().lock()) } else { Ok(argument) }
}

fn read_text(stdin: &mut dyn Read) -> Result<String> {
    const HINT: &str = "write it to a file and name the file in the text or with delegate's --artifact";
    let mut bytes = Vec::new();
    stdin
        .take(TEXT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::failed(format!("standard input cannot be read: {e}")))?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(Error::usage("the text on standard input is larger than 1 MiB").hint(HINT));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::usage(format!("the text on standard input is not UTF-8 (byte {at})")).hint(HINT)
    })
}

/// Catches Ctrl-C.
///
/// # Errors
/// The system refuses it.
pub(super) fn interrupts() -> Result<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::interrupt()).map_err(|e| Error::internal(format!("Ctrl-C cannot be caught: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_text_on_standard_input_is_utf8_of_at_most_one_mebibyte() {
        assert_eq!(text("x".into()), Ok("x".into()));
        let most = vec![b'x'; TEXT_LIMIT as usize];
        assert_eq!(read_text(&mut most.as_slice()).map(|t| t.len()), Ok(most.len()));
        let more = vec![b'x'; TEXT_LIMIT as usize + 1];
        assert_eq!(read_text(&mut more.as_slice()).unwrap_err().kind, Kind::Usage);
        let binary = read_text(&mut b"caf\xe9".as_slice()).unwrap_err();
        assert_eq!(binary.message, "the text on standard input is not UTF-8 (byte 3)");
    }
}
