//! `claude`: Claude Code, in print mode for tasks and on its own terminal as the master.

use super::{Driver, Job, Refusal, Start};
use crate::config::Role;

/// Runs `claude`.
pub(super) struct Claude;

impl Driver for Claude {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        let mut args = vec!["-p".into()];
        args.extend(options(job.role));
        Ok(Start { program: "claude".into(), args, prompt_on_stdin: true })
    }

    fn interactive(&self, role: &Role) -> Option<Start> {
        Some(Start { program: "claude".into(), args: options(role), prompt_on_stdin: false })
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]
    }
}

fn options(role: &Role) -> Vec<std::ffi::OsString> {
    let mut args = Vec::new();
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    if let Some(instructions) = &role.instructions {
        args.extend(["--append-system-prompt".into(), instructions.into()]);
    }
    args
}
