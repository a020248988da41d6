//! The sum of the events of one run of a program.

use super::event::{Ending, Event, Failure, When};
use crate::model::{
    task::Usage,
    text::{cut, plain},
    wait::{Need, Needs, Retry, Wait},
};

/// Longer answers are cut, at their end: nobody reads more, and Redis holds it. The raw lines have all of it.
const LONGEST_ANSWER: usize = 1 << 20;

/// The service has refused its login so often in a row: the first time it may have been a token that has just run out, which
/// the program renews. A refusal of the new one is final, whatever the program goes on to try.
const REFUSALS: u32 = 2;
pub(super) const CUT: &str = "\n[cut here by orch at 1 MiB; all of it is in the attempt's raw.jsonl]";

/// The sum of what was told.
#[derive(Debug, Default)]
pub struct Conversation {
    /// What it is resumed by.
    pub session: Option<String>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// The files in which the program keeps it.
    pub records: Vec<String>,
    /// What it was not allowed to do.
    pub(super) denied: Vec<String>,
    /// Why it is not let in, and how often that was said since it was.
    pub(super) login: Option<(String, u32)>,
    /// That it asks its service again, since it last got on.
    retry: Option<Retry>,
    /// A limit, and its end if that is known.
    pub(super) limited: Option<Option<When>>,
    pub(super) result: Option<(Option<String>, Ending)>,
    /// What was said since the last use of a tool: the answer, where no result holds one.
    answer: String,
    /// What it had answered when something was handed over to it: what it says to that comes after it, and not instead.
    before: String,
    pub(super) understood: u64,
    pub(super) unknown: u64,
}

/// Puts one answer behind another.
fn join(answers: &mut String, one: &str) {
    if !answers.is_empty() && !one.is_empty() {
        answers.push_str("\n\n");
    }
    answers.push_str(one);
}

impl Conversation {
    /// One thing more.
    pub fn take(&mut self, event: &Event) {
        self.understood += u64::from(!matches!(event, Event::Unknown { .. }));
        if event.is_progress() {
            self.retry = None;
        }
        match event {
            Event::Started { session, .. } => self.session = session.clone().or(self.session.take()),
            Event::KeptIn { path } if !self.records.contains(path) => self.records.push(path.clone()),
            Event::Turn => {
                self.result = None;
                self.answer.clear();
                self.before.clear();
            }
            Event::HandedOver => {
                let answer = std::mem::take(&mut self.answer);
                if self.before.len() < LONGEST_ANSWER {
                    join(&mut self.before, answer.trim());
                }
            }
            Event::Text(text) => {
                self.login = None;
                if self.answer.len() >= LONGEST_ANSWER {
                    return;
                }
                if !self.answer.is_empty() && !text.is_empty() {
                    self.answer.push('\n');
                }
                self.answer.push_str(text);
            }
            Event::ToolCall { .. } => {
                self.login = None;
                self.answer.clear();
            }
            Event::Answers => self.login = None,
            Event::Usage(usage) => {
                // Of what comes after its result it tells the tokens before the money.
                let told = self.usage.as_ref().map_or(0.0, |usage| usage.cost_usd);
                self.usage = Some(Usage { cost_usd: usage.cost_usd.max(told), ..usage.clone() });
            }
            Event::Needs { what: Needs::Login, of } => self.login = Some((of.clone(), REFUSALS)),
            Event::Retrying { failure: Failure::Login, why, .. } => {
                let before = self.login.as_ref().map_or(0, |(_, times)| *times);
                self.login = Some((why.clone(), before + 1));
            }
            // Something else is in its way now: it was let in.
            Event::Retrying { attempt, of, why, .. } => {
                self.login = None;
                self.retry = Some(Retry { attempt: *attempt, of: *of, why: why.clone() });
            }
            Event::Needs { of, .. } if !self.denied.contains(of) => {
                // First the tool is named, and later what for.
                self.denied.retain(|tool| of.strip_prefix(tool.as_str()).is_none_or(|rest| !rest.starts_with('(')));
                self.denied.push(of.clone());
            }
            Event::RateLimited { until } => self.limited = Some(*until),
            Event::Result { text, ending } => self.result = Some((text.clone(), ending.clone())),
            Event::Unknown { .. } => self.unknown += 1,
            Event::Needs { .. } | Event::ToolResult { .. } | Event::Asks(_) | Event::KeptIn { .. } => {}
        }
    }

    /// Whether it says that it has done what it was asked.
    pub fn is_done(&self) -> bool {
        matches!(self.result, Some((_, Ending::Done)))
    }

    /// Whether it says that it is over, well or not.
    pub fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    /// What it waits for now. What it was not allowed to do is nothing that it waits for.
    pub fn waits_for(&self) -> Option<Wait> {
        match &self.login {
            Some((why, _)) => Some(Wait::Person(Need { what: Needs::Login, of: why.clone() })),
            None => self.retry.clone().map(Wait::Service),
        }
    }

    /// Whether it asks for what nobody can give it while it runs, so that what it goes on to try is in vain.
    pub fn asks_in_vain(&self) -> bool {
        self.result.is_none() && self.login.as_ref().is_some_and(|(_, times)| *times >= REFUSALS)
    }

    pub(in crate::drivers) fn text(&self) -> Option<String> {
        let text = match &self.result {
            Some((Some(text), _)) if !text.is_empty() => text,
            _ if self.understood > 0 => &self.answer,
            _ => return None,
        };
        let mut text = plain(text.as_bytes());
        // It may have said all of it once more.
        let before = plain(self.before.as_bytes());
        if !text.contains(before.as_str()) {
            let last = std::mem::replace(&mut text, before);
            join(&mut text, &last);
        }
        if text.len() > LONGEST_ANSWER {
            text.truncate(cut(&text, LONGEST_ANSWER).len());
            text.push_str(CUT);
        }
        Some(text)
    }
}
