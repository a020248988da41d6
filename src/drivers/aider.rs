//! `aider`: one message, and it edits what is to be edited. It prints text, knows no MCP and no conversation to go on with.
//!
//! Measured with 0.86.2. It ends with 0 whatever the model's service said, so what it printed says whether it went well.

use std::ffi::OsString;

use super::{Driver, End, Failure, Job, Refusal, Seat, Start, Verdict, by_contract, holds_to, instructed, words};
use crate::{
    config::{DriverKind, Role},
    model::{cause::Cause, text::one_line},
};

/// Runs `aider`.
pub(super) struct Aider;

const NAME: &str = "aider";

impl Driver for Aider {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        holds_to(job.role, DriverKind::Aider)?;
        let mut args: Vec<OsString> =
            ["--yes-always", "--no-pretty", "--no-check-update", "--no-fancy-input"].map(OsString::from).to_vec();
        args.extend(model(job.role));
        args.extend(job.role.agent.args.iter().map(OsString::from));
        // A file, because each line of its standard input would be a message.
        args.extend(["--message-file".into(), job.prompt_file.into()]);
        Ok(Start { program: NAME.into(), args, files: instructed(job), ..Start::default() })
    }

    fn read(&self, end: End) -> Verdict {
        let now = end.now;
        // The names are those of the library by which it calls every model.
        let error = end.stdout.lines().rev().find(|line| line.trim_start().starts_with("litellm.")).map(str::to_owned);
        let mut verdict = by_contract(end);
        if let Some(line) = error.filter(|_| verdict.cause == Cause::Success) {
            verdict.reason = format!("{NAME}: {}", one_line(&line, 200));
            verdict.cause = match words::failure(None, &line) {
                Failure::RateLimited(until) => {
                    verdict.retry_after = until.map(|until| until.from_now(now));
                    Cause::RateLimited
                }
                Failure::Login => Cause::NeedsPerson,
                Failure::Permanent | Failure::Bound => Cause::Permanent,
                Failure::Transient | Failure::NoSuchSession => Cause::Transient,
            };
        }
        verdict
    }

    fn interactive(&self, seat: &Seat) -> Option<Start> {
        let mut args = model(seat.role);
        args.extend(seat.role.agent.args.iter().map(OsString::from));
        Some(Start { program: NAME.into(), args, ..Start::default() })
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY"]
    }
}

fn model(role: &Role) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["--model".into(), model.into()]).collect()
}
