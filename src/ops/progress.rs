//! A word from an attempt's program about how it goes on: for whoever watches, and against being taken for hung.

use super::Ops;
use crate::error::{Error, Result};

/// The longest word. More than this is a result, or belongs in a file.
const LIMIT: usize = 4_096;

impl Ops {
    /// Records a line about the caller's own task as the event `task.progress`, and counts it as a sign of progress.
    ///
    /// # Errors
    /// Usage: no text, or too much. Failed: the caller has no task, or its attempt is over. NotRunning: there is no Redis.
    pub async fn report_progress(&self, text: &str) -> Result<()> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::usage("there is no progress in an empty text").hint("say what was done, in a line"));
        }
        if text.len() > LIMIT {
            return Err(Error::usage(format!("the text is {} bytes long: at most {LIMIT}", text.len()))
                .hint("report a line, and keep the rest for the result"));
        }
        let Some(attempt) = self.caller.attempt() else {
            return Err(Error::failed("there is no task to report on: only an agent at work has one")
                .hint("delegate the work, and watch it with: orch events -f"));
        };
        self.ask(|s| s.progress(attempt, text)).await
    }
}
