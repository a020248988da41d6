//! The one way to standard output. `println!` panics when nobody reads; here that is an ordinary end.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use super::end::End;
use crate::error::Error;

/// Standard output, buffered until [`Out::flush`].
pub(super) struct Out {
    to: BufWriter<Stdout>,
}

impl Out {
    pub(super) fn stdout() -> Self {
        Out { to: BufWriter::new(io::stdout()) }
    }

    /// Text as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), End> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// One JSON value on a line of its own, or spread out for a person's eyes.
    pub(super) fn json<T: Serialize>(&mut self, value: &T, spread: bool) -> Result<(), End> {
        let text = if spread { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text = text.map_err(|e| Error::internal(format!("the answer cannot be written as JSON: {e}")))?;
        self.text(&text)?;
        self.text("\n")
    }

    /// What was written so far is on its way.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        // Stdout has a buffer by lines of its own, which flush empties as well.
        Ok(self.to.flush()?)
    }
}

/// Returns when nobody reads standard output any more; never where that cannot be told (a file, /dev/null).
///
/// For verbs that follow something: `orch logs -f | head -1` should end with `head`, not with the next line of a log.
pub(super) async fn unread() -> End {
    use tokio::io::{Interest, unix::AsyncFd};
    // SAFETY: standard output stays open, and the same, until the process ends.
    let stdout = unsafe { AsyncFd::register_with_interest(io::stdout(), Interest::ERROR) };
    if let Ok(stdout) = stdout
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return End::Unread;
    }
    std::future::pending().await
}
