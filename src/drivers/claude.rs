//! `claude`: Claude Code, in print mode for tasks, on its own terminal as the master.
//!
//! Measured with 2.1.328. It retries an API error ten times itself, and then reports "success" with `is_error`. It also reports
//! success after a tool was denied. It finds a session by its id and its folder.

mod screen;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::BufRead,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::drivers::common::program::{Allow, command_pattern};
use crate::{
    drivers::{
        Access, AgentOptions, Capabilities, Commands, Driver, DriverKind, Flags, HomeFiles, Hook, IDLE_SHARE, Instead,
        InteractiveJob, Job, Key, Manifest, Program, Prompt, Refusal, Refused, RoleSettings, Seen, Start, Totals,
        Transcript,
        common::{
            edited, hook_json, mcp_config,
            prompt::{LONGEST_ARGUMENT, first_prompt},
            stream_json::{StreamJson, tokens},
        },
        rights,
    },
    model::{collision::CollisionRule, task::Usage, time::Timestamp, wait::Retry},
};

/// Runs `claude`.
pub(super) struct Claude;

const PROGRAM: Program = Program {
    name: "claude",
    install: "npm install -g @anthropic-ai/claude-code",
    tested_with: "2.1.328",
    log_in: "run claude and type /login, or orch stop and orch start with a valid ANTHROPIC_API_KEY",
    tells_when_done: true,
    allow: Allow::Tool(|name, called| match name {
        "Bash" if called.len() <= 50 && !called.contains('…') => format!("Bash({called})"),
        "Bash" => command_pattern("Bash", called, 2, ":*"),
        other => other.to_owned(),
    }),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: true,
    capabilities: Capabilities {
        conversation: true,
        mcp: true,
        hooks: true,
        denials: true,
        money: true,
        tokens: true,
        interactive: true,
    },
    totals: Totals { money: true, tokens: false },
    idle_share: IDLE_SHARE,
    keys: &[
        Key::AllowedTools,
        Key::PermissionMode,
        Key::MaxTurns,
        Key::MaxCostUsd,
        Key::OnCollision,
        Key::MaxWindowUse,
    ],
    permission_modes: &[],
    flags: Flags { named: FLAGS, settings: None },
    secrets: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"],
    settings: &[
        "ANTHROPIC_*",
        "CLAUDE_*",
        "AWS_REGION",
        "CLOUD_ML_REGION",
        "DISABLE_*",
        "MAX_THINKING_TOKENS",
        "MCP_*",
    ],
    // Otherwise it refuses to root the modes in which it asks for nothing.
    in_sandbox: &[("IS_SANDBOX", "1")],
    home: HomeFiles { moved_by: Some(("CLAUDE_CONFIG_DIR", ".claude")), files: HOME },
    starter: "",
};
/// What it finds in its home folder in a sandbox.
const HOME: &[(&str, Access)] = &[
    (".claude.json", Access::Copy),
    (".claude/.claude.json", Access::Copy),
    (".claude/.credentials.json", Access::Write),
    (".claude/settings.json", Access::Read),
    (".claude/CLAUDE.md", Access::Read),
    (".claude/agents", Access::Read),
    (".claude/commands", Access::Read),
    (".claude/hooks", Access::Read),
    (".claude/output-styles", Access::Read),
    // It makes a folder for its own plugins in it.
    (".claude/plugins", Access::Copy),
    (".claude/rules", Access::Read),
    (".claude/skills", Access::Read),
    (".claude/projects", Access::Kept),
];
/// Flags that orch passes itself or has a key for.
const FLAGS: &[Refused] = &[
    (
        &["--settings"],
        Instead::Nothing(
            "orch passes its hooks by it: settings of yours go to .claude/settings.json of the project or your home",
        ),
    ),
    (&["--bare", "--safe-mode"], Instead::Nothing("it turns off the hooks by which orch knows what claude does")),
    (&["-p", "--print"], Instead::Nothing("orch passes it itself; see the key mode")),
    (&["--output-format", "--input-format"], Instead::STREAM),
    (&["--session-id", "-r", "--resume", "-c", "--continue"], Instead::Key("resume")),
    (&["--model"], Instead::Key("model")),
    (&["--append-system-prompt", "--append-system-prompt-file"], Instead::Key("instructions")),
    (&["--permission-mode"], Instead::Key("permission_mode")),
    (&["--allowedTools", "--allowed-tools"], Instead::Key("allowed_tools")),
    (&["--max-turns"], Instead::Key("max_turns")),
    (&["--max-budget-usd"], Instead::Key("max_cost_usd")),
];
const MCP_FILE: &str = "mcp.json";
const SETTINGS_FILE: &str = "settings.json";
const INSTRUCTIONS_FILE: &str = "instructions";

impl Driver for Claude {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Claude)?;
        let agent = job.role.options;
        let mut args: Vec<OsString> =
            ["-p", "--output-format", "stream-json", "--verbose"].map(OsString::from).to_vec();
        let (flag, session) = job.resume.map_or(("--session-id", job.new_session), |session| ("--resume", session));
        args.extend([flag.into(), session.into()]);
        let (file, argument) = mcp_config::file(job.dir, MCP_FILE);
        args.extend(["--mcp-config".into(), argument, "--strict-mcp-config".into()]);
        let (settings, argument) = mcp_config::file(job.dir, SETTINGS_FILE);
        args.extend(["--settings".into(), argument]);
        let (more, instructions) = options(&job.role, job.dir, true);
        args.extend(more);
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
        // Last, because this flag takes all words that follow.
        args.push("--allowedTools".into());
        args.extend(hook_json::free_tools().map(OsString::from));
        args.extend(agent.allowed_tools.iter().map(OsString::from));
        let free: Vec<String> = hook_json::free_tools().collect();
        let asks_first = agent.on_collision == Some(CollisionRule::Deny);
        let events = if asks_first { hook_json::ASKING } else { hook_json::HEADLESS };
        let files = vec![
            (file, job.mcp.servers(serde_json::json!({ "type": "stdio" }))),
            (settings, hook_json::settings(job.mcp.program, events, json!({ "allow": free }))),
        ];
        let files = files.into_iter().chain(instructions).collect();
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, files, ..Start::default() })
    }

    fn commands(&self, options: &AgentOptions) -> Commands {
        // In the mode `auto` a model decides instead of a person.
        let asks_nobody = matches!(options.permission_mode.as_deref(), Some("bypassPermissions" | "auto"));
        if asks_nobody || rights::has_flag(options, &["--dangerously-skip-permissions"]) {
            return Commands::Any;
        }
        rights::by_allowed_tools(options, "Bash")
    }

    fn edits(&self, options: &AgentOptions) -> bool {
        rights::has_mode(options, &["acceptEdits", "bypassPermissions", "auto"])
            || rights::has_flag(options, &["--dangerously-skip-permissions"])
            || rights::allows_one_of(options, &["Edit", "Write", "MultiEdit", "NotebookEdit"])
    }

    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(StreamJson::default()))
    }

    fn interactive(&self, job: &InteractiveJob) -> Option<Start> {
        let agent = job.role.options;
        let (file, argument) = mcp_config::file(job.dir, MCP_FILE);
        // Not strict: a person may have MCP servers of their own.
        let mut args = vec!["--mcp-config".into(), argument];
        let (settings, argument) = mcp_config::file(job.dir, SETTINGS_FILE);
        args.extend(["--settings".into(), argument]);
        let (flag, session) = job.resume.map_or(("--session-id", job.new_session), |session| ("--resume", session));
        args.extend([flag.into(), session.into()]);
        let (more, instructions) = options(&job.role, job.dir, false);
        args.extend(more);
        if let Some(mode) = &agent.permission_mode {
            args.extend(["--permission-mode".into(), mode.into()]);
        }
        args.extend(agent.args.iter().map(OsString::from));
        // After all options, so that no prompt is taken for one.
        if let Some(prompt) = job.prompt {
            args.extend(["--".into(), first_prompt(prompt).into()]);
        }
        let files = vec![
            (file, job.mcp.servers(serde_json::json!({ "type": "stdio" }))),
            (
                settings,
                hook_json::settings(
                    job.mcp.program,
                    hook_json::ON_A_TERMINAL,
                    hook_json::permissions(&agent.allowed_tools),
                ),
            ),
        ];
        let files = files.into_iter().chain(instructions).collect();
        Some(Start { program: PROGRAM.name.into(), args, files, ..Start::default() })
    }

    fn hook(&self, call: &str) -> Option<Hook> {
        hook_json::read(call)
    }

    fn files_written(&self, call: &str) -> Vec<PathBuf> {
        edited::files(call)
    }

    fn refuse_tool(&self, why: &str) -> Option<String> {
        Some(hook_json::refuse(why))
    }

    fn hand_over(&self, hook: &Hook, text: &str) -> Option<String> {
        hook_json::hand_over(hook, text)
    }

    fn records_beside(&self, record: &Path) -> Option<PathBuf> {
        Some(record.with_extension("").join("subagents"))
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

    fn status_file(&self, env: &BTreeMap<String, String>, pid: u32) -> Option<PathBuf> {
        let folder = match env.get("CLAUDE_CONFIG_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env.get("HOME")?).join(".claude"),
        };
        Some(folder.join(format!("sessions/{pid}.json")))
    }

    fn read_status(&self, said: &Value) -> Seen {
        screen::status(said)
    }

    fn prompt(&self, _title: &str, screen: &str) -> Prompt {
        screen::prompt(screen)
    }

    /// For its sockets (`cc-socks`) and the output of its background commands. It is not the TMPDIR of what claude starts.
    fn scratch_variable(&self) -> Option<&'static str> {
        Some("CLAUDE_CODE_TMPDIR")
    }
}

/// A line of the file in which claude records a conversation. Most kinds of lines don't matter here.
#[derive(Deserialize)]
struct Recorded {
    timestamp: Timestamp,
    message: Answer,
}

/// A message of the model. Each of its blocks has a line of its own; the last one states the tokens of the whole message.
#[derive(Deserialize)]
struct Answer {
    id: String,
    usage: Value,
}

fn used(record: &mut dyn BufRead, since: Timestamp) -> Option<Usage> {
    let lines = record.lines().map_while(Result::ok);
    let answers = lines.filter_map(|line| serde_json::from_str::<Recorded>(&line).ok());
    let of_this_run = answers.filter(|line| line.timestamp >= since).map(|line| (line.message.id, line.message.usage));
    let last: BTreeMap<String, Value> = of_this_run.collect();
    last.values().map(tokens).reduce(|a, b| a.and(&b))
}

/// Returns the options of both ways to start claude, and the file that one of them may name.
///
/// Every user of the machine can read arguments, so instructions are in a file where claude takes one: without a terminal
/// always, on a terminal only what does not fit an argument, because claude does not document the option there.
fn options(role: &RoleSettings, dir: &Path, takes_file: bool) -> (Vec<OsString>, Option<(PathBuf, Vec<u8>)>) {
    let mut args = Vec::new();
    if let Some(model) = &role.model {
        args.extend(["--model".into(), model.into()]);
    }
    let mut file = None;
    match role.instructions {
        Some(long) if takes_file || long.len() > LONGEST_ARGUMENT => {
            let (path, argument) = mcp_config::file(dir, INSTRUCTIONS_FILE);
            args.extend(["--append-system-prompt-file".into(), argument]);
            file = Some((path, long.to_owned().into_bytes()));
        }
        Some(instructions) => args.extend(["--append-system-prompt".into(), instructions.into()]),
        None => {}
    }
    (args, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_the_sum_of_the_answers_of_this_run() {
        let line = |at: &str, id: &str, input: u64, output: u64| {
            format!(
                r#"{{"type":"assistant","timestamp":"2026-11-20T12:00:{at}.000Z","message":{{"id":"{id}","role":"assistant","usage":{{"input_tokens":{input},"cache_read_input_tokens":100,"output_tokens":{output}}}}}}}"#
            )
        };
        let lines = [
            r#"{"type":"summary","summary":"x"}"#.to_owned(),
            line("10", "earlier", 7, 7),
            r#"{"type":"user","timestamp":"2026-11-20T12:00:20.000Z","message":{"role":"user","content":"hi"}}"#
                .to_owned(),
            line("21", "m1", 10, 1),
            line("22", "m1", 10, 5),
            line("30", "m2", 20, 6),
            "{cut".to_owned(),
        ];
        let since = |at: &str| serde_json::from_str(&format!("\"2026-11-20T12:00:{at}Z\"")).unwrap();
        let used = |at| super::used(&mut lines.join("\n").as_bytes(), since(at));
        assert_eq!(used("20"), Some(Usage { input_tokens: 230, output_tokens: 11, cost_usd: 0.0, ..Usage::default() }));
        assert_eq!(used("40"), None, "nothing is known to have been used");
    }
}
