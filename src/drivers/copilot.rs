//! `copilot`: GitHub's Copilot CLI, with `--output-format json` for tasks.
//!
//! Measured with 1.0.102. One JSON object per line, with a type and data; `ephemeral` lines are meant for a screen. It reads its
//! prompt from standard input, names its session only at the end, and reports no tokens. It retries a refused login twice. On
//! SIGTERM it ends with 0 and a result.

mod screen;

use std::{collections::HashMap, ffi::OsString, time::Duration};

use serde_json::{Value, json};

use crate::drivers::common::program::{Allow, command_pattern};
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, Ending, Event, Failure, Flags, HomeFiles,
        IDLE_SHARE, Instead, InteractiveJob, Job, Key, Manifest, Mcp, Program, Prompt, Refusal, Refused, RoleSettings,
        Seen, Start, Totals, Transcript,
        common::{errors, mcp_config, prompt::instructed, summary},
        rights,
    },
    model::{tool::Tool, wait::Needs},
};

/// Runs `copilot`.
pub(super) struct Copilot;

const PROGRAM: Program = Program {
    name: "copilot",
    install: "npm install -g @github/copilot",
    tested_with: "1.0.102",
    log_in: "run copilot login, or orch stop and orch start with a valid GH_TOKEN (of another service: COPILOT_PROVIDER_API_KEY)",
    tells_when_done: true,
    allow: Allow::Tool(|name, called| match name {
        "bash" | "shell" => command_pattern("shell", called, 1, ""),
        "edit" | "create" | "str_replace_editor" => "write".to_owned(),
        other => other.to_owned(),
    }),
};
/// The only value of `permission_mode`.
const ALLOW_ALL: &str = "allow-all";
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: true,
        mcp: true,
        hooks: false,
        denials: true,
        money: false,
        tokens: false,
        interactive: true,
    },
    totals: Totals::NONE,
    idle_share: IDLE_SHARE,
    keys: &[Key::AllowedTools, Key::PermissionMode],
    permission_modes: &[ALLOW_ALL],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"],
    settings: &["COPILOT_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: None, files: HOME },
    starter: "allowed_tools = [\"write\"]   # it changes files without asking; \"shell(git)\": and runs git\n",
};
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".copilot/config.json", Access::Copy),
    (".copilot/mcp-config.json", Access::Read),
    (".copilot/copilot-instructions.md", Access::Read),
    (".copilot/session-state", Access::Kept),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["--output-format", "--stream"], Instead::STREAM),
    (&["-p", "--prompt"], Instead::Nothing("the task's text is the prompt")),
    (&["--session-id", "-r", "--resume", "--continue"], Instead::Key("resume")),
    (&["--model"], Instead::Key("model")),
];
const MCP_FILE: &str = "mcp.json";
/// Flags that allow every tool.
const ALL_TOOLS: &[&str] = &["--allow-all-tools", "--allow-all", "--yolo"];

impl Driver for Copilot {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Copilot)?;
        let (mut args, mut files) = options(&job.role, job.mcp, job.dir);
        files.extend(instructed(job));
        // Whole lines, and no questions, because there is no user to answer them.
        args.extend(["--output-format", "json", "--stream", "off", "--no-ask-user"].map(OsString::from));
        let free = Tool::ALL.iter().filter(|tool| tool.is_free());
        args.extend(free.map(|tool| format!("--allow-tool={}({tool})", mcp_config::NAME).into()));
        args.extend(job.role.options.allowed_tools.iter().map(|tool| format!("--allow-tool={tool}").into()));
        // Not `--session-id` for both: it would silently create a session that does not exist.
        let session = job.resume.unwrap_or(job.new_session);
        args.push(format!("{}={session}", if job.resume.is_some() { "--resume" } else { "--session-id" }).into());
        let session = Some(session.to_owned());
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, files, session, ..Start::default() })
    }

    fn commands(&self, options: &AgentOptions) -> Commands {
        if options.permission_mode.as_deref() == Some(ALLOW_ALL) || rights::has_flag(options, ALL_TOOLS) {
            return Commands::Any;
        }
        rights::by_allowed_tools(options, "shell")
    }

    fn edits(&self, options: &AgentOptions) -> bool {
        options.permission_mode.as_deref() == Some(ALLOW_ALL)
            || rights::has_flag(options, ALL_TOOLS)
            || rights::allows_one_of(options, &["write"])
    }

    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(Stream::default()))
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        let (args, files) = options(&job.role, job.mcp, job.dir);
        Some(Start { program: PROGRAM.name.into(), args, files, ..Start::default() })
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

fn options(
    role: &RoleSettings,
    mcp: &Mcp,
    dir: &std::path::Path,
) -> (Vec<OsString>, Vec<(std::path::PathBuf, Vec<u8>)>) {
    let (file, _) = mcp_config::file(dir, MCP_FILE);
    let mut args: Vec<OsString> = vec!["--additional-mcp-config".into(), format!("@{}", file.display()).into()];
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    if role.options.permission_mode.as_deref() == Some(ALLOW_ALL) {
        args.push("--allow-all-tools".into());
    }
    args.extend(role.options.args.iter().map(OsString::from));
    (args, vec![(file, mcp.servers(json!({ "type": "local", "tools": ["*"] })))])
}

/// Reads its stream.
#[derive(Debug, Default)]
struct Stream {
    model: Option<String>,
    /// Running tools by the id of their call.
    calls: HashMap<String, String>,
    answer: Option<String>,
    /// The last error, until it continues.
    error: Option<(Failure, String)>,
    is_aborted: bool,
}

impl Transcript for Stream {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown { shown: Some(line.to_owned()) }];
        };
        let data = &said["data"];
        match said["type"].as_str() {
            Some("session.tools_updated") => {
                self.model = data["model"].as_str().map(str::to_owned);
                Vec::new()
            }
            // From here on the conversation can be continued.
            Some("user.message") => vec![Event::Started { session: None, model: self.model.take() }],
            Some("assistant.message") => self.message(data),
            Some("tool.execution_start") => self.call(data),
            Some("tool.execution_complete") => self.called(data),
            Some("model.call_failure") => retrying(data).into_iter().collect(),
            Some("session.error") => {
                let reason = data["message"].as_str().unwrap_or("it ended with an error").to_owned();
                self.error = Some((errors::failure(data["statusCode"].as_u64(), &reason), reason));
                Vec::new()
            }
            Some("abort") => {
                self.is_aborted = true;
                Vec::new()
            }
            // An interrupted run has no result, whatever it reports.
            Some("result") if self.is_aborted => Vec::new(),
            Some("result") => vec![self.result(&said)],
            Some("assistant.turn_start" | "assistant.turn_end") => Vec::new(),
            Some(_) if said["ephemeral"] == true => Vec::new(),
            _ => vec![Event::Unknown { shown: None }],
        }
    }
}

impl Stream {
    fn message(&mut self, data: &Value) -> Vec<Event> {
        self.error = None;
        match data["content"].as_str().unwrap_or_default() {
            "" => Vec::new(),
            text => {
                self.answer = Some(text.to_owned());
                vec![Event::Text(text.to_owned())]
            }
        }
    }

    fn call(&mut self, data: &Value) -> Vec<Event> {
        let name = data["toolName"].as_str().unwrap_or("?").to_owned();
        let summary = summary::arguments(&data["arguments"]);
        if let Some(id) = data["toolCallId"].as_str() {
            let shown = if summary.is_empty() { name.clone() } else { format!("{name}({summary})") };
            self.calls.insert(id.to_owned(), shown);
        }
        let changes = summary::changes(&data["arguments"]).map(Event::Changes);
        [Event::ToolCall { name, summary }].into_iter().chain(changes).collect()
    }

    fn called(&mut self, data: &Value) -> Vec<Event> {
        let call = data["toolCallId"].as_str().and_then(|id| self.calls.remove(id));
        let (ok, error) = (data["success"] == true, &data["error"]);
        let said = if ok { &data["result"]["content"] } else { &error["message"] };
        let mut events = vec![Event::ToolResult { ok, summary: summary::content(said) }];
        if error["code"] == "denied" {
            let of = call.unwrap_or_else(|| "a tool".to_owned());
            events.push(Event::Needs { what: Needs::Permission, of });
        }
        events
    }

    fn result(&mut self, said: &Value) -> Event {
        let ending = match self.error.take() {
            Some((failure, reason)) => Ending::Failed(failure, reason),
            None if said["exitCode"] == 0 => Ending::Done,
            None => Ending::Failed(Failure::Transient, format!("it ended with exit code {}", said["exitCode"])),
        };
        let text = self.answer.take().filter(|_| ending == Ending::Done);
        Event::Result { text, ending }
    }
}

/// Reads a failed request. copilot retries it unless the service would refuse that as well.
fn retrying(data: &Value) -> Option<Event> {
    let (text, status) = (data["errorMessage"].as_str().unwrap_or_default(), data["statusCode"].as_u64());
    let failure = errors::failure(status, text);
    // JSON: an object with a message, or the message itself.
    let message = serde_json::from_str::<Value>(text).ok().map(|error| match error {
        Value::String(message) => message,
        error => summary::value(&error["message"]),
    });
    let why = message.filter(|message| !message.is_empty()).unwrap_or_else(|| text.to_owned());
    let why = status.map_or(why.clone(), |status| format!("{why} ({status})"));
    let attempt = data["retryAttempt"].as_u64().map(|before| before.saturating_add(1));
    let again = Event::Retrying { attempt, of: None, after: Duration::ZERO, why, failure };
    (failure != Failure::Permanent).then_some(again)
}
