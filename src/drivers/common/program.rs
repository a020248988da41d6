//! Static facts about an agent program, and the messages that tell a person what to do about it.

use super::errors;
use crate::model::text::one_line;

/// An agent program of a known name.
#[derive(Debug)]
pub struct Program {
    /// As it is called on PATH.
    pub name: &'static str,
    /// The command that installs or updates it.
    pub install: &'static str,
    /// The version with which its driver was measured and is tested (`scripts/test-agents`).
    pub tested_with: &'static str,
    /// How a person logs in to its service. Keys come from the environment of `orch start`, so a new key needs a new start.
    pub(in crate::drivers) log_in: &'static str,
    /// Whether it reports a result. For a program that never does, the exit code says whether it is done.
    pub(in crate::drivers) tells_when_done: bool,
    /// How a person permits what the program was not allowed to do.
    pub(in crate::drivers) allow: Allow,
}

/// The command by which a person allows a task more. The driver does not know the task: its runner replaces the last word.
pub const APPROVE: &str = "orch approve TASK";

/// How a person permits what a program was not allowed to do.
#[derive(Debug)]
pub(in crate::drivers) enum Allow {
    /// By `orch approve --allow`. The function returns the word for a tool and what it was called with.
    Tool(fn(&str, &str) -> String),
    /// In another way, in words.
    Otherwise(&'static str),
}

/// Returns a pattern that allows a command, where the tool that runs commands is called `shell`, and `rest` stands for what
/// may follow. A command that is longer than a line is allowed by its first words.
pub(in crate::drivers) fn command_pattern(shell: &str, command: &str, words: usize, rest: &str) -> String {
    let first: Vec<&str> = command.split_whitespace().take(words).collect();
    format!("{shell}({}{rest})", first.join(" ").trim_end_matches('…'))
}

impl Program {
    /// Reports whether a version is older than the tested one, so that it may lack something. The third number does not count:
    /// it changes every day.
    pub fn is_too_old(&self, version: &str) -> bool {
        numbers(version).zip(numbers(self.tested_with)).is_some_and(|(found, tested)| found < tested)
    }

    /// Reports whether a version is newer than the tested one.
    pub fn is_newer(&self, version: &str) -> bool {
        let all =
            |version: &str| version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect::<Vec<u64>>();
        all(version) > all(self.tested_with)
    }

    /// Returns how a person logs in to its service.
    pub fn how_to_log_in(&self) -> &'static str {
        self.log_in
    }

    /// Returns the message for a program that does not understand its arguments: because of its role, or because it is another
    /// version than the tested one.
    pub(in crate::drivers) fn misunderstands(&self, why: &str) -> String {
        let Program { name, tested_with, .. } = self;
        format!(
            "{name}: {why}; correct its role (args, permission_mode), or check with orch doctor whether it is another version than {tested_with}"
        )
    }

    /// Returns the message for a program whose service refuses it: why, and what to do. An account without money is reported in
    /// the same way.
    pub(in crate::drivers) fn asks_to_log_in(&self, why: &str) -> String {
        // The first line only, so that the message is not cut before what to do.
        let why = one_line(&errors::in_short(why), 200);
        if errors::is_about_money(&why) {
            return format!("{} has to be paid for: {why}; then orch retry", self.name);
        }
        format!("{} asks to log in: {why}; {}, then orch retry", self.name, self.log_in)
    }
}

/// Returns the version in the output of `--version`: the first word with two numbers, as in `codex-cli 0.169.0` and `GitHub
/// Copilot CLI 1.0.102.`
pub fn version_in(said: &str) -> Option<&str> {
    let words = said.split([' ', '\n', '(', '/', ',']).map(|word| word.trim_start_matches('v').trim_end_matches('.'));
    words.into_iter().find(|word| numbers(word).is_some())
}

/// Returns the first two numbers of a version.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version_in;
    use crate::drivers::{self, DriverKind};

    #[test]
    fn a_version_is_too_old_by_its_first_two_numbers() {
        let claude = drivers::of(DriverKind::Claude).unwrap().program().unwrap();
        for (said, version, is_too_old) in [
            ("2.1.328 (Claude Code)", "2.1.328", false),
            ("2.1.5 (Claude Code)", "2.1.5", false),
            ("2.0.999", "2.0.999", true),
            ("1.99.0 (Claude Code)", "1.99.0", true),
            ("claude v10.0.1-beta", "10.0.1-beta", false),
            ("GitHub Copilot CLI 1.0.102.\nRun 'copilot update'", "1.0.102", true),
            ("codex-cli 0.169.0", "0.169.0", true),
        ] {
            assert_eq!(version_in(said), Some(version));
            assert_eq!(claude.is_too_old(version), is_too_old, "{version}");
        }
        for said in ["no number at all", "node is too old", "Usage: claude [options]. Exits with 1.", ""] {
            assert_eq!(version_in(said), None, "{said}");
        }
    }

    #[test]
    fn a_version_is_newer_by_all_its_numbers() {
        let claude = drivers::of(DriverKind::Claude).unwrap().program().unwrap();
        let is_newer = ["2.1.328", "2.1.327", "2.1.332", "2.2.0", "3.0", "2.1"].map(|version| claude.is_newer(version));
        assert_eq!(is_newer, [false, false, true, true, true, false]);
    }

    #[test]
    fn what_a_person_is_to_do_is_said_once() {
        let asks = |kind, why| drivers::of(kind).unwrap().program().unwrap().asks_to_log_in(why);
        for (kind, why, said) in [
            (
                DriverKind::Claude,
                "Invalid API key · Please run /login",
                "claude asks to log in: Invalid API key; run claude and type /login, or orch stop \
                 and orch start with a valid \
                 ANTHROPIC_API_KEY, then orch retry",
            ),
            (
                DriverKind::Gemini,
                "[API Error: {\n \"error\": {\"code\": \"authentication_error\", \"message\": \"invalid key\",\n \
                 \"type\": \"authentication_error\"}}]",
                "gemini asks to log in: [API Error: invalid key]; run gemini and type /auth, or orch stop \
                 and orch start with a valid \
                 GEMINI_API_KEY, then orch retry",
            ),
            (
                DriverKind::Qwen,
                "No auth type is selected.",
                "qwen asks to log in: No auth type is selected; run qwen and type /auth, or orch stop \
                 and orch start with a valid \
                 OPENAI_API_KEY, then orch retry",
            ),
            (
                DriverKind::Aider,
                "litellm.AuthenticationError: AuthenticationError: OpenAIException - invalid",
                "aider asks to log in: litellm.AuthenticationError: OpenAIException - invalid; orch stop and \
                 orch start with a valid key of \
                 its model's service, then orch retry",
            ),
        ] {
            assert_eq!(asks(kind, why), said);
        }
    }

    #[test]
    fn what_is_tested_is_what_is_said_to_be() {
        let file = |name: &str| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let (readme, script) = (file("README.md"), file("scripts/test-agents"));
        for kind in DriverKind::agents() {
            let program = drivers::of(kind).unwrap().program().unwrap();
            let tested = program.tested_with;
            assert_eq!(kind.program(), Some(program.name));
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).unwrap();
            assert!(row.ends_with(&format!("| {tested} |")), "{row}");
            let pinned = format!(" {kind}) echo \"");
            let line = script.lines().find(|line| line.contains(&pinned)).unwrap();
            assert!(line.contains(&format!("@{tested} ")), "{line}");
            let package = line.split(['"', ' ', '@']).find(|word| word.len() > 4 && program.install.contains(*word));
            assert!(package.is_some(), "{line}: {}", program.install);
        }
    }
}
