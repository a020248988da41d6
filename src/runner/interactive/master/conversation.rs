//! The conversation of a program on a terminal, which the next program of the same agent resumes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    config::DriverKind,
    drivers::Hook,
    home::{read_json, write_atomically},
};

const FILE: &str = "conversation.json";
/// A program that dies this many times in a row during a turn is not told again to continue.
const AGAIN: u32 = 3;
/// The prompt of a program whose turn was cut off by its death.
const GO_ON: &str = "[orch] Your program was killed in the middle of your last turn, and has been started again. Look at \
                     what is done already, then go on. If its prompt is missing here, tell the user.";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    driver: DriverKind,
    session: String,
    /// Whether it is in the middle of a turn.
    #[serde(default)]
    in_turn: bool,
    /// How many programs in a row were told to continue that turn.
    #[serde(default)]
    again: u32,
}

/// The conversation to resume, and the current one.
#[derive(Debug)]
pub(in crate::runner) struct Conversation {
    file: PathBuf,
    driver: DriverKind,
    /// The program's own name for it, once reported.
    session: Option<String>,
    /// The content of the file.
    written: Option<Written>,
}

impl Conversation {
    /// Reads the conversation that is recorded in this folder.
    pub fn of(dir: &Path, driver: DriverKind) -> Self {
        let file = dir.join(FILE);
        let known = read_json::<Written>(&file).filter(|w| w.driver == driver && !w.session.is_empty());
        let session = known.as_ref().map(|written| written.session.clone());
        Conversation { file, driver, written: known, session }
    }

    /// Returns the conversation to resume.
    pub fn to_resume(&self) -> Option<&str> {
        self.written.as_ref().map(|written| written.session.as_str())
    }

    /// Returns the prompt for the program that resumes it, if its predecessor was killed during a turn.
    pub fn go_on(&mut self) -> Option<&'static str> {
        let written = self.written.clone().filter(|written| written.in_turn && written.again < AGAIN)?;
        self.write(Written { again: written.again + 1, ..written });
        Some(GO_ON)
    }

    /// Records whether the program is in the middle of a turn.
    pub fn set_in_turn(&mut self, in_turn: bool) {
        if let Some(written) = self.written.clone().filter(|written| written.in_turn != in_turn) {
            let again = if in_turn { written.again } else { 0 };
            self.write(Written { in_turn, again, ..written });
        }
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
            Hook::Prompt { .. } if self.session.as_deref() != self.to_resume() => {
                let Some(session) = self.session.clone() else { return };
                self.write(Written { driver: self.driver, session, in_turn: true, again: 0 });
            }
            _ => {}
        }
    }

    fn write(&mut self, written: Written) {
        match write_atomically(&self.file, &serde_json::to_vec(&written).unwrap_or_default()) {
            Ok(()) => self.written = Some(written),
            Err(e) => tracing::warn!("the conversation could not be recorded: {e}"),
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

    #[test]
    fn a_turn_that_was_cut_off_is_continued_a_few_times() {
        let dir = tempfile::tempdir().unwrap();
        let of = || Conversation::of(dir.path(), DriverKind::Claude);
        let mut first = of();
        assert_eq!(first.go_on(), None);
        first.handle(&began("s-1"));
        first.handle(&Hook::Prompt { text: "hello".into() });
        for _ in 0..AGAIN {
            assert_eq!(of().go_on(), Some(GO_ON), "it is on the disk, because its runner may die with it");
        }
        let mut last = of();
        assert_eq!(last.go_on(), None);
        last.set_in_turn(false);
        assert_eq!(of().go_on(), None, "its turn has ended");
        last.set_in_turn(true);
        assert_eq!(of().go_on(), Some(GO_ON));
    }
}
