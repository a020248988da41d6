//! Recognizes lines that were meant for another program: `help`, `exit` or `status` without their slash, and shell
//! commands. Each would become a task that costs money. Pure.

use super::input::{COMMANDS, Command, Input, Roles};
use crate::model::{id::TaskId, question::QuestionRef};

/// Programs that are no word to begin a sentence with.
const PROGRAMS: &[&str] = &[
    "awk", "bash", "cargo", "cat", "cd", "chmod", "chown", "cp", "curl", "df", "diff", "docker", "du", "emacs", "env",
    "git", "grep", "htop", "jq", "kubectl", "less", "ll", "ls", "mkdir", "mv", "nano", "node", "npm", "npx", "pip",
    "pip3", "pnpm", "printenv", "ps", "pwd", "python", "python3", "rg", "rm", "rmdir", "rsync", "rustc", "scp", "sed",
    "sh", "ssh", "sudo", "tar", "tmux", "uv", "vi", "vim", "wc", "wget", "which", "whoami", "yarn", "zsh",
];
/// Programs whose names are also words of a sentence: `make the tests pass`.
const WORDS: &[&str] = &[
    "date", "echo", "find", "go", "head", "history", "just", "kill", "make", "man", "more", "open", "sort", "source",
    "tail", "time", "top", "touch", "tree", "watch",
];
/// A longer line is a sentence.
const LONGEST: usize = 6;

/// What a line is that begins with neither `/` nor `@`, where it is no task.
pub(super) fn meant(text: &str, roles: &Roles) -> Option<Input> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, rest @ ..] = words.as_slice() else { return None };
    if text.contains('\n') {
        return None;
    }
    match (first.to_ascii_lowercase().as_str(), rest) {
        ("help" | "?", []) => return Some(Input::Command(Command::Help)),
        ("exit" | "quit" | "logout" | ":q" | ":wq", []) => return Some(Input::Quit),
        ("clear", []) => return Some(Input::Command(Command::Clear)),
        // A shell does these.
        _ if roles.default_is_shell && (is_program(first) || *first == "orch") => return None,
        _ => {}
    }
    let to_role = |role: &str| format!("@{role} {text}");
    let as_task = format!("to delegate this text as it is: {}", to_role(&roles.default));
    if let Some(command) = command(first, rest) {
        return Some(Input::Mistake(format!("did you mean /{command}? {as_task}")));
    }
    let is_for_shell = *first == "orch" || is_for_shell(first, rest);
    is_for_shell.then(|| {
        let run = roles.shell.as_ref().map(|role| format!("to run it: {}; ", to_role(role))).unwrap_or_default();
        Input::Mistake(format!("this looks like a command for a shell, and was not delegated; {run}{as_task}"))
    })
}

/// The console's command that the words are, but for the slash.
fn command(first: &str, rest: &[&str]) -> Option<String> {
    let (first, rest) = match (first, rest) {
        ("orch", [verb, rest @ ..]) => (*verb, rest),
        _ => (first, rest),
    };
    let (command, argument, _) = COMMANDS.iter().find(|(command, ..)| *command == first)?;
    let is_id = |word: &&str| word.parse::<TaskId>().is_ok() || word.parse::<QuestionRef>().is_ok();
    let fits = match *argument {
        "" | "[ROLE]" => rest.is_empty(),
        _ => rest.first().is_some_and(is_id),
    };
    fits.then(|| std::iter::once(*command).chain(rest.iter().copied()).collect::<Vec<_>>().join(" "))
}

fn is_program(word: &str) -> bool {
    PROGRAMS.contains(&word) || WORDS.contains(&word) || word.starts_with("./")
}

/// Whether these are words for a shell and hardly for a person.
fn is_for_shell(first: &str, rest: &[&str]) -> bool {
    let is_path = |word: &&str| {
        word.starts_with(['-', '/', '~', '$', '*']) || word.starts_with("./") || [".", ".."].contains(word)
    };
    if !is_program(first) || rest.len() >= LONGEST {
        return false;
    }
    match rest {
        [] => true,
        [second, ..] if is_path(second) => true,
        // `git status`, `cargo test`, `cat README.md`
        [_] => PROGRAMS.contains(&first),
        _ => PROGRAMS.contains(&first) && rest.iter().any(|word| is_path(word) || word.contains(['|', '>'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(default_is_shell: bool) -> Roles {
        let default = if default_is_shell { "shell" } else { "sonnet" };
        let names = ["shell", "sonnet"].map(str::to_owned).to_vec();
        Roles { names, default: default.into(), default_is_shell, shell: Some("shell".into()) }
    }
    fn mistake(line: &str) -> String {
        match meant(line, &roles(false)) {
            Some(Input::Mistake(text)) => text,
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn words_that_are_meant_for_the_console_or_a_shell_cost_nothing() {
        for default_is_shell in [false, true] {
            let meant = |line| meant(line, &roles(default_is_shell));
            assert_eq!(meant("help"), Some(Input::Command(Command::Help)));
            for word in ["exit", "quit", "EXIT", "logout", ":q"] {
                assert_eq!(meant(word), Some(Input::Quit), "{word}");
            }
            assert!(matches!(meant("status"), Some(Input::Mistake(_))));
        }
        assert!(mistake("status").contains("did you mean /status?"));
        assert!(mistake("why t-7k2m9qx4hz").contains("did you mean /why t-7k2m9qx4hz?"));
        assert!(mistake("answer t-7k2m9qx4hz#1 the red one").contains("/answer t-7k2m9qx4hz#1 the red one"));
        assert!(mistake("orch status").contains("did you mean /status?"));
        assert!(mistake("orch status --json").contains("@sonnet orch status --json"));
        for line in [
            "ls",
            "ls -la",
            "pwd",
            "cd src",
            "git status",
            "git log --oneline -5",
            "cargo test",
            "cat README.md",
            "top",
            "make -j4",
            "find . -name x",
            "find /tmp -name x",
            "./configure",
            "rm -rf target",
            "ps aux | grep node",
        ] {
            let said = mistake(line);
            assert!(said.contains(&format!("@shell {line};")) && said.contains(&format!("@sonnet {line}")), "{said}");
        }
    }

    #[test]
    fn a_sentence_stays_a_task() {
        for line in [
            "make the tests pass",
            "find the bug in src/main.rs",
            "git bisect the regression that broke login",
            "cargo test fails on macOS since yesterday, find out why",
            "help me with the parser",
            "status page: add a dark mode",
            "kill the flaky test",
            "show the error in red",
            "clear the cache after each run",
            "ls\nand more",
            "hello",
        ] {
            assert_eq!(meant(line, &roles(false)), None, "{line}");
        }
        for line in ["ls -la", "make", "orch status", "./run"] {
            assert_eq!(meant(line, &roles(true)), None, "a shell does it: {line}");
        }
    }
}
