//! What an agent program tells through its hooks: commands of ours (`orch hook`) that it runs at the turns of its work.
//!
//! It is the surest word there is about a program that has the pane's terminal to itself, and the only way to hand it
//! something at the end of a turn. A driver reads what its program passes to a hook ([`super::Driver::hook`]); everybody
//! else knows only what is here.

use serde::{Deserialize, Serialize};

use super::event::{Ending, Event, Transcript};
use crate::model::{agent::Needs, text::cut, time::Timestamp};

/// A prompt is kept up to here: it is somebody's own, and nothing is done with it but to show it.
const LONGEST_PROMPT: usize = 4 << 10;
/// What was said last is the answer of the turn.
const LONGEST_ANSWER: usize = 1 << 20;

/// One call of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "snake_case")]
pub enum Hook {
    /// A conversation begins, or goes on.
    Began {
        /// What it is resumed by.
        session: Option<String>,
        /// Why.
        source: Source,
    },
    /// A turn begins.
    Prompt {
        /// With this.
        text: String,
    },
    /// The model uses a tool.
    ToolCall {
        /// Which one.
        name: String,
        /// What for, in some words.
        summary: String,
    },
    /// What came of it.
    ToolResult {
        /// Whether it worked.
        ok: bool,
        /// What it printed.
        summary: String,
    },
    /// The program asks its user something, and waits.
    Asks {
        /// What kind of help it wants.
        what: Needs,
        /// For what.
        of: String,
    },
    /// The turn has ended: the program waits for the next prompt.
    Ended {
        /// What was said last.
        said: Option<String>,
    },
    /// The turn has ended with an error.
    Failed {
        /// What the program says of it.
        why: String,
    },
    /// The program is being left.
    Left,
}

/// Why a conversation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The program was started.
    Startup,
    /// It goes on with an earlier one.
    Resume,
    /// A person has cleared it.
    Clear,
    /// It had become too long, and was summed up: what was known before may be forgotten.
    Compact,
}

/// A line of the file in which the calls are kept, for whoever follows the program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// When it was called.
    pub at: Timestamp,
    /// What was told.
    #[serde(flatten)]
    pub hook: Hook,
}

impl Noted {
    /// As a line, bounded whatever the program has said.
    pub fn line(at: Timestamp, hook: &Hook) -> String {
        let hook = match hook.clone() {
            Hook::Prompt { text } => Hook::Prompt { text: cut(&text, LONGEST_PROMPT).to_owned() },
            Hook::Ended { said } => Hook::Ended { said: said.map(|said| cut(&said, LONGEST_ANSWER).to_owned()) },
            hook => hook,
        };
        let mut line = serde_json::to_string(&Noted { at, hook }).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Hook {
    /// The same as a program without a screen tells it.
    fn events(self) -> Vec<Event> {
        match self {
            Hook::Began { session, .. } => vec![Event::Started { session, model: None }],
            Hook::ToolCall { name, summary } => vec![Event::ToolCall { name, summary }],
            Hook::ToolResult { ok, summary } => vec![Event::ToolResult { ok, summary }],
            Hook::Asks { what: Needs::Permission, of } => vec![Event::Unknown { shown: Some(format!("asks: {of}")) }],
            Hook::Asks { what, of } => vec![Event::Needs { what, of }],
            Hook::Ended { said } => {
                let text = said.clone().map(Event::Text);
                text.into_iter().chain([Event::Result { text: said, ending: Ending::Done }]).collect()
            }
            Hook::Failed { why } => {
                let failure = super::words::failure(None, &why);
                vec![Event::Result { text: None, ending: Ending::Failed(failure, why) }]
            }
            Hook::Prompt { .. } | Hook::Left => Vec::new(),
        }
    }
}

/// Reads the file of the calls as the stream of a program that has none of its own to print.
pub struct HookTranscript;

impl Transcript for HookTranscript {
    fn line(&mut self, line: &str) -> Vec<Event> {
        match serde_json::from_str::<Noted>(line) {
            Ok(noted) => noted.hook.events(),
            Err(_) => vec![Event::Unknown { shown: None }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_bounded() {
        let all = [
            Hook::Began { session: Some("s-1".into()), source: Source::Compact },
            Hook::Prompt { text: "do it".into() },
            Hook::Asks { what: Needs::Permission, of: "Bash(rm x)".into() },
            Hook::Ended { said: Some("done".into()) },
            Hook::Left,
        ];
        for hook in all {
            let line = Noted::line(Timestamp(5), &hook);
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            assert_eq!(serde_json::from_str::<Noted>(&line).unwrap(), Noted { at: Timestamp(5), hook });
        }
        let long = Noted::line(Timestamp(5), &Hook::Prompt { text: "é".repeat(1 << 20) });
        assert!(long.len() < 2 * LONGEST_PROMPT);
    }

    #[test]
    fn the_end_of_a_turn_is_the_result_of_a_task() {
        let line = Noted::line(Timestamp(5), &Hook::Ended { said: Some("42".into()) });
        let events = HookTranscript.line(&line);
        assert_eq!(events.last(), Some(&Event::Result { text: Some("42".into()), ending: Ending::Done }));
        assert_eq!(HookTranscript.line("nonsense"), [Event::Unknown { shown: None }]);
    }
}
