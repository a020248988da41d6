//! What one run of a program has told in all, and what its end means by that: the same for every program that tells.

use super::{
    End, Verdict, by_contract,
    event::{Ending, Event, Failure, When},
    words,
};
use crate::model::{
    agent::Needs,
    cause::Cause,
    task::Usage,
    text::{one_line, plain},
};

/// Longer answers are cut, at their end: nobody reads more, and Redis holds it. The raw lines have all of it.
const LONGEST_ANSWER: usize = 1 << 20;

const CUT: &str = "\n[cut here by orch at 1 MiB; all of it is in the attempt's raw.jsonl]";

/// The sum of what was told.
#[derive(Debug, Default)]
pub struct Conversation {
    /// What it is resumed by.
    pub session: Option<String>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// What it was not allowed to do.
    denied: Vec<String>,
    /// Whether somebody must log in, and to what.
    login: Option<String>,
    /// A limit, and its end if that is known.
    limited: Option<Option<When>>,
    result: Option<(Option<String>, Ending)>,
    /// What was said since the last use of a tool: the answer, where no result holds one.
    answer: String,
    understood: u64,
    unknown: u64,
}

impl Conversation {
    /// One thing more.
    pub fn take(&mut self, event: &Event) {
        self.understood += u64::from(!matches!(event, Event::Unknown { .. }));
        match event {
            Event::Started { session, .. } => self.session = session.clone().or(self.session.take()),
            Event::Text(text) if self.answer.len() < LONGEST_ANSWER => {
                if !self.answer.is_empty() && !text.is_empty() {
                    self.answer.push('\n');
                }
                self.answer.push_str(text);
            }
            Event::ToolCall { .. } => self.answer.clear(),
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Needs { what: Needs::Login, of } => self.login = Some(of.clone()),
            Event::Needs { of, .. } if !self.denied.contains(of) => {
                // First the tool is named, and later what for.
                self.denied.retain(|tool| of.strip_prefix(tool.as_str()).is_none_or(|rest| !rest.starts_with('(')));
                self.denied.push(of.clone());
            }
            Event::RateLimited { until } => self.limited = Some(*until),
            Event::Result { text, ending } => self.result = Some((text.clone(), ending.clone())),
            Event::Unknown { .. } => self.unknown += 1,
            Event::Text(_) | Event::Needs { .. } | Event::ToolResult { .. } | Event::Retrying { .. } => {}
        }
    }

    /// Whether it says that it has done what it was asked.
    pub fn is_done(&self) -> bool {
        matches!(self.result, Some((_, Ending::Done)))
    }

    /// What the end of `program` means. What it left in its result file wins. `tells_when_done`: whether it gives a
    /// result; of one that never does, the exit code says that it is done.
    pub(super) fn verdict(&self, program: &str, tells_when_done: bool, end: End) -> Verdict {
        let now = end.now;
        let done_by_exit = !tells_when_done && end.exit_code == Some(0) && self.understood > 0 && self.login.is_none();
        let said = match &self.result {
            Some((_, Ending::Failed(failure, reason))) => {
                Said::failed(*failure, format!("{program}: {reason}"), self.limited)
            }
            None if !done_by_exit => self.without_result(program, &end),
            _ if end.hold_denied && !self.denied.is_empty() => Said::person(self.denials(program)),
            _ => match end.exit_code {
                Some(0) => Said::of(Cause::Success, format!("{program} has done it")),
                _ => Said::of(Cause::Success, format!("{program} had done it when it was ended")),
            },
        };
        let mut verdict = by_contract(end);
        // Who leaves a result file says how it ended; a program that was killed says nothing.
        let file_says = verdict.reason.starts_with("the program says");
        if !file_says {
            verdict.cause = said.cause;
            verdict.reason = one_line(&said.reason, 400);
            verdict.retry_after = said.until.map(|until| until.from_now(now)).or(verdict.retry_after);
        }
        verdict.start_anew = said.start_anew;
        if verdict.text.is_none() {
            verdict.text = self.text();
            verdict.truncated = verdict.text.as_deref().is_some_and(|text| text.ends_with(CUT));
        }
        verdict.usage = verdict.usage.or_else(|| self.usage.clone());
        verdict
    }

    fn text(&self) -> Option<String> {
        let text = match &self.result {
            Some((Some(text), _)) if !text.is_empty() => text,
            _ if self.understood > 0 => &self.answer,
            _ => return None,
        };
        let mut text = plain(text.as_bytes());
        if text.len() > LONGEST_ANSWER {
            let whole = (0..=LONGEST_ANSWER).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(whole.unwrap_or(0));
            text.push_str(CUT);
        }
        Some(text)
    }

    fn denials(&self, program: &str) -> String {
        let list = self.denied.join(", ");
        format!(
            "{program} was not allowed to use {list}: allow it in the role (allowed_tools, permission_mode), then orch retry"
        )
    }

    /// It has ended and has not said how.
    fn without_result(&self, program: &str, end: &End) -> Said {
        if let Some(what) = &self.login {
            return Said::person(format!("{program} needs a login: {what}"));
        }
        if let Some(until) = self.limited {
            return Said { until, ..Said::of(Cause::RateLimited, format!("{program}: a limit is reached")) };
        }
        if let (Some(code), Some(line)) = (end.exit_code, end.last_error) {
            let failure = words::failure(None, line);
            if code != 0 && failure != Failure::Transient {
                return Said::failed(failure, format!("{program}: {line}"), None);
            }
        }
        if end.exit_code != Some(0) {
            let by_contract = by_contract(End { file: None, ..*end });
            return Said::of(by_contract.cause, format!("{program}: {}", by_contract.reason));
        }
        match (self.understood, self.unknown) {
            (0, 0) => Said::of(Cause::Transient, format!("{program} ended with exit code 0 and had printed nothing")),
            // Again would be the same, and cost the same.
            (0, n) => Said::of(
                Cause::Permanent,
                format!(
                    "what {program} printed is not its stream of JSON ({n} lines, none understood): \
                     another version, or another program of this name? (orch doctor, orch logs --task)"
                ),
            ),
            _ => Said::of(Cause::Transient, format!("{program} ended with exit code 0 before it had given a result")),
        }
    }
}

/// Cause and reason, before they are held against a result file.
struct Said {
    cause: Cause,
    reason: String,
    until: Option<When>,
    start_anew: bool,
}

impl Said {
    fn of(cause: Cause, reason: String) -> Self {
        Said { cause, reason, until: None, start_anew: false }
    }
    fn person(reason: String) -> Self {
        Said::of(Cause::NeedsPerson, reason)
    }
    fn failed(failure: Failure, reason: String, limited: Option<Option<When>>) -> Self {
        match failure {
            Failure::Transient => Said::of(Cause::Transient, reason),
            Failure::RateLimited(until) => {
                Said { until: until.or(limited.flatten()), ..Said::of(Cause::RateLimited, reason) }
            }
            // A bound that a person has set: to try again would be to go beyond it.
            Failure::Permanent | Failure::Bound => Said::of(Cause::Permanent, reason),
            Failure::Login => Said::person(reason),
            Failure::NoSuchSession => Said { start_anew: true, ..Said::of(Cause::Transient, reason) },
        }
    }
}
