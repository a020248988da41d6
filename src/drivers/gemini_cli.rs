//! How Gemini CLI is started, and Qwen Code, which is descended from it: their options and settings are the same.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::{Job, Mcp, Refusal, Seat, Start, holds_to, instructed, mcp};
use crate::config::{DriverKind, Role};

const SETTINGS_FILE: &str = "settings.json";

/// One of them.
pub(super) struct GeminiCli {
    pub kind: DriverKind,
    pub program: &'static str,
    /// Names a file with settings of the least weight: a person's own and a project's are put over them. Left out, with a
    /// warning, where others may write into a folder above the file: the state folder is not such a place.
    pub defaults: &'static str,
}

impl GeminiCli {
    /// For a task, its prompt on standard input.
    pub fn start(&self, job: &Job) -> Result<Start, Refusal> {
        holds_to(job.role, self.kind)?;
        let agent = &job.role.agent;
        let mut args: Vec<OsString> = ["-o", "stream-json"].map(OsString::from).to_vec();
        args.extend(model(job.role));
        if let Some(mode) = &agent.permission_mode {
            args.extend(["--approval-mode".into(), mode.into()]);
        }
        if !agent.allowed_tools.is_empty() {
            args.extend(["--allowed-tools".into(), agent.allowed_tools.join(",").into()]);
        }
        // Qwen's alone; of a role of gemini's it was refused.
        if let Some(turns) = agent.max_turns {
            args.extend(["--max-session-turns".into(), turns.to_string().into()]);
        }
        if let Some(session) = job.resume {
            args.extend(["--resume".into(), session.into()]);
        }
        args.extend(agent.args.iter().map(OsString::from));
        // Nobody is there to be asked about orch's own tools.
        let mut start =
            Start { prompt_on_stdin: true, ..self.told_of(job.mcp, job.dir, json!({ "trust": true }), args) };
        start.files.extend(instructed(job));
        Ok(start)
    }

    /// On a terminal.
    pub fn interactive(&self, seat: &Seat) -> Start {
        let mut args = model(seat.role);
        args.extend(seat.role.agent.args.iter().map(OsString::from));
        self.told_of(seat.mcp, seat.dir, json!({}), args)
    }

    fn told_of(&self, mcp: &Mcp, dir: &std::path::Path, beside: Value, args: Vec<OsString>) -> Start {
        let (file, path) = mcp::file(dir, SETTINGS_FILE);
        let files = vec![(file, mcp.servers(beside))];
        Start { program: self.program.into(), args, env: vec![(self.defaults, path)], files, ..Start::default() }
    }
}

fn model(role: &Role) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["-m".into(), model.into()]).collect()
}
