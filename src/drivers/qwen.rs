//! `qwen`: Qwen Code, whose stream has the shape of claude's and whose options are gemini's.
//!
//! Measured with 0.24.4.

use std::ffi::OsString;

use serde_json::json;

use super::{
    Driver, End, Job, Refusal, Seat, Start, Transcript, Verdict, by_contract, conversation::Program, holds_to,
    instructed, mcp, stream_json::StreamJson,
};
use crate::config::{DriverKind, Role};

/// Runs `qwen`.
pub(super) struct Qwen;

const PROGRAM: Program = Program {
    name: "qwen",
    log_in: "run qwen and type /auth, or give it a valid OPENAI_API_KEY",
    tells_when_done: true,
};
/// Settings of the least weight: a person's own and a project's are put over them.
const DEFAULTS: &str = "QWEN_CODE_SYSTEM_DEFAULTS_PATH";
const SETTINGS_FILE: &str = "settings.json";

impl Driver for Qwen {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        holds_to(job.role, DriverKind::Qwen)?;
        let agent = &job.role.agent;
        let mut args: Vec<OsString> = ["-o", "stream-json"].map(OsString::from).to_vec();
        args.extend(model(job.role));
        if let Some(mode) = &agent.permission_mode {
            args.extend(["--approval-mode".into(), mode.into()]);
        }
        if !agent.allowed_tools.is_empty() {
            args.extend(["--allowed-tools".into(), agent.allowed_tools.join(",").into()]);
        }
        if let Some(turns) = agent.max_turns {
            args.extend(["--max-session-turns".into(), turns.to_string().into()]);
        }
        if let Some(session) = job.resume {
            args.extend(["--resume".into(), session.into()]);
        }
        args.extend(agent.args.iter().map(OsString::from));
        let (file, path) = mcp::file(job.dir, SETTINGS_FILE);
        let mut files = instructed(job);
        files.push((file, job.mcp.servers(json!({ "trust": true }))));
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, env: vec![(DEFAULTS, path)], files })
    }

    fn read(&self, end: End) -> Verdict {
        match end.conversation {
            Some(told) => told.verdict(&PROGRAM, end),
            None => by_contract(end),
        }
    }

    fn transcript(&self) -> Option<Box<dyn Transcript>> {
        Some(Box::new(StreamJson::default()))
    }

    fn interactive(&self, seat: &Seat) -> Option<Start> {
        let mut args = model(seat.role);
        args.extend(seat.role.agent.args.iter().map(OsString::from));
        let (file, path) = mcp::file(seat.dir, SETTINGS_FILE);
        let files = vec![(file, seat.mcp.servers(json!({})))];
        Some(Start { program: PROGRAM.name.into(), args, env: vec![(DEFAULTS, path)], files, ..Start::default() })
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["OPENAI_API_KEY", "DASHSCOPE_API_KEY"]
    }
}

fn model(role: &Role) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["-m".into(), model.into()]).collect()
}
