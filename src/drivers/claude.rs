//! `claude`: Claude Code, in print mode for tasks and on its own terminal as the master.
//!
//! Measured with 2.1.328. It retries an API error ten times by itself, and then says "success" with `is_error`. A tool that
//! was denied leaves it at success too. A session is found by its id and its folder.

use std::ffi::OsString;

use super::{
    Driver, End, Hook, Job, Prompt, Refusal, Seat, Seen, Start, Transcript, Verdict, by_contract,
    conversation::Program, holds_to, hook_json, mcp, screen, stream_json::StreamJson,
};
use crate::config::{DriverKind, Role};

/// Runs `claude`.
pub(super) struct Claude;

const PROGRAM: Program = Program {
    name: "claude",
    log_in: "run claude and type /login, or give it a valid ANTHROPIC_API_KEY",
    tells_when_done: true,
};
const MCP_FILE: &str = "mcp.json";
const SETTINGS_FILE: &str = "settings.json";

impl Driver for Claude {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        holds_to(job.role, DriverKind::Claude)?;
        let agent = &job.role.agent;
        let mut args: Vec<OsString> =
            ["-p", "--output-format", "stream-json", "--verbose"].map(OsString::from).to_vec();
        let (flag, session) = job.resume.map_or(("--session-id", job.new_session), |session| ("--resume", session));
        args.extend([flag.into(), session.into()]);
        let (file, argument) = mcp::file(job.dir, MCP_FILE);
        args.extend(["--mcp-config".into(), argument, "--strict-mcp-config".into()]);
        let (settings, argument) = mcp::file(job.dir, SETTINGS_FILE);
        args.extend(["--settings".into(), argument]);
        args.extend(options(job.role));
        if let Some(mode) = &agent.permission_mode {
            args.extend(["--permission-mode".into(), mode.into()]);
        }
        if let Some(turns) = agent.max_turns {
            args.extend(["--max-turns".into(), turns.to_string().into()]);
        }
        if let Some(cost) = agent.max_cost_usd {
            args.extend(["--max-budget-usd".into(), cost.to_string().into()]);
        }
        args.extend(agent.args.iter().map(OsString::from));
        // Last, because it takes all that follows. Orch's own tools ask nobody.
        args.extend(["--allowedTools".into(), format!("mcp__{}", mcp::NAME).into()]);
        args.extend(agent.allowed_tools.iter().map(OsString::from));
        let files = vec![
            (file, job.mcp.servers(serde_json::json!({ "type": "stdio" }))),
            (settings, hook_json::settings(job.mcp.program, &hook_json::HEADLESS, &[])),
        ];
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, files, ..Start::default() })
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
        let agent = &seat.role.agent;
        let (file, argument) = mcp::file(seat.dir, MCP_FILE);
        // Not strict: a person has servers of his own.
        let mut args = vec!["--mcp-config".into(), argument];
        let (settings, argument) = mcp::file(seat.dir, SETTINGS_FILE);
        args.extend(["--settings".into(), argument]);
        let (flag, session) = seat.resume.map_or(("--session-id", seat.new_session), |session| ("--resume", session));
        args.extend([flag.into(), session.into()]);
        args.extend(options(seat.role));
        if let Some(mode) = &agent.permission_mode {
            args.extend(["--permission-mode".into(), mode.into()]);
        }
        args.extend(agent.args.iter().map(OsString::from));
        // After all options: a prompt that looks like one is none.
        if let Some(prompt) = seat.prompt {
            args.extend(["--".into(), prompt.into()]);
        }
        let files = vec![
            (file, seat.mcp.servers(serde_json::json!({ "type": "stdio" }))),
            (settings, hook_json::settings(seat.mcp.program, &hook_json::ON_A_TERMINAL, &agent.allowed_tools)),
        ];
        Some(Start { program: PROGRAM.name.into(), args, files, ..Start::default() })
    }

    fn hook(&self, call: &str) -> Option<Hook> {
        hook_json::read(call)
    }

    fn hand_over(&self, hook: &Hook, text: &str) -> Option<String> {
        hook_json::hand_over(hook, text)
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn see(&self, title: &str, screen: &str) -> Seen {
        screen::claude::see(title, screen)
    }

    fn prompt(&self, _title: &str, screen: &str) -> Prompt {
        screen::claude::prompt(screen)
    }

    /// Its sockets (`cc-socks`) and the outputs of its background commands; not the TMPDIR of what it starts.
    fn scratch_variable(&self) -> Option<&'static str> {
        Some("CLAUDE_CODE_TMPDIR")
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"]
    }
}

fn options(role: &Role) -> Vec<OsString> {
    let mut args = Vec::new();
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    if let Some(instructions) = &role.instructions {
        args.extend(["--append-system-prompt".into(), instructions.into()]);
    }
    args
}
