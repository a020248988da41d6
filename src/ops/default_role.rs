//! The role of a task that names none, and what is said where that is a shell although nobody chose one.

use std::ffi::OsStr;

use super::{Delegate, Ops};
use crate::{
    config::{Config, DriverKind},
    error::{Error, Kind, Result},
    launchers::preflight,
};

/// The built-in role whose program is a shell.
const SHELL: &str = "shell";

/// What a shell runs without a program on PATH: the keywords and built-ins of sh, as POSIX names them, and those that every
/// sh has.
const BUILT_IN: &[&str] = &[
    "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "echo", "elif", "else", "esac", "eval",
    "exec", "exit", "export", "false", "fc", "fg", "fi", "for", "function", "getopts", "hash", "if", "jobs", "kill",
    "let", "local", "printf", "pwd", "read", "readonly", "return", "select", "set", "shift", "source", "test", "then",
    "time", "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

impl Ops {
    /// The role of a task that names none.
    pub(super) fn default_role(&self) -> &str {
        default_role(&self.config, std::env::var_os("PATH").as_deref())
    }

    /// Returns whether a task without a role runs as a shell script because there is no agent program for it.
    pub(super) fn is_shell_by_default(&self, asked: &Delegate) -> bool {
        asked.role.is_none() && self.default_role() != self.config.master.default_role
    }

    /// Refuses a text that was meant for an agent program where there is none, and that no shell can run either.
    ///
    /// # Errors
    /// Configuration: no agent program is installed.
    pub(super) fn refuse_english(&self, asked: &Delegate) -> Result<()> {
        let path = std::env::var_os("PATH");
        let Some(word) =
            self.is_shell_by_default(asked).then(|| unknown_command(&asked.text, path.as_deref())).flatten()
        else {
            return Ok(());
        };
        let message =
            format!("no agent program is installed, and as a shell script this text would fail: there is no {word}");
        Err(Error::new(Kind::Configuration, message).hint(
            "install an agent program (orch doctor names them), or name one in sessions.toml (orch init); a script: \
             orch delegate --role shell 'SCRIPT'",
        ))
    }
}

/// What is said of a task that is a script only because there is nothing else.
pub(super) const RUNS_AS_SCRIPT: &str =
    "no agent program is installed, so the text runs as a shell script (role shell)";

/// The role of a task that names none. Without a sessions.toml on a machine without any agent program, it is the one that
/// `orch init` would write: a shell.
fn default_role<'a>(config: &'a Config, path: Option<&OsStr>) -> &'a str {
    let default = &config.master.default_role;
    let no_program = preflight::resolve(DriverKind::Auto, &config.agents.order, path) == DriverKind::Console;
    let has_shell = config.roles.get(SHELL).is_some_and(|role| role.driver == DriverKind::Shell);
    match config.file.is_none() && no_program && has_shell {
        true => SHELL,
        false => default,
    }
}

/// Returns the first word of a text if a shell can only fail at it: one line without any operator, whose first word is
/// neither a program on `path` nor built in.
fn unknown_command<'a>(text: &'a str, path: Option<&OsStr>) -> Option<&'a str> {
    let line = text.trim();
    let word = line.split_whitespace().next()?;
    let is_plain =
        word.chars().all(|c| c.is_ascii_alphabetic()) && !line.contains(|c: char| "\n|&;(){}<>$`".contains(c));
    (is_plain && !BUILT_IN.contains(&word) && preflight::find(word, path).is_none()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_and_without_agent_programs_a_shell_is_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let env = crate::config::Env {
            cwd: folder.path().to_owned(),
            home: Some(folder.path().to_owned()),
            ..Default::default()
        };
        let mut config = Config::load_with(&env, None).unwrap();
        assert_eq!(default_role(&config, Some(folder.path().as_os_str())), "shell");
        config.file = Some(folder.path().join("sessions.toml"));
        assert_eq!(default_role(&config, Some(folder.path().as_os_str())), config.master.default_role);
    }

    #[test]
    fn english_is_told_from_what_a_shell_may_be_able_to_run() {
        let path = Some(OsStr::new("/usr/bin:/bin"));
        for (english, word) in
            [("Fix the login page", "Fix"), ("  Review it, please.", "Review"), ("Explain", "Explain"), ("Don't", "")]
        {
            assert_eq!(unknown_command(english, path).unwrap_or_default(), word, "{english}");
        }
        for script in [
            "ls -la",
            "echo hello",
            "cd /tmp && ls",
            "nowhere || true",
            "f() { :; }; f",
            "for i in 1 2; do echo $i; done",
            "X=1 Y",
            "./run",
            "Fix\necho x",
            "while read line; do :; done",
            "",
        ] {
            assert_eq!(unknown_command(script, path), None, "{script}");
        }
    }
}
