//! `aider`: takes one message and edits files. It prints text, and has neither MCP nor conversations that can be continued.
//!
//! Measured with 0.86.2. Its exit code is 0 whatever the model's service answered, so its output decides whether it succeeded. It
//! retries for a minute, so an answer may follow errors. Outside of a git repository it creates one (prevented by
//! `args = ["--no-git"]`).

use std::ffi::OsString;

use crate::drivers::common::program::Allow;
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, End, Failure, Flags, HomeFiles, IDLE_SHARE,
        Instead, InteractiveJob, Job, Manifest, Program, Refusal, Refused, RoleSettings, Start, Totals, Verdict,
        common::{errors, exit_code::by_exit_code, prompt::instructed},
        rights,
    },
    model::{cause::Cause, end_code::EndCode, task::Usage, text::one_line},
};

/// Runs `aider`.
pub(super) struct Aider;

const PROGRAM: Program = Program {
    name: "aider",
    install: "python3 -m pip install aider-chat",
    tested_with: "0.86.2",
    log_in: "orch stop and orch start with a valid key of its model's service",
    tells_when_done: false,
    allow: Allow::Otherwise("in the role (allowed_tools, permission_mode)"),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: false,
        mcp: false,
        hooks: false,
        denials: false,
        money: true,
        tokens: true,
        interactive: true,
    },
    totals: Totals::NONE,
    idle_share: IDLE_SHARE,
    keys: &[],
    permission_modes: &[],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY"],
    settings: &["AIDER_*", "ANTHROPIC_*", "GEMINI_*", "OLLAMA_*", "OPENAI_*", "OPENROUTER_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: None, files: HOME },
    starter: "",
};
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".aider.conf.yml", Access::Read),
    (".aider.model.settings.yml", Access::Read),
    (".aider.model.metadata.json", Access::Read),
    (".aider/oauth-keys.env", Access::Read),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["-f", "--message-file", "-m", "--message", "--msg"], Instead::Nothing("orch passes the task's text by it")),
    (&["--model"], Instead::Key("model")),
];

/// Python's exit code for arguments that it does not understand.
const EX_OF_ARGUMENTS: i32 = 2;

/// There is no user, and every question is answered with yes. So nothing is offered that would open or install a browser:
/// release notes, warnings, addresses in the text.
const UNATTENDED: [&str; 7] = [
    "--yes-always",
    "--no-pretty",
    "--no-check-update",
    "--no-fancy-input",
    "--no-show-model-warnings",
    "--no-show-release-notes",
    "--no-detect-urls",
];

impl Driver for Aider {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Aider)?;
        let mut args = UNATTENDED.map(OsString::from).to_vec();
        args.extend(model(&job.role));
        args.extend(job.role.options.args.iter().map(OsString::from));
        // A file, because each line of its standard input would be a message.
        args.extend(["--message-file".into(), job.prompt_file.into()]);
        Ok(Start { program: PROGRAM.name.into(), args, files: instructed(job), ..Start::default() })
    }

    /// It asks before it runs a command, even with `--yes-always`, except for commands that its arguments name.
    fn commands(&self, options: &AgentOptions) -> Commands {
        match rights::has_flag(options, &["--test-cmd", "--lint-cmd", "--load"]) {
            true => Commands::Any,
            false => Commands::Asks,
        }
    }

    fn read(&self, end: End) -> Verdict {
        let (now, said) = (end.now, Said::of(end.stdout));
        let misuse = errors::misuse(end.stderr).filter(|_| end.exit_code == Some(EX_OF_ARGUMENTS));
        let mut verdict = by_exit_code(end);
        if let Some(why) = misuse {
            (verdict.cause, verdict.code) = (Cause::Permanent, EndCode::BadArguments);
            verdict.reason = PROGRAM.misunderstands(&one_line(&why, 200));
        }
        if let Some(line) = said.error.filter(|_| verdict.cause == Cause::Success) {
            verdict.reason = format!("{}: {}", PROGRAM.name, one_line(line, 200));
            let failure = errors::failure(status(line), line);
            verdict.code = failure.code();
            verdict.cause = match failure {
                Failure::RateLimited(until) => {
                    verdict.retry_after = until.and_then(|until| until.from_now(now));
                    Cause::RateLimited
                }
                Failure::Login => {
                    verdict.reason = PROGRAM.asks_to_log_in(line);
                    Cause::NeedsPerson
                }
                Failure::Permanent | Failure::Bound => Cause::Permanent,
                Failure::Transient | Failure::NoSuchSession => Cause::Transient,
            };
        }
        verdict.text = verdict.text.or_else(|| said.answer.map(str::to_owned));
        verdict.usage = verdict.usage.or(said.usage);
        verdict
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        let mut args = model(&job.role);
        args.extend(job.role.options.args.iter().map(OsString::from));
        Some(Start { program: PROGRAM.name.into(), args, ..Start::default() })
    }
}

fn model(role: &RoleSettings) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["--model".into(), model.into()]).collect()
}

/// What its output says.
#[derive(Debug, Default, PartialEq)]
struct Said<'a> {
    /// The last error, if no answer followed.
    error: Option<&'a str>,
    /// The text after its banner.
    answer: Option<&'a str>,
    usage: Option<Usage>,
}

impl<'a> Said<'a> {
    fn of(printed: &'a str) -> Self {
        let mut said = Said::default();
        for line in printed.lines().map(str::trim) {
            // These names are those of the library by which aider calls all models.
            if line.starts_with("litellm.") {
                said.error = Some(line);
            } else if let Some(spent) = line.strip_prefix("Tokens: ") {
                // Printed after each answer.
                said.error = None;
                add(said.usage.get_or_insert_default(), spent);
            }
        }
        let banner = printed.find("Aider v").map(|at| &printed[at..]);
        said.answer = banner.and_then(|banner| banner.split_once("\n\n")).map(|(_, answer)| answer.trim());
        said
    }
}

/// `1.2k sent, 345 received. Cost: $0.0012 message, $0.0034 session.`
fn add(usage: &mut Usage, spent: &str) {
    let (tokens, cost) = spent.split_once(". Cost: ").unwrap_or((spent.trim_end_matches('.'), ""));
    for part in tokens.split(", ") {
        let Some((number, kind)) = part.split_once(' ') else { continue };
        let (number, times) = number.strip_suffix('k').map_or((number, 1.0), |thousands| (thousands, 1000.0));
        let count = (number.parse::<f64>().unwrap_or(0.0) * times) as u64;
        match kind {
            "received" => usage.output_tokens = usage.output_tokens.saturating_add(count),
            // The model has also read what was written to or read from the provider's cache.
            _ => usage.input_tokens = usage.input_tokens.saturating_add(count),
        }
    }
    // The cost of the session is the sum so far.
    let session = cost.split(", ").find_map(|part| part.trim_end_matches('.').strip_suffix(" session"));
    if let Some(usd) = session.and_then(|usd| usd.trim_start_matches('$').parse().ok()) {
        usage.cost_usd = usd;
    }
}

/// Returns the HTTP status for an error by the name that the library has for it.
fn status(error: &str) -> Option<u64> {
    let name = error.strip_prefix("litellm.")?.split(':').next()?;
    match name {
        "AuthenticationError" => Some(401),
        "PermissionDeniedError" => Some(403),
        "NotFoundError" => Some(404),
        "RateLimitError" => Some(429),
        "BadRequestError" | "ContextWindowExceededError" | "UnprocessableEntityError" => Some(400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_used_is_summed_and_its_banner_is_no_answer() {
        let printed = "HTTPSConnectionPool(...)\nAider v0.86.2\nModel: m\n\nlitellm.RateLimitError: slow\nRetrying in 1.0 \
                       seconds...\nI did it.\nTokens: 1.5k sent, 500 cache hit, 20 received. Cost: $0.01 message, $0.01 \
                       session.\nAnd more.\nTokens: 12k sent, 4 received. Cost: $0.02 message, $0.03 session.\n";
        let said = Said::of(printed);
        assert_eq!(said.error, None, "it went well in the end");
        assert_eq!(
            said.usage,
            Some(Usage { input_tokens: 14_000, output_tokens: 24, cost_usd: 0.03, ..Usage::default() })
        );
        assert!(said.answer.is_some_and(|answer| answer.starts_with("litellm") && answer.ends_with("session.")));
        assert_eq!(Said::of("no banner"), Said::default());
        assert!(Said::of("Tokens: 5 sent, 1 received.\nlitellm.APIError: x").error.is_some());
    }
}
