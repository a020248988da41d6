//! Flags of the agent programs that are not for a role's `args`: orch passes them itself, or has a key for what they say.
//!
//! Given once more, most programs take the last one without a word: another `--settings` turns off the hooks by which orch
//! knows what the program does, another `--session-id` loses its conversation. So they are refused, each with what to write
//! in its place. A flag that adds to ours (`--mcp-config`, `--add-dir`) is not among them.

use super::role::DriverKind;

/// What is to be done in place of a flag.
#[derive(Debug, Clone, Copy)]
enum Instead {
    /// To write this key of the role.
    Key(&'static str),
    /// Nothing: it is orch's own; with the reason, and where else there is a place for what a person wants.
    Nothing(&'static str),
}
use Instead::{Key, Nothing};

/// Some spellings of one flag.
type Flag = (&'static [&'static str], Instead);

const STREAM: Instead = Nothing("orch passes it itself, and reads what is printed");
const CLAUDE: &[Flag] = &[
    (
        &["--settings"],
        Nothing(
            "orch passes its hooks by it: settings of yours go to .claude/settings.json of the project or your home",
        ),
    ),
    (&["--bare", "--safe-mode"], Nothing("it turns off the hooks by which orch knows what claude does")),
    (&["-p", "--print"], Nothing("orch passes it itself; see the key mode")),
    (&["--output-format", "--input-format"], STREAM),
    (&["--session-id", "-r", "--resume", "-c", "--continue"], Key("resume")),
    (&["--model"], Key("model")),
    (&["--append-system-prompt", "--append-system-prompt-file"], Key("instructions")),
    (&["--permission-mode"], Key("permission_mode")),
    (&["--allowedTools", "--allowed-tools"], Key("allowed_tools")),
    (&["--max-turns"], Key("max_turns")),
    (&["--max-budget-usd"], Key("max_cost_usd")),
];
const CODEX: &[Flag] = &[
    (&["--json"], STREAM),
    (&["-m", "--model"], Key("model")),
    (&["-s", "--sandbox", "--dangerously-bypass-approvals-and-sandbox", "--yolo"], Key("permission_mode")),
];
/// Keys of codex's own configuration that its `-c` sets.
const CODEX_CONFIG: &[Flag] = &[
    (&["hooks"], Nothing("orch passes its own by it: hooks of yours go to config.toml of your CODEX_HOME")),
    (&["mcp_servers", "mcp_servers.orch"], Nothing("orch passes its own tools by it: name your servers one by one")),
    (&["model"], Key("model")),
    (&["sandbox_mode"], Key("permission_mode")),
];
const GEMINI: &[Flag] = &[
    (&["-o", "--output-format"], STREAM),
    (&["-r", "--resume"], Key("resume")),
    (&["-m", "--model"], Key("model")),
    (&["--approval-mode"], Key("permission_mode")),
    (&["--allowed-tools"], Key("allowed_tools")),
];
const QWEN: &[Flag] = &[
    (&["-o", "--output-format", "--input-format"], STREAM),
    (&["-r", "--resume", "-c", "--continue"], Key("resume")),
    (&["-m", "--model"], Key("model")),
    (&["--approval-mode"], Key("permission_mode")),
    (&["--allowed-tools"], Key("allowed_tools")),
    (&["--max-session-turns"], Key("max_turns")),
];
const OPENCODE: &[Flag] = &[
    (&["--format"], STREAM),
    (&["-s", "--session", "-c", "--continue"], Key("resume")),
    (&["-m", "--model"], Key("model")),
];
const AIDER: &[Flag] = &[
    (&["-f", "--message-file", "-m", "--message", "--msg"], Nothing("orch passes the task's text by it")),
    (&["--model"], Key("model")),
];
const COPILOT: &[Flag] = &[
    (&["--output-format", "--stream"], STREAM),
    (&["-p", "--prompt"], Nothing("the task's text is the prompt")),
    (&["--session-id", "-r", "--resume", "--continue"], Key("resume")),
    (&["--model"], Key("model")),
];

/// The first word of a role's `args` that is not for them, in words that go on after `args`. (`auto` has no such key.)
pub(super) fn refused(kind: DriverKind, args: &[String]) -> Option<String> {
    let flags = match kind {
        DriverKind::Claude => CLAUDE,
        DriverKind::Codex => CODEX,
        DriverKind::Gemini => GEMINI,
        DriverKind::Qwen => QWEN,
        DriverKind::Opencode => OPENCODE,
        DriverKind::Aider => AIDER,
        DriverKind::Copilot => COPILOT,
        DriverKind::Auto | DriverKind::Console | DriverKind::Shell | DriverKind::Command => return None,
    };
    // After it there are no flags.
    let words = args.iter().take_while(|word| *word != "--").map(String::as_str);
    let mut setting = false;
    for word in words {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let found = match (kind, std::mem::take(&mut setting)) {
            (DriverKind::Codex, true) => of_codex(name).map(|instead| (format!("-c {name}"), instead)),
            (DriverKind::Codex, false) if matches!(name, "-c" | "--config") => {
                setting = value.is_none();
                let key = value.map(|value| value.split('=').next().unwrap_or(value));
                key.and_then(|key| Some((format!("{name} {key}"), of_codex(key)?)))
            }
            _ => named(flags, name).map(|instead| (name.to_owned(), instead)),
        };
        if let Some((flag, instead)) = found {
            return Some(match instead {
                Key(key) => format!("may not hold {flag}: write the key {key} instead"),
                Nothing(why) => format!("may not hold {flag}: {why}"),
            });
        }
    }
    None
}

fn named(flags: &[Flag], name: &str) -> Option<Instead> {
    flags.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}

/// A key of codex's configuration; a table's own stands for all in it, where that is ours.
fn of_codex(key: &str) -> Option<Instead> {
    let key = key.trim();
    let of_ours = ["hooks", "mcp_servers.orch"]
        .into_iter()
        .find(|table| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')));
    named(CODEX_CONFIG, of_ours.unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_the_place_of_ours_is_refused_and_what_adds_to_it_is_not() {
        use DriverKind::{Aider, Claude, Codex, Command, Copilot, Gemini, Opencode, Qwen};
        let refused = |kind, args: &str| {
            let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            super::refused(kind, &args)
        };
        for (kind, args, words) in [
            (Claude, "--add-dir x --settings mine.json", "may not hold --settings: orch passes its hooks by it"),
            (Claude, "--settings={}", "--settings:"),
            (Claude, "--bare", "--bare: it turns off the hooks"),
            (Claude, "--model=opus", "may not hold --model: write the key model instead"),
            (Claude, "-c", "-c: write the key resume instead"),
            (Codex, "-c hooks.Stop=[]", "-c hooks.Stop: orch passes its own by it"),
            (Codex, "--config=mcp_servers={}", "--config mcp_servers:"),
            (Codex, "-c mcp_servers.orch.command=\"x\"", "-c mcp_servers.orch.command:"),
            (Codex, "--sandbox read-only", "write the key permission_mode"),
            (Gemini, "-o json", "-o: orch passes it itself"),
            (Qwen, "--max-session-turns 5", "write the key max_turns"),
            (Opencode, "--session x", "write the key resume"),
            (Aider, "-m hi", "-m: orch passes the task's text by it"),
            (Copilot, "--resume=x", "write the key resume"),
        ] {
            let said = refused(kind, args).unwrap_or_default();
            assert!(said.starts_with("may not hold ") && said.contains(words), "{kind} {args}: {said}");
        }
        for (kind, args) in [
            (Claude, "--mcp-config mine.json --add-dir --verbose -- --settings x"),
            (Codex, "-c model_provider=x -c mcp_servers.mine.command=x -c features.hooks=true hooks"),
            (Aider, "--no-git"),
            (Command, "--settings x --model y"),
        ] {
            assert_eq!(refused(kind, args), None, "{kind} {args}");
        }
    }
}
