//! The conversation of a program on a terminal, which the next program of the same agent resumes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    config::DriverKind,
    drivers::Hook,
    home::{read_json, write_atomically},
};

const FILE: &str = "conversation.json";

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    driver: DriverKind,
    session: String,
}

/// The conversation to resume, and the current one.
#[derive(Debug)]
pub(in crate::runner) struct Conversation {
    file: PathBuf,
    driver: DriverKind,
    /// The program's own name for it, once reported.
    session: Option<String>,
    /// The content of the file.
    written: Option<String>,
}

impl Conversation {
    /// Reads the conversation that is recorded in this folder.
    pub fn of(dir: &Path, driver: DriverKind) -> Self {
        let file = dir.join(FILE);
        let known = read_json::<Written>(&file).filter(|w| w.driver == driver && !w.session.is_empty());
        let session = known.map(|written| written.session);
        Conversation { file, driver, written: session.clone(), session }
    }

    /// Returns the conversation to resume.
    pub fn to_resume(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Forgets the conversation, which cannot be resumed: the next program starts a new one.
    pub fn forget(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        (self.session, self.written) = (None, None);
    }

    /// Handles a hook of the program. Until the first prompt a program cannot resume its conversation, so it is
    /// recorded with that prompt.
    pub fn handle(&mut self, hook: &Hook) {
        match hook {
            Hook::Began { session: Some(session), .. } => self.session = Some(session.clone()),
            Hook::Prompt { .. } if self.session != self.written => {
                let Some(session) = self.session.clone() else { return };
                let written = Written { driver: self.driver, session };
                let bytes = serde_json::to_vec(&written).unwrap_or_default();
                match write_atomically(&self.file, &bytes) {
                    Ok(()) => self.written = Some(written.session),
                    Err(e) => tracing::warn!("the conversation could not be recorded: {e}"),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::Source;

    fn began(session: &str) -> Hook {
        Hook::Began { session: Some(session.into()), source: Source::Startup, record: None }
    }

    #[test]
    fn a_conversation_is_resumed_only_after_its_first_prompt() {
        let dir = tempfile::tempdir().unwrap();
        let of = |driver| Conversation::of(dir.path(), driver);
        let mut first = of(DriverKind::Claude);
        first.handle(&began("s-1"));
        assert_eq!(of(DriverKind::Claude).to_resume(), None, "it has no prompt yet");
        first.handle(&Hook::Prompt { text: "hello".into() });
        assert_eq!(of(DriverKind::Claude).to_resume(), Some("s-1"));
        assert_eq!(of(DriverKind::Codex).to_resume(), None, "it belongs to another program");
        first.handle(&began("s-2"));
        first.handle(&Hook::Prompt { text: "after /clear".into() });
        let mut next = of(DriverKind::Claude);
        assert_eq!(next.to_resume(), Some("s-2"));
        next.forget();
        assert_eq!((next.to_resume(), of(DriverKind::Claude).to_resume()), (None, None));
    }
}
