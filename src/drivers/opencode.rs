//! `opencode`: `opencode run --format json` for tasks.
//!
//! Measured with 1.18.33. It reports steps, texts and tools, but no final result: a step that calls no tool is the last one.
//! Its exit code is 0 even when it ends in the middle of a step (its last lines may be lost in the pipe). It refuses by itself
//! what would need permission, says so on standard error, and ends, again with 0.

mod screen;

use std::ffi::OsString;

use serde_json::{Map, Value, json};

use crate::drivers::common::program::Allow;
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Driver, DriverKind, Ending, Event, Flags, HomeFiles, Instead,
        InteractiveJob, Job, Manifest, Mcp, Program, Prompt, Refusal, Refused, RoleSettings, Seen, Start, Totals,
        Transcript,
        common::{errors, mcp_config, prompt::instructed, summary},
    },
    model::{task::Usage, text::one_line, tool::Tool, wait::Needs},
};

/// Runs `opencode`.
pub(super) struct Opencode;

const PROGRAM: Program = Program {
    name: "opencode",
    install: "npm install -g opencode-ai",
    tested_with: "1.18.33",
    log_in: "run opencode auth login, or orch stop and orch start with a valid key of its model's service",
    tells_when_done: true,
    allow: Allow::Otherwise("under permission in opencode.json"),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: true,
        mcp: true,
        hooks: false,
        denials: true,
        money: true,
        tokens: true,
        interactive: true,
    },
    totals: Totals::NONE,
    // Measured: 0.012 in a minute of waiting, 0.3 while it reads 50 words per second.
    idle_share: 0.05,
    keys: &[],
    permission_modes: &[],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["OPENCODE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"],
    settings: &["OPENCODE_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: None, files: HOME },
    starter: "",
};
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".local/share/opencode", Access::Kept),
    (".local/share/opencode/auth.json", Access::Write),
    // It does not start if it cannot write its files there.
    (".config/opencode", Access::Copy),
    (".cache/opencode", Access::Copy),
    (".agents/skills", Access::Read),
    (".local/state/opencode", Access::Kept),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["--format"], Instead::STREAM),
    (&["-s", "--session", "-c", "--continue"], Instead::Key("resume")),
    (&["-m", "--model"], Instead::Key("model")),
];
/// Names a further configuration file, which overrides the global one and is overridden by the project's.
const CONFIG: &str = "OPENCODE_CONFIG";
const CONFIG_FILE: &str = "opencode.json";

impl Driver for Opencode {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Opencode)?;
        let mut args: Vec<OsString> = ["run", "--format", "json"].map(OsString::from).to_vec();
        args.extend(model(&job.role));
        match job.resume {
            Some(session) => args.extend(["--session".into(), session.into()]),
            // Otherwise it asks its model for one, and does not report what that has used.
            None if !names_title(&job.role.options.args) => args.push(format!("{TITLE}={}", title(job.prompt)).into()),
            None => {}
        }
        args.extend(job.role.options.args.iter().map(OsString::from));
        let (file, path) = mcp_config::file(job.dir, CONFIG_FILE);
        let mut files = instructed(job);
        files.push((file, config(job.mcp)));
        let env = vec![(CONFIG, path)];
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, env, files, ..Start::default() })
    }

    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(Steps::default()))
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        let mut args = model(&job.role);
        args.extend(job.role.options.args.iter().map(OsString::from));
        let (file, path) = mcp_config::file(job.dir, CONFIG_FILE);
        let files = vec![(file, config(job.mcp))];
        Some(Start { program: PROGRAM.name.into(), args, env: vec![(CONFIG, path)], files, ..Start::default() })
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

    /// It unpacks its libraries there, 5 MB per start, and leaves them behind.
    fn scratch_variable(&self) -> Option<&'static str> {
        Some("BUN_TMPDIR")
    }
}

/// Names the conversation in opencode's own list.
const TITLE: &str = "--title";

fn names_title(args: &[String]) -> bool {
    args.iter().any(|arg| arg == TITLE || arg.strip_prefix(TITLE).is_some_and(|rest| rest.starts_with('=')))
}

/// Returns the first line of a prompt, as long as opencode's own titles.
fn title(prompt: &str) -> String {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("a task of orch");
    one_line(line, 50)
}

fn model(role: &RoleSettings) -> Vec<OsString> {
    role.model.iter().flat_map(|model| ["--model".into(), model.into()]).collect()
}

fn config(mcp: &Mcp) -> Vec<u8> {
    let server = json!({
        "type": "local",
        "command": [mcp.command(), "mcp"],
        "environment": mcp.variables(),
        "enabled": true,
    });
    // It allows every tool that no rule names.
    let asks = Tool::ALL.iter().filter(|tool| !tool.is_free());
    let rules: Map<String, Value> = asks.map(|tool| (format!("{}_{tool}", mcp_config::NAME), json!("ask"))).collect();
    json!({ "mcp": { mcp_config::NAME: server }, "permission": rules }).to_string().into_bytes()
}

/// Reads its stream of steps.
#[derive(Debug, Default)]
struct Steps {
    session: Option<String>,
    /// The sum of all steps.
    usage: Usage,
    /// Whether a tool was refused in this step, which is then the last one.
    is_refused: bool,
}

impl Transcript for Steps {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown { shown: Some(line.to_owned()) }];
        };
        let mut events: Vec<Event> = self.started(&said).into_iter().collect();
        let part = &said["part"];
        match said["type"].as_str() {
            Some("reasoning") => {}
            // It continues, whatever the step before was.
            Some("step_start") => {
                self.is_refused = false;
                events.push(Event::Turn);
            }
            Some("text") => events.push(Event::Text(part["text"].as_str().unwrap_or_default().to_owned())),
            Some("tool_use") => {
                let told = tool(part);
                self.is_refused |= told.iter().any(|event| matches!(event, Event::Needs { .. }));
                events.extend(told);
            }
            Some("step_finish") => {
                events.push(self.step(part));
                if self.is_refused || !matches!(part["reason"].as_str(), Some("tool-calls" | "error")) {
                    events.push(Event::Result { text: None, ending: Ending::Done });
                }
            }
            Some("error") => {
                let error = &said["error"];
                let reason = error["data"]["message"].as_str().or(error["message"].as_str()).or(error["name"].as_str());
                let reason = reason.unwrap_or("it ended with an error").to_owned();
                let status = error["data"]["statusCode"].as_u64();
                events.push(Event::Result {
                    text: None,
                    ending: Ending::Failed(errors::failure(status, &reason), reason),
                });
            }
            _ => events.push(Event::Unknown { shown: None }),
        }
        events
    }
}

impl Steps {
    /// Returns an event for the first line that names a session; every line names it.
    fn started(&mut self, said: &Value) -> Option<Event> {
        let session = said["sessionID"].as_str()?.to_owned();
        if self.session.as_ref() == Some(&session) {
            return None;
        }
        self.session = Some(session.clone());
        Some(Event::Started { session: Some(session), model: None })
    }

    fn step(&mut self, part: &Value) -> Event {
        let tokens = &part["tokens"];
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        self.usage.input_tokens = self
            .usage
            .input_tokens
            .saturating_add(count(&tokens["input"]))
            .saturating_add(count(&tokens["cache"]["read"]))
            .saturating_add(count(&tokens["cache"]["write"]));
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(count(&tokens["output"]));
        self.usage.cost_usd += part["cost"].as_f64().unwrap_or(0.0);
        Event::Usage(self.usage.clone())
    }
}

/// Reads a tool call, which is reported once, when it is complete.
fn tool(part: &Value) -> Vec<Event> {
    let state = &part["state"];
    let ok = state["status"] != "error";
    let said = if ok { &state["output"] } else { &state["error"] }.as_str().unwrap_or_default();
    let (name, summary) = (part["tool"].as_str().unwrap_or("?").to_owned(), summary::arguments(&state["input"]));
    let of = if summary.is_empty() { name.clone() } else { format!("{name}({summary})") };
    let mut events = vec![Event::ToolCall { name, summary }];
    events.extend(summary::changes(&state["input"]).map(Event::Changes));
    events.push(Event::ToolResult { ok, summary: said.to_owned() });
    if !ok && said.contains("rejected permission") {
        events.push(Event::Needs { what: Needs::Permission, of });
    }
    events
}
