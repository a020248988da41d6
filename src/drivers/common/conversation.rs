//! The sum of the events of one run of a program.

use super::event::{Ending, Event, Failure, When};
use crate::model::{
    task::Usage,
    text::{cut, printed},
    wait::{Need, Needs, Retry, Wait},
    window::Window,
};

/// Longest answer, because Redis stores it. Longer ones are cut at their end; the raw lines contain the whole answer.
const LONGEST_ANSWER: usize = 1 << 20;

/// Consecutive refusals of a login after which it is final. The first may concern an expired token, which the program renews; a
/// refusal of the new one does not change by further tries.
const REFUSALS: u32 = 2;
pub(super) const CUT: &str = "\n[cut here by orch at 1 MiB; all of it is in the attempt's raw.jsonl]";

/// The sum of the events of one run.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The session id.
    pub session: Option<String>,
    /// Tokens and cost.
    pub usage: Option<Usage>,
    /// The files in which the program records it.
    pub records: Vec<String>,
    /// What it has reported of the windows of its subscription.
    pub windows: Vec<Window>,
    /// Tools that the program was not allowed to use.
    pub(super) denied: Vec<String>,
    /// Why its service refuses its login, and how many times in a row.
    pub(super) login: Option<(String, u32)>,
    /// The current retry of its service, until there is progress.
    retry: Option<Retry>,
    /// Whether a limit was reached, and when it ends, where that is known.
    pub(super) limited: Option<Option<When>>,
    pub(super) result: Option<(Option<String>, Ending)>,
    /// The text since the last use of a tool: the answer, where the result contains none.
    answer: String,
    /// The answer before something was passed on in the same turn. What follows is appended to it.
    before: String,
    /// Tools that were called and have not answered yet.
    open_tools: u32,
    pub(super) understood: u64,
    pub(super) unknown: u64,
}

/// Appends one answer to another.
fn join(answers: &mut String, one: &str) {
    if !answers.is_empty() && !one.is_empty() {
        answers.push_str("\n\n");
    }
    answers.push_str(one);
}

impl Conversation {
    /// Adds an event.
    pub fn take(&mut self, event: &Event) {
        self.understood += u64::from(!matches!(event, Event::Unknown { .. }));
        if event.is_progress() {
            self.retry = None;
        }
        match event {
            Event::ToolCall { .. } => self.open_tools += 1,
            Event::ToolResult { .. } => self.open_tools = self.open_tools.saturating_sub(1),
            // The model has gone on.
            Event::Turn | Event::Text(_) | Event::Result { .. } => self.open_tools = 0,
            _ => {}
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
                // After a result, tokens are reported before the cost is.
                let told = self.usage.as_ref().map_or(0.0, |usage| usage.cost_usd);
                self.usage = Some(Usage { cost_usd: usage.cost_usd.max(told), ..usage.clone() });
            }
            Event::Needs { what: Needs::Login, of } => self.login = Some((of.clone(), REFUSALS)),
            Event::Retrying { failure: Failure::Login, why, .. } => {
                let before = self.login.as_ref().map_or(0, |(_, times)| *times);
                self.login = Some((why.clone(), before + 1));
            }
            // Another failure: the login was accepted.
            Event::Retrying { attempt, of, why, .. } => {
                self.login = None;
                self.retry = Some(Retry { attempt: *attempt, of: *of, why: why.clone(), limited_until: None });
            }
            Event::Needs { of, .. } if !self.denied.contains(of) => {
                // A tool is first reported by its name, and later with its arguments.
                self.denied.retain(|tool| of.strip_prefix(tool.as_str()).is_none_or(|rest| !rest.starts_with('(')));
                self.denied.push(of.clone());
            }
            Event::Window(window) => {
                self.windows.retain(|known| known.name != window.name);
                self.windows.push(window.clone());
            }
            Event::RateLimited { until } => self.limited = Some(*until),
            Event::Result { text, ending } => self.result = Some((text.clone(), ending.clone())),
            Event::Unknown { .. } => self.unknown += 1,
            Event::Needs { .. }
            | Event::ToolResult { .. }
            | Event::Changes(_)
            | Event::Note(_)
            | Event::Asks(_)
            | Event::KeptIn { .. } => {}
        }
    }

    /// Adds what the program had answered before something was passed on to it in the same turn, where its stream does not
    /// show that.
    pub fn answered_before(&mut self, said: &str) {
        if !self.before.contains(said.trim()) && self.before.len() < LONGEST_ANSWER {
            join(&mut self.before, said.trim());
        }
    }

    /// Reports whether the program has reported success.
    pub fn is_done(&self) -> bool {
        matches!(self.result, Some((_, Ending::Done)))
    }

    /// Reports whether the program has reported its end.
    pub fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    /// Reports whether a tool runs that the program has called.
    pub fn runs_tool(&self) -> bool {
        self.open_tools > 0
    }

    /// Returns what the program waits for. A denied tool is nothing that it waits for.
    pub fn waits_for(&self) -> Option<Wait> {
        match &self.login {
            Some((why, _)) => Some(Wait::Person(Need { what: Needs::Login, of: why.clone() })),
            None => self.retry.clone().map(Wait::Service),
        }
    }

    /// Reports whether the program needs something that it can't get while it runs, so that its retries are useless.
    pub fn asks_in_vain(&self) -> bool {
        self.result.is_none() && self.login.as_ref().is_some_and(|(_, times)| *times >= REFUSALS)
    }

    pub(in crate::drivers) fn text(&self) -> Option<String> {
        let text = match &self.result {
            Some((Some(text), _)) if !text.is_empty() => text,
            _ if self.understood > 0 => &self.answer,
            _ => return None,
        };
        let mut text = printed(text.as_bytes());
        // The last text may repeat the earlier one.
        let before = printed(self.before.as_bytes());
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
