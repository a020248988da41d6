//! What one run of a program has told in all, and what its end means by that: the same for every program that tells.

use super::{
    End, Program, Verdict, by_contract,
    event::{Ending, Event, Failure, When},
    words,
};
use crate::model::{
    cause::Cause,
    task::Usage,
    text::{count, cut, one_line, plain},
    wait::Needs,
    wait::{Need, Retry, Wait},
};

/// Longer answers are cut, at their end: nobody reads more, and Redis holds it. The raw lines have all of it.
const LONGEST_ANSWER: usize = 1 << 20;

/// So many lines at the end of standard error may say why a program has ended without a result.
const LAST_WORDS: usize = 8;

/// So many of the things that it was not allowed to do are named: behind them stands what to do.
const DENIALS: usize = 3;

/// The service has refused its login so often in a row: the first time it may have been a token that has just run out, which
/// the program renews. A refusal of the new one is final, whatever the program goes on to try.
const REFUSALS: u32 = 2;
const CUT: &str = "\n[cut here by orch at 1 MiB; all of it is in the attempt's raw.jsonl]";

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
    denied: Vec<String>,
    /// Why it is not let in, and how often that was said since it was.
    login: Option<(String, u32)>,
    /// That it asks its service again, since it last got on.
    retry: Option<Retry>,
    /// A limit, and its end if that is known.
    limited: Option<Option<When>>,
    result: Option<(Option<String>, Ending)>,
    /// What was said since the last use of a tool: the answer, where no result holds one.
    answer: String,
    /// What it had answered when something was handed over to it: what it says to that comes after it, and not instead.
    before: String,
    understood: u64,
    unknown: u64,
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

    /// What the end of `program` means. What it left in its result file wins.
    pub(super) fn verdict(&self, program: &Program, end: End) -> Verdict {
        let now = end.now;
        let name = program.name;
        let done_by_exit =
            !program.tells_when_done && end.exit_code == Some(0) && self.understood > 0 && self.login.is_none();
        let said = match &self.result {
            Some((_, Ending::Failed(Failure::Login, why))) => Said::person(program.asks_to_log_in(why)),
            // An end that it gives no reason for, while it is not let in.
            Some((_, Ending::Failed(Failure::Transient, reason))) if self.login.is_some() => {
                let why = self.login.as_ref().map_or(reason, |(why, _)| why);
                Said::person(program.asks_to_log_in(why))
            }
            Some((_, Ending::Failed(failure, reason))) => {
                Said::failed(*failure, format!("{name}: {reason}"), self.limited)
            }
            None if !done_by_exit => self.without_result(program, &end),
            _ if end.hold_denied && !self.denied.is_empty() => Said::person(self.denials(program)),
            _ => match end.exit_code {
                Some(0) => Said::of(Cause::Success, format!("{name} has done it")),
                // Nothing else ends a program that waits for its next prompt.
                _ if end.on_a_terminal => Said::of(Cause::Success, format!("{name} has done it")),
                _ => Said::of(Cause::Success, format!("{name} had done it when it was ended")),
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

    pub(super) fn text(&self) -> Option<String> {
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

    fn denials(&self, program: &Program) -> String {
        let named: Vec<&str> = self.denied.iter().take(DENIALS).map(String::as_str).collect();
        let more = self.denied.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let list = named.join(", ") + &more;
        format!("{} was not allowed to use {list}: allow it {}, then orch retry", program.name, program.allow)
    }

    /// It has ended and has not said how.
    fn without_result(&self, program: &Program, end: &End) -> Said {
        let name = program.name;
        if let Some((why, _)) = &self.login {
            return Said::person(program.asks_to_log_in(why));
        }
        if let Some(until) = self.limited {
            return Said { until, ..Said::of(Cause::RateLimited, format!("{name}: a limit is reached")) };
        }
        if end.exit_code.is_some_and(|code| code != 0) {
            // The last line often only says where to read on.
            let lines = end.stderr.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST_WORDS);
            let mut told = lines.map(|line| (words::failure(None, line), line));
            match told.find(|(failure, _)| *failure != Failure::Transient) {
                Some((Failure::Login, line)) => return Said::person(program.asks_to_log_in(line.trim())),
                Some((Failure::Bound, line)) => {
                    // Its first sentence: what follows is how it is set elsewhere.
                    let line = line.trim().split(". ").next().unwrap_or_default();
                    let reason = format!("{name}: its bound of turns is reached (max_turns): {line}");
                    return Said::failed(Failure::Bound, reason, None);
                }
                Some((failure, line)) if words::misuse(line).is_none() => {
                    return Said::failed(failure, format!("{name}: {}", line.trim()), None);
                }
                _ => {}
            }
            if self.understood == 0
                && let Some(why) = words::misuse(end.stderr)
            {
                return Said::of(Cause::Permanent, program.misunderstands(&one_line(&why, 200)));
            }
        }
        if end.on_a_terminal {
            match end.exit_code {
                Some(0) => {
                    return Said::person(format!(
                        "{name} was left before it was done: orch retry goes on with its conversation"
                    ));
                }
                Some(code) if end.was_asking => {
                    return Said::person(format!(
                        "{name} was asking its user something, and ended with exit code {code}: orch retry asks again"
                    ));
                }
                Some(code) if self.understood == 0 => {
                    return Said {
                        start_anew: true,
                        ..Said::of(Cause::Transient, format!("{name} ended with exit code {code} before it had begun"))
                    };
                }
                _ => {}
            }
        }
        if end.exit_code != Some(0) {
            let by_contract = by_contract(End { file: None, ..*end });
            return Said::of(by_contract.cause, format!("{name}: {}", by_contract.reason));
        }
        match (self.understood, self.unknown) {
            (0, 0) => Said::of(Cause::Transient, format!("{name} ended with exit code 0 and had printed nothing")),
            // Again would be the same, and cost the same.
            (0, n) => Said::of(
                Cause::Permanent,
                format!(
                    "what {name} printed is not its stream of JSON ({}, none understood): \
                     another version, or another program of this name? (orch doctor, orch logs --task)",
                    count(n, "line", "lines")
                ),
            ),
            _ => Said::of(Cause::Transient, format!("{name} ended with exit code 0 before it had given a result")),
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
