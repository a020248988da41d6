//! `copilot`: GitHub's Copilot CLI. For a task it is given one prompt, and what it prints is its answer.
//!
//! Measured with 1.0.102.

use std::ffi::OsString;

use serde_json::json;

use super::{Driver, Job, Mcp, Refusal, Seat, Start, command::LONGEST_ARGUMENT, holds_to, mcp};
use crate::config::{DriverKind, Role};

/// Runs `copilot`.
pub(super) struct Copilot;

const NAME: &str = "copilot";
const MCP_FILE: &str = "mcp.json";

impl Driver for Copilot {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        holds_to(job.role, DriverKind::Copilot)?;
        let prompt = match &job.role.instructions {
            Some(instructions) => format!("{}\n\n{}", instructions.trim_end(), job.prompt),
            None => job.prompt.to_owned(),
        };
        if prompt.len() > LONGEST_ARGUMENT - "--prompt=".len() {
            return Err(Refusal(format!(
                "the text is too long for {NAME}, which takes it as an argument ({} KiB, 128 at most): give it as a file \
                 that it can read (--artifact)",
                prompt.len() / 1024
            )));
        }
        let (mut args, files) = options(job.role, job.mcp, job.dir);
        // The answer alone, and no question to somebody who is not there.
        args.extend(["-s", "--no-ask-user"].map(OsString::from));
        args.push(format!("--allow-tool={}", mcp::NAME).into());
        args.extend(job.role.agent.allowed_tools.iter().map(|tool| format!("--allow-tool={tool}").into()));
        args.push(format!("--prompt={prompt}").into());
        Ok(Start { program: NAME.into(), args, files, ..Start::default() })
    }

    fn interactive(&self, seat: &Seat) -> Option<Start> {
        let (args, files) = options(seat.role, seat.mcp, seat.dir);
        Some(Start { program: NAME.into(), args, files, ..Start::default() })
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"]
    }
}

fn options(role: &Role, mcp: &Mcp, dir: &std::path::Path) -> (Vec<OsString>, Vec<(std::path::PathBuf, Vec<u8>)>) {
    let (file, _) = mcp::file(dir, MCP_FILE);
    let mut args: Vec<OsString> = vec!["--additional-mcp-config".into(), format!("@{}", file.display()).into()];
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    if role.agent.permission_mode.as_deref() == Some("allow-all") {
        args.push("--allow-all-tools".into());
    }
    args.extend(role.agent.args.iter().map(OsString::from));
    (args, vec![(file, mcp.servers(json!({ "type": "local", "tools": ["*"] })))])
}
