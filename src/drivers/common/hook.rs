//! What an agent program reports through its hooks: it runs `orch hook` at the turns of its work.
//!
//! Hooks are the most reliable source about a program that has the pane's terminal to itself, and the only way to pass something
//! on to it at the end of a turn. A driver reads what its program passes to a hook
//! ([`Driver::hook`](crate::drivers::Driver::hook)); all other code uses the types of this file.

use serde::{Deserialize, Serialize};

use super::{
    errors,
    event::{Ending, Event, Failure, Transcript},
};
use crate::model::{
    text::cut,
    time::Timestamp,
    wait::{Need, Needs},
};

/// How the text begins with which our hook refuses an edit. A program may report such a call like one that its user has denied.
pub const EDIT_REFUSED: &str = "This edit was not made";
/// Longest text, in bytes, that is only shown.
const LONGEST: usize = 4 << 10;
/// Longest change of files, in bytes, that is shown.
const LONGEST_CHANGE: usize = 16 << 10;
/// Longest last text of a turn, in bytes: it is the answer.
const LONGEST_ANSWER: usize = 1 << 20;

/// One call of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "snake_case")]
pub enum Hook {
    /// A conversation begins or continues.
    Began {
        /// Its session id.
        session: Option<String>,
        /// Why.
        source: Source,
        /// The file in which the program records it.
        record: Option<String>,
    },
    /// A turn begins.
    Prompt {
        /// The prompt.
        text: String,
    },
    /// The model uses a tool.
    ToolCall {
        /// Which one.
        name: String,
        /// What for, in a few words.
        summary: String,
        /// What it is to change in files: lines that begin with `-` or `+`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        changes: String,
    },
    /// The result of a tool.
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
        /// For what ([`crate::model::wait::Need::of`]); empty where it was reported before, or is unknown.
        of: String,
    },
    /// The turn has ended: the program waits for the next prompt.
    Ended {
        /// The last text.
        said: Option<String>,
    },
    /// The turn was about to end, and continues with what was passed on.
    GoesOn {
        /// The last text.
        said: Option<String>,
    },
    /// A person has ended the turn: the program waits for the next prompt.
    Interrupted,
    /// The turn has ended with an error.
    Failed {
        /// The program's message.
        why: String,
    },
    /// The user leaves the program.
    Left,
}

/// Why a conversation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The program was started.
    Startup,
    /// It continues an earlier one.
    Resume,
    /// The user has cleared it.
    Clear,
    /// It was too long and has been summarised, so earlier content may be lost.
    Compact,
}

impl Hook {
    /// Returns the hook without its texts, except for what its user needs to know.
    pub fn without_texts(&self) -> Hook {
        let mut hook = self.clone();
        match &mut hook {
            Hook::Prompt { text } | Hook::ToolResult { summary: text, .. } => text.clear(),
            Hook::ToolCall { summary, changes, .. } => {
                summary.clear();
                changes.clear();
            }
            Hook::Ended { said } | Hook::GoesOn { said } => *said = None,
            _ => {}
        }
        hook
    }
}

impl Hook {
    /// Returns the hook with each of its texts changed. Names of conversations, files and tools are no texts.
    #[must_use]
    pub fn shown(self, show: impl Fn(String) -> String) -> Hook {
        match self {
            Hook::Prompt { text } => Hook::Prompt { text: show(text) },
            Hook::ToolCall { name, summary, changes } => {
                Hook::ToolCall { name, summary: show(summary), changes: show(changes) }
            }
            Hook::ToolResult { ok, summary } => Hook::ToolResult { ok, summary: show(summary) },
            Hook::Asks { what, of } => Hook::Asks { what, of: show(of) },
            Hook::Ended { said } => Hook::Ended { said: said.map(show) },
            Hook::GoesOn { said } => Hook::GoesOn { said: said.map(show) },
            Hook::Failed { why } => Hook::Failed { why: show(why) },
            Hook::Began { .. } | Hook::Interrupted | Hook::Left => self,
        }
    }
}

/// A line of the file in which calls of hooks are recorded for the runner.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// When it was called.
    pub at: Timestamp,
    /// The call.
    #[serde(flatten)]
    pub hook: Hook,
}

impl Noted {
    /// Returns the line of a call, with long texts cut.
    pub fn line(at: Timestamp, hook: &Hook) -> String {
        let mut hook = hook.clone();
        if let Hook::ToolCall { changes, .. } = &mut hook {
            changes.truncate(cut(changes, LONGEST_CHANGE).len());
        }
        match &mut hook {
            Hook::Prompt { text: long }
            | Hook::ToolCall { summary: long, .. }
            | Hook::ToolResult { summary: long, .. }
            | Hook::Asks { of: long, .. }
            | Hook::Failed { why: long } => long.truncate(cut(long, LONGEST).len()),
            Hook::Ended { said: Some(said) } | Hook::GoesOn { said: Some(said) } => {
                said.truncate(cut(said, LONGEST_ANSWER).len());
            }
            _ => {}
        }
        let mut line = serde_json::to_string(&Noted { at, hook }).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Hook {
    /// Returns what is recorded for the end of a turn at which something was passed on.
    pub fn going_on(self) -> Self {
        match self {
            Hook::Ended { said } => Hook::GoesOn { said },
            other => other,
        }
    }

    /// Returns the events of this call, as a program without a screen would report them.
    fn events(self) -> Vec<Event> {
        match self {
            Hook::Began { session, record, .. } => {
                let kept = record.map(|path| Event::KeptIn { path });
                [Event::Started { session, model: None }].into_iter().chain(kept).collect()
            }
            Hook::Prompt { .. } => vec![Event::Turn],
            Hook::ToolCall { name, summary, changes } => {
                let changes = (!changes.is_empty()).then_some(Event::Changes(changes));
                [Event::ToolCall { name, summary }].into_iter().chain(changes).collect()
            }
            Hook::ToolResult { ok, summary } => vec![Event::ToolResult { ok, summary }],
            // It was reported before.
            Hook::Asks { of, .. } if of.is_empty() => Vec::new(),
            Hook::Asks { what, of } => vec![Event::Asks(Need { what, of })],
            Hook::GoesOn { said } => said.map(Event::Text).into_iter().chain([Event::HandedOver]).collect(),
            Hook::Ended { said } => {
                let text = said.clone().map(Event::Text);
                text.into_iter().chain([Event::Result { text: said, ending: Ending::Done }]).collect()
            }
            Hook::Failed { why } => {
                let (failure, _) = failure_of(&why);
                vec![Event::Result { text: None, ending: Ending::Failed(failure, why) }]
            }
            Hook::Interrupted | Hook::Left => Vec::new(),
        }
    }
}

/// Returns what the error means with which a turn has ended, and the error in short.
pub fn failure_of(why: &str) -> (Failure, String) {
    // claude: `API Error: 529 {...}`.
    let status = why.split_once("API Error: ").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
    (errors::failure(status, why), errors::in_short(why))
}

/// Reads the file of recorded calls as the transcript of a program on a terminal, which prints none.
#[derive(Debug, Default)]
pub struct HookTranscript {
    /// Whether the last turn has ended.
    ended: bool,
}

impl Transcript for HookTranscript {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(Noted { hook, .. }) = serde_json::from_str::<Noted>(line) else {
            return vec![Event::Unknown { shown: None }];
        };
        // The user's own hook may keep a turn from ending, and a prompt that was typed meanwhile begins another one. No hook
        // reports either.
        let goes_on = matches!(hook, Hook::ToolCall { .. } | Hook::Asks { .. }) && self.ended;
        self.ended = match hook {
            Hook::Ended { .. } | Hook::Failed { .. } => true,
            Hook::Began { .. } | Hook::ToolResult { .. } | Hook::Left => self.ended,
            _ => false,
        };
        goes_on.then_some(Event::Turn).into_iter().chain(hook.events()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::Conversation;

    #[test]
    fn a_line_is_read_as_it_was_written_and_bounded() {
        let all = [
            Hook::Began { session: Some("s-1".into()), source: Source::Compact, record: Some("/a".into()) },
            Hook::Prompt { text: "do it".into() },
            Hook::Asks { what: Needs::Permission, of: "Bash(rm x)".into() },
            Hook::Ended { said: Some("done".into()) },
            Hook::Left,
            Hook::ToolCall { name: "Edit".into(), summary: "a".into(), changes: "+x\n".into() },
        ];
        for hook in all {
            let line = Noted::line(Timestamp(5), &hook);
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            assert_eq!(serde_json::from_str::<Noted>(&line).unwrap(), Noted { at: Timestamp(5), hook });
        }
        let long = Noted::line(Timestamp(5), &Hook::Prompt { text: "é".repeat(1 << 20) });
        assert!(long.len() < 2 * LONGEST);
    }

    fn told(hooks: &[Hook]) -> Conversation {
        let (mut transcript, mut told) = (HookTranscript::default(), Conversation::default());
        let lines = hooks.iter().map(|hook| Noted::line(Timestamp(5), hook));
        lines.flat_map(|line| transcript.line(&line)).for_each(|event| told.take(&event));
        told
    }

    fn ended(said: &str) -> Hook {
        Hook::Ended { said: Some(said.into()) }
    }

    #[test]
    fn the_end_of_a_turn_is_the_result_of_a_task() {
        let began = Hook::Began { session: Some("s-1".into()), source: Source::Startup, record: Some("/r".into()) };
        let all = [began, Hook::Prompt { text: "do it".into() }, ended("42"), Hook::Left];
        let told = told(&all);
        assert!(told.is_done());
        assert_eq!((told.session.as_deref(), &told.records[..]), (Some("s-1"), &["/r".to_owned()][..]));
        let events = HookTranscript::default().line(&Noted::line(Timestamp(5), &all[2]));
        assert_eq!(events.last(), Some(&Event::Result { text: Some("42".into()), ending: Ending::Done }));
        assert_eq!(HookTranscript::default().line("nonsense"), [Event::Unknown { shown: None }]);
        let edits = Hook::ToolCall { name: "Edit".into(), summary: "a".into(), changes: "+x\n".into() };
        let events = HookTranscript::default().line(&Noted::line(Timestamp(5), &edits));
        let call = Event::ToolCall { name: "Edit".into(), summary: "a".into() };
        assert_eq!(events, [call, Event::Changes("+x\n".into())]);
    }

    #[test]
    fn a_turn_that_goes_on_has_no_result_yet() {
        let call = || Hook::ToolCall { name: "Bash".into(), summary: "ls".into(), changes: String::new() };
        let asks = || Hook::Asks { what: Needs::Input, of: "which one?".into() };
        for hooks in [
            vec![ended("1").going_on()],
            vec![ended("1"), Hook::Prompt { text: "more".into() }],
            vec![ended("1"), call()],
            vec![ended("1"), asks()],
            vec![call(), asks(), Hook::Interrupted],
        ] {
            assert!(!told(&hooks).has_ended(), "{hooks:?}");
        }
        let handed = told(&[ended("1").going_on(), call(), ended("2")]);
        assert_eq!(handed.text().as_deref(), Some("1\n\n2"), "what was answered before is kept");
        assert_eq!(
            told(&[ended("1").going_on(), Hook::Prompt { text: "anew".into() }, ended("2")]).text().as_deref(),
            Some("2")
        );
        let failed = told(&[Hook::Failed { why: "server_error API Error: 529 Overloaded".into() }]);
        assert!(failed.has_ended() && !failed.is_done());
        assert!(told(&[ended("1"), call(), ended("2")]).is_done());
        let failure = |why: &str| Hook::Failed { why: why.into() }.events();
        let is =
            |why: &str, failure: Failure| Event::Result { text: None, ending: Ending::Failed(failure, why.into()) };
        for (why, meaning) in [
            ("server_error API Error: 529 Overloaded", Failure::Transient),
            ("unknown API Error: 400 no", Failure::Permanent),
            ("API Error: 401 no", Failure::Login),
            ("API Error: Connection error", Failure::Transient),
        ] {
            assert_eq!(failure(why), [is(why, meaning)]);
        }
    }
}
