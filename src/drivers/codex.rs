//! `codex`: `codex exec --json` for tasks, its own terminal as the master.
//!
//! Measured with 0.169.0. One JSON object per line: `thread.started`, `turn.started`, `item.started` and `item.completed`
//! with an item of some type, `turn.completed` with the usage (of the whole thread, also over a resume), or `turn.failed`.
//! What its sandbox or its approval policy refuses has no line there; it is on standard error. Without a sandbox mode it is
//! `workspace-write` in a folder that its user trusts and `read-only` elsewhere, so a task is always started with one.

mod hooks;
mod screen;
mod thread;

use std::{ffi::OsString, io::BufRead, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use self::thread::Thread;
use crate::drivers::common::program::Allow;
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, Event, Flags, HomeFiles, Hook, IDLE_SHARE,
        Instead, InteractiveJob, Job, Key, Manifest, Mcp, Program, Prompt, Refusal, Refused, RoleSettings, Seen,
        Settings, Start, Totals, Transcript,
        common::{
            edited, hook_json, mcp_config,
            prompt::{first_prompt, instructed, with_instructions},
        },
    },
    model::{task::Usage, time::Timestamp, tool::Tool, wait::Retry},
};

/// Runs `codex`.
pub(super) struct Codex;

const PROGRAM: Program = Program {
    name: "codex",
    install: "npm install -g @openai/codex",
    tested_with: "0.169.0",
    log_in: "run codex login, or orch stop and orch start with a valid OPENAI_API_KEY",
    tells_when_done: true,
    allow: Allow::Otherwise("in the role (permission_mode), and orch reload"),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: true,
        mcp: true,
        hooks: true,
        denials: true,
        money: false,
        tokens: true,
        interactive: true,
    },
    totals: Totals { money: false, tokens: true },
    idle_share: IDLE_SHARE,
    keys: &[Key::PermissionMode, Key::OnCollision],
    permission_modes: &[],
    flags: Flags {
        named: FLAGS,
        settings: Some(Settings {
            flags: &["-c", "--config"],
            keys: CONFIG_KEYS,
            tables: &["hooks", "mcp_servers.orch"],
        }),
    },
    secrets: &["OPENAI_API_KEY", "CODEX_API_KEY"],
    settings: &["CODEX_*", "OPENAI_*"],
    in_sandbox: &[],
    home: HomeFiles { moved_by: Some(("CODEX_HOME", ".codex")), files: HOME },
    starter: STARTER,
};
/// The sandbox in which a program writes nothing.
const READ_ONLY: &str = "read-only";
/// The sandbox of a task whose role names none: it writes in its folder, and has no network.
const DEFAULT_SANDBOX: &str = "workspace-write";
const STARTER: &str = "permission_mode = \"workspace-write\"   # it changes files in its folder, without a network; \"bypass\": anything\n";
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".codex/auth.json", Access::Write),
    (".codex/config.toml", Access::Copy),
    (".codex/AGENTS.md", Access::Read),
    (".codex/AGENTS.override.md", Access::Read),
    (".codex/agents", Access::Read),
    (".codex/prompts", Access::Read),
    (".codex/rules", Access::Read),
    // It puts its own skills there.
    (".codex/skills", Access::Copy),
    (".agents/skills", Access::Read),
    (".codex/sessions", Access::Kept),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (&["--json"], Instead::STREAM),
    (&["-m", "--model"], Instead::Key("model")),
    (&["-s", "--sandbox", "--dangerously-bypass-approvals-and-sandbox", "--yolo"], Instead::Key("permission_mode")),
];
/// Keys of codex's own configuration, which its `-c` sets.
const CONFIG_KEYS: &[Refused] = &[
    (&["hooks"], Instead::Nothing("orch passes its own by it: hooks of yours go to config.toml of your CODEX_HOME")),
    (
        &["mcp_servers", "mcp_servers.orch"],
        Instead::Nothing("orch passes its own tools by it: name your servers one by one"),
    ),
    (&["model"], Instead::Key("model")),
    (&["sandbox_mode"], Instead::Key("permission_mode")),
];

impl Driver for Codex {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Codex)?;
        let mut args: Vec<OsString> = ["exec", "--json", "--skip-git-repo-check"].map(OsString::from).to_vec();
        args.extend(options(&job.role, job.mcp));
        if job.role.options.permission_mode.is_none() {
            args.extend(["--sandbox".into(), DEFAULT_SANDBOX.into()]);
        }
        // `exec` refuses a tool call that would need permission.
        args.extend(approvals());
        args.extend(hooks::arguments(job.mcp.program, hooks::HEADLESS));
        args.extend(job.role.options.args.iter().map(OsString::from));
        if let Some(session) = job.resume {
            args.extend(["resume".into(), session.into()]);
        }
        // The prompt is standard input.
        args.push("-".into());
        Ok(Start {
            program: PROGRAM.name.into(),
            args,
            prompt_on_stdin: true,
            files: instructed(job),
            ..Start::default()
        })
    }

    fn commands(&self, options: &AgentOptions) -> Commands {
        match options.permission_mode.as_deref() {
            None | Some(READ_ONLY | DEFAULT_SANDBOX) => Commands::Sandboxed,
            Some(_) => Commands::Any,
        }
    }

    fn edits(&self, options: &AgentOptions) -> bool {
        options.permission_mode.as_deref() != Some(READ_ONLY)
    }

    fn transcript(&self, options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(Thread::of(options.permission_mode.as_deref() == Some(READ_ONLY))))
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        // Its daemon would outlive the pane, and also serves other terminals of the user.
        let mut args = vec!["--no-daemon".into()];
        args.extend(options(&job.role, job.mcp));
        args.extend(approvals());
        args.extend(hooks::arguments(job.mcp.program, hooks::ON_A_TERMINAL));
        args.extend(job.role.options.args.iter().map(OsString::from));
        if let Some(session) = job.resume {
            args.extend(["resume".into(), session.into()]);
        }
        // After all options, so that no prompt is taken for one.
        if let Some(prompt) = job.prompt {
            let instructed = with_instructions(&job.role, prompt, job.resume);
            args.extend(["--".into(), first_prompt(instructed.as_deref().unwrap_or(prompt)).into()]);
        }
        Some(Start { program: PROGRAM.name.into(), args, ..Start::default() })
    }

    fn hook(&self, call: &str) -> Option<Hook> {
        hook_json::read(call)
    }

    fn files_written(&self, call: &str) -> Vec<PathBuf> {
        edited::files(call)
    }

    /// No hook runs after a patch that is an argument of its shell.
    fn warns_before_edits(&self) -> bool {
        true
    }

    fn refuse_tool(&self, why: &str) -> Option<String> {
        Some(hook_json::refuse(why))
    }

    fn hand_over(&self, hook: &Hook, text: &str) -> Option<String> {
        match hook {
            Hook::Ended { .. } => Some(hook_json::block(text)),
            _ => hook_json::hand_over(hook, text),
        }
    }

    /// It shows "Blocked by hook", and the text.
    fn continues_quietly(&self) -> bool {
        false
    }

    fn used(&self, record: &mut dyn BufRead, since: Timestamp) -> Option<Usage> {
        used(record, since)
    }

    fn see(&self, title: &str, screen: &str) -> Seen {
        screen::see(title, screen)
    }

    fn asked(&self, screen: &str) -> Option<String> {
        screen::asked(screen)
    }

    fn retrying(&self, screen: &str) -> Option<Retry> {
        screen::retrying(screen)
    }

    fn failure(&self, screen: &str) -> Option<String> {
        screen::failure(screen)
    }

    fn prompt(&self, _title: &str, screen: &str) -> Prompt {
        screen::prompt(screen)
    }
}

/// Seconds that codex lets a tool of orch take, instead of a minute: a wait of an hour ends before that.
const TOOL_TIMEOUT: u32 = 3_660;

/// Returns a setting of our MCP server as arguments. JSON strings and lists of strings are valid TOML.
fn setting(key: &str, value: &Value) -> [OsString; 2] {
    ["-c".into(), format!("mcp_servers.{}.{key}={value}", mcp_config::NAME).into()]
}

/// Returns the settings by which codex asks before it uses a tool of orch, except for the free ones.
fn approvals() -> impl Iterator<Item = OsString> {
    let free = Tool::ALL.iter().filter(|tool| tool.is_free());
    let each = free.map(|tool| setting(&format!("tools.{tool}.approval_mode"), &json!("approve")));
    setting("default_tools_approval_mode", &json!("prompt")).into_iter().chain(each.flatten())
}

fn options(role: &RoleSettings, mcp: &Mcp) -> Vec<OsString> {
    let mut args = Vec::new();
    // By name: codex passes these variables on from its own environment, so no value is in an argument.
    let names: Vec<&str> = mcp.env.iter().map(|(name, _)| *name).collect();
    for (key, value) in [
        ("command", json!(mcp.command())),
        ("args", json!(["mcp"])),
        ("env_vars", json!(names)),
        ("tool_timeout_sec", json!(TOOL_TIMEOUT)),
    ] {
        args.extend(setting(key, &value));
    }
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    match role.options.permission_mode.as_deref() {
        Some("bypass") => args.push("--dangerously-bypass-approvals-and-sandbox".into()),
        Some(sandbox) => args.extend(["--sandbox".into(), sandbox.into()]),
        None => {}
    }
    args
}

/// A line of the file in which codex records a thread.
#[derive(Deserialize)]
struct Recorded {
    timestamp: Timestamp,
    payload: Value,
}

/// Returns the usage since then. The record contains running totals of the whole thread.
fn used(record: &mut dyn BufRead, since: Timestamp) -> Option<Usage> {
    let lines = record.lines().map_while(Result::ok).filter(|line| line.contains("\"token_count\""));
    let (mut before, mut now) = (Usage::default(), None);
    for line in lines.filter_map(|line| serde_json::from_str::<Recorded>(&line).ok()) {
        let Some(Event::Usage(total)) = thread::usage(&line.payload["info"]["total_token_usage"]) else { continue };
        if line.timestamp >= since { now = Some(total) } else { before = total }
    }
    now.map(|now| Usage {
        input_tokens: now.input_tokens.saturating_sub(before.input_tokens),
        output_tokens: now.output_tokens.saturating_sub(before.output_tokens),
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_what_the_thread_has_used_more_since() {
        let line = |at: &str, input: u64, output: u64| {
            format!(
                r#"{{"timestamp":"2026-11-20T12:00:{at}.000Z","type":"event_msg","payload":{{"type":"token_count","info":{{"total_token_usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}}}"#
            )
        };
        let begun = r#"{"timestamp":"2026-11-20T12:00:00.000Z","type":"session_meta","payload":{}}"#.to_owned();
        let unknown =
            r#"{"timestamp":"2026-11-20T12:00:40Z","type":"event_msg","payload":{"type":"token_count","info":null}}"#
                .to_owned();
        let lines = [begun, line("10", 5, 2), line("20", 11, 7), line("30", 22, 14), unknown].join("\n");
        let since = |at: &str| serde_json::from_str(&format!("\"2026-11-20T12:00:{at}Z\"")).unwrap();
        let used = |at| super::used(&mut lines.as_bytes(), since(at));
        assert_eq!(used("00"), Some(Usage { input_tokens: 22, output_tokens: 14, cost_usd: 0.0, ..Usage::default() }));
        assert_eq!(used("15"), Some(Usage { input_tokens: 17, output_tokens: 12, cost_usd: 0.0, ..Usage::default() }));
        assert_eq!(used("50"), None);
    }
}
