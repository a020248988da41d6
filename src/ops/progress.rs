//! Progress that the program of an attempt reports: shown to people, and evidence that the program is not hung.

use super::Ops;
use crate::error::{Error, Result};

/// Largest report. Anything larger is a result, or belongs in a file.
const LIMIT: usize = 4_096;

impl Ops {
    /// Records a line about the caller's own task as the event `task.progress`, and counts it as a sign of progress.
    ///
    /// # Errors
    /// Usage: no text, or too large a one. Failed: the caller has no task, or its attempt is over. NotRunning: there is no
    /// Redis.
    pub async fn report_progress(&self, text: &str) -> Result<()> {
        let text = self.redactor().text(text.to_owned());
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::usage("the progress report is empty").hint("write in one line what was done"));
        }
        if text.len() > LIMIT {
            return Err(Error::usage(format!(
                "the progress report is {} bytes long, and may have at most {LIMIT}",
                text.len()
            ))
            .hint("report one line, and leave the rest for the result"));
        }
        let Some(attempt) = self.caller.attempt() else {
            return Err(Error::failed("there is no task to report on: only the program of a running attempt has one")
                .hint("delegate the work, and watch it with: orch events -f"));
        };
        self.ask(|s| s.progress(attempt, text)).await
    }
}
