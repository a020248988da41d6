//! The conversation of a program on a terminal, which the next program of the same agent continues.

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

/// Which conversation is to go on, and which one is going on.
#[derive(Debug)]
pub(in crate::runner) struct Conversation {
    file: PathBuf,
    driver: DriverKind,
    /// What the program calls it, once it has said so.
    session: Option<String>,
    /// What stands in the file.
    written: Option<String>,
}

impl Conversation {
    /// The conversation that is recorded in this folder.
    pub fn of(dir: &Path, driver: DriverKind) -> Self {
        let file = dir.join(FILE);
        let known = read_json::<Written>(&file).filter(|w| w.driver == driver && !w.session.is_empty());
        let session = known.map(|written| written.session);
        Conversation { file, driver, written: session.clone(), session }
    }

    /// The one to go on with.
    pub fn to_resume(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// It can't go on: the next program begins anew.
    pub fn forget(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        (self.session, self.written) = (None, None);
    }

    /// The program has told something. A conversation in which nothing was said yet is not there for the program either, so
    /// it is written down with its first prompt.
    pub fn hear(&mut self, hook: &Hook) {
        match hook {
            Hook::Began { session: Some(session), .. } => self.session = Some(session.clone()),
            Hook::Prompt { .. } if self.session != self.written => {
                let Some(session) = self.session.clone() else { return };
                let written = Written { driver: self.driver, session };
                let bytes = serde_json::to_vec(&written).unwrap_or_default();
                match write_atomically(&self.file, &bytes) {
                    Ok(()) => self.written = Some(written.session),
                    Err(e) => tracing::warn!("the conversation is not written down: {e}"),
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
    fn a_conversation_goes_on_once_something_was_said_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = |driver| Conversation::of(dir.path(), driver);
        let mut first = of(DriverKind::Claude);
        first.hear(&began("s-1"));
        assert_eq!(of(DriverKind::Claude).to_resume(), None, "nothing was said");
        first.hear(&Hook::Prompt { text: "hello".into() });
        assert_eq!(of(DriverKind::Claude).to_resume(), Some("s-1"));
        assert_eq!(of(DriverKind::Codex).to_resume(), None, "another program's");
        first.hear(&began("s-2"));
        first.hear(&Hook::Prompt { text: "after /clear".into() });
        let mut next = of(DriverKind::Claude);
        assert_eq!(next.to_resume(), Some("s-2"));
        next.forget();
        assert_eq!((next.to_resume(), of(DriverKind::Claude).to_resume()), (None, None));
    }
}
