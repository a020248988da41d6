//! Derives the verdict on a program from what it reported while it ran, by the same rules for every program with a
//! transcript.

use super::{
    conversation::{CUT, Conversation},
    errors,
    event::{Ending, Failure, When},
    exit_code::by_exit_code,
    program::{APPROVE, Allow, Program},
};
use crate::{
    drivers::verdict::{End, Verdict},
    model::{
        cause::Cause,
        end_code::EndCode,
        text::{count, one_line},
    },
};

/// Lines at the end of standard error that are searched for the reason of an end without a result.
const LAST_WORDS: usize = 8;

/// Columns of a denied tool in a reason.
const DENIAL: usize = 60;

/// Returns the option that allows a denied tool, such as `Bash(npm test)`, as a shell takes it.
fn word_for(pattern: fn(&str, &str) -> String, denied: &str) -> String {
    let (name, called) = denied.split_once('(').unwrap_or((denied, ""));
    let word = pattern(name, called.strip_suffix(')').unwrap_or(called));
    format!("--allow '{}'", word.replace('\'', r"'\''"))
}

/// Denied tools that are named in a reason, so that there is room for what to do about them.
const DENIALS: usize = 3;

impl Conversation {
    /// What the end of `program` means. What it left in its result file wins.
    pub(in crate::drivers) fn verdict(&self, program: &Program, end: End) -> Verdict {
        let now = end.now;
        let name = program.name;
        let done_by_exit =
            !program.tells_when_done && end.exit_code == Some(0) && self.understood > 0 && self.login.is_none();
        let said = match &self.result {
            Some((_, Ending::Failed(Failure::Login, why))) => {
                Said::person(EndCode::LoginNeeded, program.asks_to_log_in(why))
            }
            // An end without a reason while its login is refused.
            Some((_, Ending::Failed(Failure::Transient, reason))) if self.login.is_some() => {
                let why = self.login.as_ref().map_or(reason, |(why, _)| why);
                Said::person(EndCode::LoginNeeded, program.asks_to_log_in(why))
            }
            Some((_, Ending::Failed(failure, reason))) => {
                Said::failed(*failure, format!("{name}: {reason}"), self.limited)
            }
            None if !done_by_exit => self.without_result(program, &end),
            _ if end.hold_denied && !self.denied.is_empty() => {
                Said::person(EndCode::PermissionDenied, self.denials(program))
            }
            _ => match end.exit_code {
                Some(0) => Said::of(Cause::Success, EndCode::Done, format!("{name} has done it")),
                // Nothing else ends a program that waits for its next prompt.
                _ if end.on_a_terminal => Said::of(Cause::Success, EndCode::Done, format!("{name} has done it")),
                _ => Said::of(Cause::Success, EndCode::Done, format!("{name} had done it when it was ended")),
            },
        };
        let mut verdict = by_exit_code(end);
        // A result file says how the program ended; one that was killed says nothing.
        if verdict.code != EndCode::ProgramSaid {
            (verdict.cause, verdict.code) = (said.cause, said.code);
            verdict.reason = one_line(&said.reason, 400);
            verdict.retry_after = said.until.and_then(|until| until.from_now(now)).or(verdict.retry_after);
        }
        verdict.start_anew = said.start_anew;
        if verdict.text.is_none() {
            verdict.text = self.text();
            verdict.truncated = verdict.text.as_deref().is_some_and(|text| text.ends_with(CUT));
        }
        verdict.usage = verdict.usage.or_else(|| self.usage.clone());
        verdict
    }

    fn denials(&self, program: &Program) -> String {
        let named: Vec<String> = self.denied.iter().take(DENIALS).map(|one| one_line(one, DENIAL)).collect();
        let more = self.denied.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let list = named.join(", ") + &more;
        let how = match program.allow {
            Allow::Tool(pattern) => {
                let mut patterns: Vec<String> =
                    self.denied.iter().take(DENIALS).map(|one| word_for(pattern, one)).collect();
                patterns.dedup();
                format!("with: {APPROVE} {}; or with --role, in its role's allowed_tools", patterns.join(" "))
            }
            Allow::Otherwise(how) => format!("{how}, then orch retry"),
        };
        format!("{} was not allowed to use {list}: allow it {how}", program.name)
    }

    /// Returns what an end without a reported result means.
    fn without_result(&self, program: &Program, end: &End) -> Said {
        let name = program.name;
        if let Some((why, _)) = &self.login {
            return Said::person(EndCode::LoginNeeded, program.asks_to_log_in(why));
        }
        if let Some(until) = self.limited {
            return Said {
                until,
                ..Said::of(Cause::RateLimited, EndCode::RateLimited, format!("{name}: a limit is reached"))
            };
        }
        if end.exit_code.is_some_and(|code| code != 0) {
            // The last line is often only a pointer to documentation.
            let lines = end.stderr.lines().rev().filter(|line| !line.trim().is_empty()).take(LAST_WORDS);
            let mut told = lines.map(|line| (errors::failure(None, line), line));
            match told.find(|(failure, _)| *failure != Failure::Transient) {
                Some((Failure::Login, line)) => {
                    return Said::person(EndCode::LoginNeeded, program.asks_to_log_in(line.trim()));
                }
                Some((Failure::Bound, line)) => {
                    // The first sentence only: the rest explains the program's own setting.
                    let line = line.trim().split(". ").next().unwrap_or_default();
                    let reason = format!("{name}: its bound of turns is reached (max_turns): {line}");
                    return Said::failed(Failure::Bound, reason, None);
                }
                Some((failure, line)) if errors::misuse(line).is_none() => {
                    return Said::failed(failure, format!("{name}: {}", line.trim()), None);
                }
                _ => {}
            }
            if self.understood == 0
                && let Some(why) = errors::misuse(end.stderr)
            {
                return Said::of(Cause::Permanent, EndCode::BadArguments, program.misunderstands(&one_line(&why, 200)));
            }
        }
        if end.on_a_terminal {
            match end.exit_code {
                Some(0) => {
                    return Said::person(
                        EndCode::LeftUnfinished,
                        format!("{name} was closed before it was done: orch retry continues its conversation"),
                    );
                }
                Some(code) if end.was_asking => {
                    return Said::person(
                        EndCode::LeftAsking,
                        format!(
                            "{name} was asking its user something, and ended with exit code {code}: orch retry asks again"
                        ),
                    );
                }
                Some(code) if self.understood == 0 => {
                    return Said {
                        start_anew: true,
                        ..Said::of(
                            Cause::Transient,
                            EndCode::ConversationMissing,
                            format!("{name} ended with exit code {code} before it had begun"),
                        )
                    };
                }
                _ => {}
            }
        }
        if end.exit_code != Some(0) {
            let by_code = by_exit_code(End { file: None, ..*end });
            return Said::of(by_code.cause, by_code.code, format!("{name}: {}", by_code.reason));
        }
        match (self.understood, self.unknown) {
            (0, 0) => Said::of(
                Cause::Transient,
                EndCode::NoResult,
                format!("{name} ended with exit code 0 and had printed nothing"),
            ),
            // A retry would have the same result and cost as much.
            (0, n) => Said::of(
                Cause::Permanent,
                EndCode::OutputUnreadable,
                format!(
                    "what {name} printed is not its stream of JSON ({}, none understood): \
                     another version, or another program of this name? (orch doctor, orch logs --task)",
                    count(n, "line", "lines")
                ),
            ),
            _ => Said::of(
                Cause::Transient,
                EndCode::NoResult,
                format!("{name} ended with exit code 0 before it had given a result"),
            ),
        }
    }
}

/// Cause and reason by what was reported. A result file takes precedence.
struct Said {
    cause: Cause,
    code: EndCode,
    reason: String,
    until: Option<When>,
    start_anew: bool,
}

impl Said {
    fn of(cause: Cause, code: EndCode, reason: String) -> Self {
        Said { cause, code, reason, until: None, start_anew: false }
    }
    fn person(code: EndCode, reason: String) -> Self {
        Said::of(Cause::NeedsPerson, code, reason)
    }
    fn failed(failure: Failure, reason: String, limited: Option<Option<When>>) -> Self {
        let code = failure.code();
        match failure {
            Failure::Transient => Said::of(Cause::Transient, code, reason),
            Failure::RateLimited(until) => {
                Said { until: until.or(limited.flatten()), ..Said::of(Cause::RateLimited, code, reason) }
            }
            // A retry would exceed a limit that a person has set.
            Failure::Permanent | Failure::Bound => Said::of(Cause::Permanent, code, reason),
            Failure::Login => Said::person(code, reason),
            Failure::NoSuchSession => Said { start_anew: true, ..Said::of(Cause::Transient, code, reason) },
        }
    }
}
