//! Which commands a program may run without asking: the part of a role's rights that only its driver knows.

use std::cmp::Ordering;

use super::options::AgentOptions;

/// How far a program may run commands without asking a person.
///
/// Partially ordered: `Listed` and `Sandboxed` can't be compared. A driver that is in doubt answers with more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Commands {
    /// None: it asks before each, or has no means to run one.
    Asks,
    /// Those that match a list of patterns.
    Listed,
    /// Any, in a sandbox of the program's own.
    Sandboxed,
    /// Any.
    Any,
}

impl PartialOrd for Commands {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        use Commands::{Any, Asks};
        match (self, other) {
            (a, b) if a == b => Some(Ordering::Equal),
            (Asks, _) | (_, Any) => Some(Ordering::Less),
            (Any, _) | (_, Asks) => Some(Ordering::Greater),
            _ => None,
        }
    }
}

/// Returns what a list of allowed tools permits, where the tool that runs commands is called `shell`: `shell` alone allows
/// any command, `shell(PATTERN)` those that match.
pub(super) fn by_allowed_tools(options: &AgentOptions, shell: &str) -> Commands {
    let patterns = options.allowed_tools.iter().filter_map(|tool| tool.trim().strip_prefix(shell));
    let rights = patterns.filter_map(|pattern| match pattern {
        "" | "()" | "(*)" | "(:*)" | "(**)" => Some(Commands::Any),
        pattern if pattern.starts_with('(') => Some(Commands::Listed),
        _ => None,
    });
    rights.fold(Commands::Asks, |most, one| if one > most { one } else { most })
}

/// Reports whether a list of allowed tools names one of these, alone or with a pattern.
pub(super) fn allows_one_of(options: &AgentOptions, tools: &[&str]) -> bool {
    let names = options.allowed_tools.iter().map(|tool| tool.trim().split('(').next().unwrap_or_default());
    names.into_iter().any(|name| tools.contains(&name))
}

/// Reports whether the role's `permission_mode` is one of these.
pub(super) fn has_mode(options: &AgentOptions, modes: &[&str]) -> bool {
    options.permission_mode.as_deref().is_some_and(|mode| modes.contains(&mode))
}

/// Reports whether a role's `args` hold one of these flags.
pub(super) fn has_flag(options: &AgentOptions, flags: &[&str]) -> bool {
    options.args.iter().any(|word| flags.contains(&word.split('=').next().unwrap_or(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::DriverKind;

    fn options(mode: Option<&str>, tools: &[&str], args: &[&str]) -> AgentOptions {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        AgentOptions {
            permission_mode: mode.map(str::to_owned),
            allowed_tools: owned(tools),
            args: owned(args),
            ..AgentOptions::default()
        }
    }

    #[test]
    fn what_a_program_may_run_follows_from_how_it_is_run() {
        use Commands::{Any, Asks, Listed, Sandboxed};
        for (driver, mode, tools, args, commands) in [
            ("shell", None, &[][..], &[][..], Any),
            ("command", None, &[], &[], Any),
            ("claude", None, &[], &[], Asks),
            ("claude", Some("plan"), &["Edit", "BashOutput"], &[], Asks),
            ("claude", Some("bypassPermissions"), &[], &[], Any),
            ("claude", Some("auto"), &[], &[], Any),
            ("claude", None, &["Bash(npm test:*)"], &[], Listed),
            ("claude", None, &["Bash(npm test:*)", "Bash"], &[], Any),
            ("claude", None, &[], &["--dangerously-skip-permissions"], Any),
            ("codex", None, &[], &[], Sandboxed),
            ("codex", Some("workspace-write"), &[], &[], Sandboxed),
            ("codex", Some("bypass"), &[], &[], Any),
            ("codex", Some("danger-full-access"), &[], &[], Any),
            ("gemini", None, &["run_shell_command(git)"], &[], Listed),
            ("gemini", Some("yolo"), &[], &[], Any),
            ("qwen", None, &["run_shell_command"], &[], Any),
            ("qwen", None, &[], &["-y"], Any),
            ("opencode", None, &[], &[], Any),
            ("aider", None, &[], &[], Asks),
            ("aider", None, &[], &["--test-cmd=make"], Any),
            ("copilot", None, &["shell(git)"], &[], Listed),
            ("copilot", Some("allow-all"), &[], &[], Any),
        ] {
            let kind: DriverKind = driver.parse().unwrap();
            let found = kind.driver().unwrap().commands(&options(mode, tools, args));
            assert_eq!(found, commands, "{driver} {mode:?} {tools:?} {args:?}");
        }
    }

    #[test]
    fn whether_a_program_may_change_files_follows_from_how_it_is_run() {
        for (driver, mode, tools, args, edits) in [
            ("shell", None, &[][..], &[][..], true),
            ("claude", None, &["Read", "Bash(git:*)"], &[], false),
            ("claude", Some("plan"), &[], &[], false),
            ("claude", Some("acceptEdits"), &[], &[], true),
            ("claude", None, &["Edit(src/**)"], &[], true),
            ("claude", None, &[], &["--dangerously-skip-permissions"], true),
            // It is started with workspace-write.
            ("codex", None, &[], &[], true),
            ("codex", Some("read-only"), &[], &[], false),
            ("codex", Some("workspace-write"), &[], &[], true),
            ("gemini", None, &[], &[], false),
            ("gemini", Some("auto_edit"), &[], &[], true),
            ("qwen", Some("auto-edit"), &[], &[], true),
            ("qwen", None, &["write_file"], &[], true),
            ("opencode", None, &[], &[], true),
            ("aider", None, &[], &[], true),
            ("copilot", None, &["shell(git)"], &[], false),
            ("copilot", None, &["write"], &[], true),
        ] {
            let kind: DriverKind = driver.parse().unwrap();
            let found = kind.driver().unwrap().edits(&options(mode, tools, args));
            assert_eq!(found, edits, "{driver} {mode:?} {tools:?} {args:?}");
        }
    }

    #[test]
    fn more_is_greater_and_what_differs_is_neither() {
        use Commands::{Any, Asks, Listed, Sandboxed};
        assert!(Asks < Listed && Asks < Sandboxed && Listed < Any && Sandboxed < Any);
        assert_eq!(Listed.partial_cmp(&Sandboxed), None);
    }
}
