//! The options and settings of Gemini CLI, and of Qwen Code, which is descended from it.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::{
    mcp_config::{self, Mcp},
    prompt::instructed,
};
use crate::drivers::{
    driver::{InteractiveJob, Job, Refusal, Start, UserSettings},
    kind::DriverKind,
    options::{AgentOptions, RoleSettings},
    rights::{self, Commands},
};
use crate::model::tool::Tool;

const SETTINGS_FILE: &str = "settings.json";

/// One of the two programs.
pub(in crate::drivers) struct GeminiCli {
    pub kind: DriverKind,
    pub program: &'static str,
    /// How the program takes settings from orch.
    pub settings: By,
}

/// How one of the programs takes settings.
pub(in crate::drivers) enum By {
    /// From a file with defaults that this variable names. The user's and the project's settings override it.
    Defaults(&'static str),
    /// Only from this file of its user, in a home folder that this variable names. Gemini CLI has defaults too, but ignores
    /// them, silently, unless the file and every folder above it belong to root.
    UserFile { file: &'static str, home: &'static str },
}

impl GeminiCli {
    /// Returns how to start it for a task, with the prompt on standard input.
    pub fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(self.kind)?;
        let options = job.role.options;
        let mut args: Vec<OsString> = ["-o", "stream-json"].map(OsString::from).to_vec();
        args.extend(model(&job.role));
        if let Some(mode) = &options.permission_mode {
            args.extend(["--approval-mode".into(), mode.into()]);
        }
        if !options.allowed_tools.is_empty() {
            args.extend(["--allowed-tools".into(), options.allowed_tools.join(",").into()]);
        }
        // Only qwen has this flag; gemini does not honour the key.
        if let Some(turns) = options.max_turns {
            args.extend(["--max-session-turns".into(), turns.to_string().into()]);
        }
        if let Some(session) = job.resume {
            args.extend(["--resume".into(), session.into()]);
        }
        args.extend(options.args.iter().map(OsString::from));
        // There is no user to ask about orch's own tools: the others are not offered.
        let allowed = Tool::allowed(&options.allowed_tools, is_named);
        let tools: Vec<&str> = allowed.iter().map(|tool| tool.as_str()).collect();
        let trusted = json!({ "trust": true, "includeTools": tools });
        let mut start = Start { prompt_on_stdin: true, ..self.told_of(job.mcp, job.dir, trusted, args) };
        start.files.extend(instructed(job));
        Ok(start)
    }

    /// Returns how to start it on a terminal.
    pub fn interactive(&self, job: &InteractiveJob) -> Start {
        let mut args = model(&job.role);
        args.extend(job.role.options.args.iter().map(OsString::from));
        self.told_of(job.mcp, job.dir, json!({}), args)
    }

    fn told_of(&self, mcp: &Mcp, dir: &std::path::Path, beside: Value, args: Vec<OsString>) -> Start {
        let start = Start { program: self.program.into(), args, ..Start::default() };
        let servers = mcp.servers(beside);
        match self.settings {
            By::Defaults(variable) => {
                let (file, path) = mcp_config::file(dir, SETTINGS_FILE);
                Start { env: vec![(variable, path)], files: vec![(file, servers)], ..start }
            }
            By::UserFile { file, home } => {
                Start { settings: Some(UserSettings { file, home, with: servers }), ..start }
            }
        }
    }
}

/// Whether an entry of `allowed_tools` names a tool of orch: alone or with the server's name before it, as these programs
/// print it.
fn is_named(entry: &str, tool: Tool) -> bool {
    let entry = entry.strip_prefix("mcp_").unwrap_or(entry).trim_start_matches('_');
    let name = entry.strip_prefix(mcp_config::NAME).map_or(entry, |rest| rest.trim_start_matches('_'));
    name == tool.as_str()
}

fn model(role: &RoleSettings) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["-m".into(), model.into()]).collect()
}

/// Returns how far one of them may run commands without asking.
pub(in crate::drivers) fn commands(options: &AgentOptions) -> Commands {
    if options.permission_mode.as_deref() == Some("yolo") || rights::has_flag(options, &["-y", "--yolo"]) {
        return Commands::Any;
    }
    rights::by_allowed_tools(options, "run_shell_command")
}

/// Reports whether one of them may change files without asking.
pub(in crate::drivers) fn edits(options: &AgentOptions) -> bool {
    rights::has_mode(options, &["yolo", "auto_edit", "auto-edit", "auto"])
        || rights::has_flag(options, &["-y", "--yolo"])
        || rights::allows_one_of(options, &["write_file", "replace", "edit", "WriteFileTool", "EditTool"])
}
