//! What an agent program tells through its hooks: commands of ours (`orch hook`) that it runs at the turns of its work.
//!
//! It is the surest word there is about a program that has the pane's terminal to itself, and the only way to hand it
//! something at the end of a turn. A driver reads what its program passes to a hook ([`Driver::hook`](crate::drivers::Driver::hook)); everybody
//! else knows only what is here.

use serde::{Deserialize, Serialize};

use super::{
    errors,
    event::{Ending, Event, Transcript},
};
use crate::model::{
    text::cut,
    time::Timestamp,
    wait::{Need, Needs},
};

/// What is only shown is kept up to here.
const LONGEST: usize = 4 << 10;
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
        /// The file in which the program keeps it.
        record: Option<String>,
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
        /// For what ([`crate::model::wait::Need::of`]); empty where that was said before, or is not known.
        of: String,
    },
    /// The turn has ended: the program waits for the next prompt.
    Ended {
        /// What was said last.
        said: Option<String>,
    },
    /// The turn was about to end, and goes on with what was handed over.
    GoesOn {
        /// What was said last.
        said: Option<String>,
    },
    /// A person has ended the turn: the program waits for the next prompt.
    Interrupted,
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

impl Hook {
    /// What the program does, without what anybody has said but what its user is asked.
    pub fn without_texts(&self) -> Hook {
        let mut hook = self.clone();
        match &mut hook {
            Hook::Prompt { text }
            | Hook::ToolCall { summary: text, .. }
            | Hook::ToolResult { summary: text, .. }
            | Hook::Failed { why: text } => text.clear(),
            Hook::Ended { said } | Hook::GoesOn { said } => *said = None,
            _ => {}
        }
        hook
    }
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
        let mut hook = hook.clone();
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
    /// What is noted of the end of a turn for which something was handed over.
    pub fn going_on(self) -> Self {
        match self {
            Hook::Ended { said } => Hook::GoesOn { said },
            other => other,
        }
    }

    /// The same as a program without a screen tells it.
    fn events(self) -> Vec<Event> {
        match self {
            Hook::Began { session, record, .. } => {
                let kept = record.map(|path| Event::KeptIn { path });
                [Event::Started { session, model: None }].into_iter().chain(kept).collect()
            }
            Hook::Prompt { .. } => vec![Event::Turn],
            Hook::ToolCall { name, summary } => vec![Event::ToolCall { name, summary }],
            Hook::ToolResult { ok, summary } => vec![Event::ToolResult { ok, summary }],
            // What was said before is not told again.
            Hook::Asks { of, .. } if of.is_empty() => Vec::new(),
            Hook::Asks { what, of } => vec![Event::Asks(Need { what, of })],
            Hook::GoesOn { said } => said.map(Event::Text).into_iter().chain([Event::HandedOver]).collect(),
            Hook::Ended { said } => {
                let text = said.clone().map(Event::Text);
                text.into_iter().chain([Event::Result { text: said, ending: Ending::Done }]).collect()
            }
            Hook::Failed { why } => {
                // claude: `API Error: 529 {...}`.
                let status = why.split_once("API Error: ").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
                let failure = errors::failure(status, &why);
                vec![Event::Result { text: None, ending: Ending::Failed(failure, why) }]
            }
            Hook::Interrupted | Hook::Left => Vec::new(),
        }
    }
}

/// Reads the file of the calls as the stream of a program that has none of its own to print.
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
        // Another's hook may keep a turn from ending, and what was typed meanwhile begins another one: neither is told.
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
    use crate::drivers::{Conversation, Failure};

    #[test]
    fn a_line_is_read_as_it_was_written_and_bounded() {
        let all = [
            Hook::Began { session: Some("s-1".into()), source: Source::Compact, record: Some("/a".into()) },
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
    }

    #[test]
    fn a_turn_that_goes_on_has_no_result_yet() {
        let call = || Hook::ToolCall { name: "Bash".into(), summary: "ls".into() };
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
