//! `gemini`: Gemini CLI, with `-o stream-json` for tasks.
//!
//! Measured with 0.61.0. Its launcher may leave an inner process behind, which ends with the attempt's process tree. Text
//! arrives in pieces (`delta`), which are joined here.

mod screen;

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

use crate::drivers::common::program::{Allow, command_pattern};
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, Ending, Event, Flags, HomeFiles, IDLE_SHARE,
        Instead, InteractiveJob, Job, Key, Manifest, Program, Prompt, Refusal, Refused, Seen, Start, Totals,
        Transcript,
        common::{
            errors,
            settings_json::{self, By, GeminiCli},
            summary,
        },
    },
    model::{task::Usage, wait::Needs},
};

/// Runs `gemini`.
pub(super) struct Gemini;

const PROGRAM: Program = Program {
    name: "gemini",
    install: "npm install -g @google/gemini-cli",
    tested_with: "0.61.0",
    log_in: "run gemini and type /auth, or orch stop and orch start with a valid GEMINI_API_KEY",
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
    keys: &[Key::AllowedTools, Key::PermissionMode],
    permission_modes: &[],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    settings: &["GEMINI_*", "GOOGLE_CLOUD_*", "GOOGLE_GEMINI_*", "GOOGLE_GENAI_*", "GOOGLE_VERTEX_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: Some((HOME_FOLDER, "")), files: HOME },
    starter: STARTER,
};
/// The variable by which it takes another folder for the home folder.
const HOME_FOLDER: &str = "GEMINI_CLI_HOME";
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".gemini/oauth_creds.json", Access::Write),
    (".gemini/google_accounts.json", Access::Copy),
    (".gemini/installation_id", Access::Read),
    (".gemini/settings.json", Access::Copy),
    (".gemini/trustedFolders.json", Access::Copy),
    (".gemini/GEMINI.md", Access::Read),
    (".gemini/.env", Access::Read),
    (".gemini/agents", Access::Read),
    (".gemini/commands", Access::Read),
    (".gemini/extensions", Access::Read),
    (".gemini/policies", Access::Read),
    (".gemini/skills", Access::Read),
    (".gemini/tmp", Access::Kept),
];
const STARTER: &str = r#"permission_mode = "auto_edit"   # it changes files; without this key the model has no tools that do
# allowed_tools = ["run_shell_command(git)"]   # commands that it may run
"#;

/// Tools that the model knows and does not have, unless the role permits them.
const WITHHELD: [&str; 4] = ["run_shell_command", "write_file", "replace", "web_fetch"];

/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["-o", "--output-format"], Instead::STREAM),
    (&["-r", "--resume"], Instead::Key("resume")),
    (&["-m", "--model"], Instead::Key("model")),
    (&["--approval-mode"], Instead::Key("permission_mode")),
    (&["--allowed-tools"], Instead::Key("allowed_tools")),
];
const CLI: GeminiCli = GeminiCli {
    kind: DriverKind::Gemini,
    program: PROGRAM.name,
    settings: By::UserFile { file: ".gemini/settings.json", home: HOME_FOLDER },
};

impl Driver for Gemini {
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
        Some(Box::new(Stream::default()))
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

/// Reads its stream.
#[derive(Debug, Default)]
struct Stream {
    /// The pieces of the current text.
    saying: String,
    answer: Option<String>,
    /// The calls of tools by their ids, each in a few words.
    calls: HashMap<String, (String, String)>,
    /// Why it stopped, if it does not continue. Its result reports success in that case too.
    stopped: Option<String>,
}

impl Transcript for Stream {
    fn line(&mut self, line: &str) -> Vec<Event> {
        let Ok(said) = serde_json::from_str::<Value>(line) else {
            return vec![Event::Unknown { shown: Some(line.to_owned()) }];
        };
        let kind = said["type"].as_str();
        if kind == Some("message") {
            return self.message(&said);
        }
        let mut events = self.said();
        match kind {
            Some("init") => events.push(Event::Started {
                session: said["session_id"].as_str().map(str::to_owned),
                model: said["model"].as_str().map(str::to_owned),
            }),
            Some("tool_use") => {
                self.stopped = None;
                let name = said["tool_name"].as_str().unwrap_or("?").to_owned();
                let summary = summary::arguments(&said["parameters"]);
                if let Some(id) = said["tool_id"].as_str() {
                    self.calls.insert(id.to_owned(), (name.clone(), summary.clone()));
                }
                events.push(Event::ToolCall { name, summary });
                events.extend(summary::changes(&said["parameters"]).map(Event::Changes));
            }
            Some("tool_result") => {
                events.push(Event::ToolResult {
                    ok: said["status"] != "error",
                    summary: match said["error"]["message"].as_str() {
                        Some(error) => error.to_owned(),
                        None => said["output"].as_str().unwrap_or_default().to_owned(),
                    },
                });
                events.extend(self.withheld(&said));
            }
            Some("error") => {
                let message = summary::value(&said["message"]);
                let is_over = said["severity"] == "error" || message.contains("stopping execution");
                self.stopped = self.stopped.take().or_else(|| is_over.then(|| message.clone()));
                events.push(Event::Note(message));
            }
            Some("result") => {
                events.extend(usage(&said["stats"]));
                events.push(self.result(&said));
            }
            _ => events.push(Event::Unknown { shown: None }),
        }
        events
    }

    fn error_line(&mut self, line: &str) -> Vec<Event> {
        retrying(line).into_iter().collect()
    }

    fn is_noise(&self, line: &str) -> bool {
        const NOISE: [&str; 5] = [
            "Warning: 256-color support not detected",
            "Warning: True color (24-bit) support not detected",
            "Ripgrep is not available. Falling back",
            "YOLO mode is enabled",
            "Loaded cached credentials",
        ];
        // The result of the tool says the same.
        NOISE.iter().any(|noise| line.starts_with(noise)) || line.starts_with("Error executing tool ")
    }
}

/// Reads `Attempt 1 failed with status 529. Retrying with backoff... _ApiError: {...}`. Neither the number of attempts nor the
/// delay is reported.
fn retrying(line: &str) -> Option<Event> {
    let (attempt, why) = line.strip_prefix("Attempt ")?.split_once(". Retrying with backoff...")?;
    let (attempt, status) = attempt.split_once(" failed")?;
    let status = status.strip_prefix(" with status ").and_then(|status| status.parse().ok());
    let failure = errors::failure(status, why);
    // Either `Error: exception TypeError: fetch failed`, or the answer of the service as JSON.
    let (_, what) = why.split_once("Error: ").unwrap_or(("", why));
    let message = serde_json::from_str::<Value>(what).ok().map(|said| summary::value(&said["error"]["message"]));
    let message = message.filter(|message| !message.is_empty()).unwrap_or_else(|| what.trim().to_owned());
    let why = status.map_or(message.clone(), |status| format!("{message} ({status})"));
    let next = attempt.parse::<u64>().ok()?.saturating_add(1);
    Some(Event::Retrying { attempt: Some(next), of: None, after: Duration::ZERO, why, failure })
}

impl Stream {
    fn message(&mut self, said: &Value) -> Vec<Event> {
        let text = said["content"].as_str().unwrap_or_default();
        match said["role"].as_str() {
            Some("assistant") if said["delta"] == true => {
                self.saying.push_str(text);
                vec![Event::Answers]
            }
            Some("assistant") => {
                let mut events = self.said();
                self.saying.push_str(text);
                events.extend(self.said());
                events
            }
            // The prompt.
            _ => Vec::new(),
        }
    }

    /// Ends the current text.
    fn said(&mut self) -> Vec<Event> {
        let text = std::mem::take(&mut self.saying);
        if text.is_empty() {
            return Vec::new();
        }
        self.stopped = None;
        self.answer = Some(text.clone());
        vec![Event::Text(text)]
    }

    /// Returns which tool the model has called in vain because its role does not permit it.
    fn withheld(&mut self, said: &Value) -> Option<Event> {
        let (name, what) = self.calls.remove(said["tool_id"].as_str()?)?;
        let is_refused = match said["error"]["type"].as_str()? {
            "tool_not_registered" => WITHHELD.contains(&name.as_str()),
            kind => kind == "policy_violation",
        };
        is_refused.then(|| Event::Needs { what: Needs::Permission, of: format!("{name}({what})") })
    }

    fn result(&mut self, said: &Value) -> Event {
        let is_done = said["status"] == "success";
        if let Some(why) = self.stopped.take().filter(|_| is_done) {
            return Event::Result { text: None, ending: Ending::Failed(errors::failure(None, &why), why) };
        }
        if is_done {
            return Event::Result { text: self.answer.take(), ending: Ending::Done };
        }
        let reason = said["error"]["message"].as_str().unwrap_or("it ended with an error").to_owned();
        Event::Result { text: None, ending: Ending::Failed(errors::failure(None, &reason), reason) }
    }
}

fn usage(stats: &Value) -> Option<Event> {
    let tokens = |name: &str| stats[name].as_u64().unwrap_or(0);
    stats.is_object().then(|| {
        Event::Usage(Usage {
            input_tokens: tokens("input_tokens"),
            output_tokens: tokens("output_tokens"),
            ..Usage::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_it_tries_again_is_read_from_standard_error() {
        for (line, next, said) in [
            (
                "Attempt 1 failed with status 529. Retrying with backoff... _ApiError: {\"error\":{\"message\":\"Overloaded\"}}",
                2,
                "Overloaded (529)",
            ),
            (
                "Attempt 3 failed. Retrying with backoff... Error: exception TypeError: fetch failed sending request",
                4,
                "exception TypeError: fetch failed sending request",
            ),
        ] {
            let [Event::Retrying { attempt: Some(attempt), why, .. }] = &Stream::default().error_line(line)[..] else {
                panic!("{line}")
            };
            assert_eq!((*attempt, why.as_str()), (next, said));
        }
        for line in
            ["    at async Turn.run (file:///x.js:1:2)", "Attempt x failed. Retrying with backoff... y", "Attempt"]
        {
            assert!(Stream::default().error_line(line).is_empty(), "{line}");
        }
    }
}
