//! Derives the verdict on a program from its exit code and its result file: the contract of a program without a
//! transcript.
//!
//! Exit codes: 0 success, 65 permanent, 75 transient, 77 needs a person, any other code transient; a signal means lost.

use std::time::Duration;

use crate::{
    drivers::verdict::{End, Verdict},
    model::{cause::Cause, end_code::EndCode},
};

/// Longest delay that a program can ask for. A number that it writes by mistake (a time in seconds since 1970, the largest
/// number there is) must not delay its task for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Returns what an end means where no driver knows better.
pub(in crate::drivers) fn by_exit_code(end: End) -> Verdict {
    let file = end.file.unwrap_or_default();
    let (mut cause, mut code, mut reason) = match (end.exit_code, end.signal) {
        (Some(0), _) => (Cause::Success, EndCode::Done, "the program ended with exit code 0".to_owned()),
        (Some(code), _) => (Cause::of_exit_code(code), EndCode::ExitCode, format!("exit code {code}{}", meaning(code))),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("", |s| s.as_str());
            (
                Cause::Lost,
                EndCode::Signal,
                format!("the program was killed by signal {signal} {name}").trim_end().to_owned(),
            )
        }
        (None, None) => (Cause::Lost, EndCode::ExitUnknown, "the program ended, and how is unknown".to_owned()),
    };
    if let (Some(said), true) = (file.cause, end.exit_code.is_some()) {
        if said != cause {
            code = EndCode::ProgramSaid;
            reason = format!("the program says {said} in its result file ({reason})");
        }
        cause = said;
    }
    if cause != Cause::Success
        && let Some(line) = last_line(end.stderr).or_else(|| last_line(end.stdout))
    {
        reason = format!("{reason}: {}", crate::model::text::one_line(line, 200));
    }
    Verdict {
        text: file.text,
        data: file.data,
        usage: file.usage,
        retry_after: file.retry_after_ms.map(|ms| Duration::from_millis(ms).min(LONGEST_WAIT)),
        ..Verdict::of(cause, code, reason)
    }
}

/// Returns the last line that is not empty. Lines that the runner has added between those of the program don't count.
fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("── "))
}

/// Explains a code of the shell or of sysexits.h.
fn meaning(code: i32) -> &'static str {
    match code {
        65 => " (permanent)",
        75 => " (transient)",
        77 => " (a person is needed)",
        126 => " (not executable)",
        127 => " (command not found)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn end(code: Option<i32>, signal: Option<i32>, file: Option<&str>) -> Verdict {
        let file = file.map(|text| serde_json::from_str(text).unwrap());
        by_exit_code(End {
            exit_code: code,
            signal,
            stdout: "a\n\n",
            stderr: "",
            file,
            conversation: None,
            on_a_terminal: false,
            was_asking: false,
            hold_denied: true,
            now: Timestamp(0),
        })
    }

    #[test]
    fn exit_codes_mean_what_the_contract_says() {
        let cause = |code| end(Some(code), None, None).cause;
        assert_eq!(
            [0, 1, 65, 75, 77, 127].map(cause),
            [
                Cause::Success,
                Cause::Transient,
                Cause::Permanent,
                Cause::Transient,
                Cause::NeedsPerson,
                Cause::Transient
            ]
        );
        for code in 0..=255 {
            let expected = match code {
                0 => Cause::Success,
                65 => Cause::Permanent,
                77 => Cause::NeedsPerson,
                _ => Cause::Transient,
            };
            let verdict = end(Some(code), None, None);
            assert!(verdict.cause == expected && verdict.reason.contains(&format!("exit code {code}")), "{code}");
        }
        // The last ones have no name.
        for signal in 1..=64 {
            let verdict = end(None, Some(signal), None);
            assert!(verdict.cause == Cause::Lost && verdict.reason.contains(&format!("signal {signal}")), "{signal}");
        }
        let killed = end(None, Some(9), None);
        assert_eq!(
            (killed.cause, killed.reason.as_str()),
            (Cause::Lost, "the program was killed by signal 9 SIGKILL: a")
        );
    }

    #[test]
    fn the_result_file_says_more_than_the_exit_code_but_not_of_a_killed_program() {
        let said = end(Some(1), None, Some(r#"{"cause": "rate_limited", "retry_after_ms": 5000, "text": "later"}"#));
        assert_eq!((said.cause, said.retry_after), (Cause::RateLimited, Some(Duration::from_secs(5))));
        assert_eq!(said.text.as_deref(), Some("later"));
        assert_eq!(end(None, Some(9), Some(r#"{"cause": "success"}"#)).cause, Cause::Lost);
    }
    #[test]
    fn a_program_is_tried_again_within_a_day_whatever_it_asks_for() {
        let wait = |ms: u64| {
            let file = format!(r#"{{"cause": "transient", "retry_after_ms": {ms}}}"#);
            end(Some(1), None, Some(&file)).retry_after.map(|wait| wait.as_secs())
        };
        let day = 86_400;
        assert_eq!(
            [1_000, day * 1_000, day * 1_000 + 1, 1_763_600_000_000, u64::MAX].map(wait),
            [1, day, day, day, day].map(Some)
        );
    }
}
