//! `qwen`: Qwen Code, whose stream has the shape of claude's and whose options are gemini's.
//!
//! Measured with 0.24.4.

use super::{
    Driver, Job, Program, Prompt, Refusal, Seat, Seen, Start, Transcript, gemini_cli::GeminiCli, screen,
    stream_json::StreamJson,
};
use crate::config::DriverKind;

/// Runs `qwen`.
pub(super) struct Qwen;

const PROGRAM: Program = Program {
    name: "qwen",
    install: "npm install -g @qwen-code/qwen-code",
    tested_with: "0.24.4",
    log_in: "run qwen and type /auth, or orch stop and orch start with a valid OPENAI_API_KEY",
    tells_when_done: true,
    allow: "in the role (allowed_tools, permission_mode)",
};
const CLI: GeminiCli =
    GeminiCli { kind: DriverKind::Qwen, program: PROGRAM.name, defaults: "QWEN_CODE_SYSTEM_DEFAULTS_PATH" };

impl Driver for Qwen {
    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        CLI.start(job)
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&PROGRAM)
    }

    fn transcript(&self) -> Option<Box<dyn Transcript>> {
        Some(Box::new(StreamJson::default()))
    }

    fn interactive(&self, seat: &Seat) -> Option<Start> {
        Some(CLI.interactive(seat))
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn see(&self, title: &str, screen: &str) -> Seen {
        screen::qwen::see(title, screen)
    }

    fn asked(&self, screen: &str) -> Option<String> {
        screen::qwen::asked(screen)
    }

    fn prompt(&self, _title: &str, screen: &str) -> Prompt {
        screen::qwen::prompt(screen)
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["OPENAI_API_KEY", "DASHSCOPE_API_KEY"]
    }
}
