//! `qwen`: Qwen Code, whose stream has the shape of claude's and whose options are gemini's.
//!
//! Measured with 0.24.4.

mod screen;

use crate::drivers::common::program::{Allow, command_pattern};
use crate::drivers::{
    Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, Flags, HomeFiles, IDLE_SHARE, Instead,
    InteractiveJob, Job, Key, Manifest, Program, Prompt, Refusal, Refused, Seen, Start, Totals, Transcript,
    common::{
        settings_json::{self, By, GeminiCli},
        stream_json::StreamJson,
    },
};

/// Runs `qwen`.
pub(super) struct Qwen;

const PROGRAM: Program = Program {
    name: "qwen",
    install: "npm install -g @qwen-code/qwen-code",
    tested_with: "0.24.4",
    log_in: "run qwen and type /auth, or orch stop and orch start with a valid OPENAI_API_KEY",
    tells_when_done: true,
    allow: Allow::Tool(|name, called| match name {
        "run_shell_command" => command_pattern(name, called, 1, ""),
        other => other.to_owned(),
    }),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: true,
        mcp: true,
        hooks: false,
        denials: true,
        money: false,
        tokens: true,
        interactive: true,
    },
    totals: Totals::NONE,
    idle_share: IDLE_SHARE,
    keys: &[Key::AllowedTools, Key::PermissionMode, Key::MaxTurns],
    permission_modes: &[],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["OPENAI_API_KEY", "DASHSCOPE_API_KEY"],
    settings: &["QWEN_*", "OPENAI_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: None, files: HOME },
    starter: "permission_mode = \"auto-edit\"   # it changes files without asking\n",
};
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".qwen/oauth_creds.json", Access::Write),
    (".qwen/settings.json", Access::Copy),
    (".qwen/installation_id", Access::Read),
    (".qwen/QWEN.md", Access::Read),
    (".qwen/.env", Access::Read),
    (".qwen/projects", Access::Kept),
    (".qwen/tmp", Access::Kept),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["-o", "--output-format", "--input-format"], Instead::STREAM),
    (&["-r", "--resume", "-c", "--continue"], Instead::Key("resume")),
    (&["-m", "--model"], Instead::Key("model")),
    (&["--approval-mode"], Instead::Key("permission_mode")),
    (&["--allowed-tools"], Instead::Key("allowed_tools")),
    (&["--max-session-turns"], Instead::Key("max_turns")),
];
const CLI: GeminiCli = GeminiCli {
    kind: DriverKind::Qwen,
    program: PROGRAM.name,
    settings: By::Defaults("QWEN_CODE_SYSTEM_DEFAULTS_PATH"),
};

impl Driver for Qwen {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        CLI.start(job)
    }

    fn commands(&self, options: &AgentOptions) -> Commands {
        settings_json::commands(options)
    }

    fn edits(&self, options: &AgentOptions) -> bool {
        settings_json::edits(options)
    }

    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(StreamJson::default()))
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        Some(CLI.interactive(job))
    }

    fn see(&self, title: &str, screen: &str) -> Seen {
        screen::see(title, screen)
    }

    fn asked(&self, screen: &str) -> Option<String> {
        screen::asked(screen)
    }

    fn prompt(&self, _title: &str, screen: &str) -> Prompt {
        screen::prompt(screen)
    }
}
