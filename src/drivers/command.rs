//! `command`: any program. The prompt is its standard input, or replaces a word with `{prompt}` or `{prompt_file}`.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use super::{Driver, Job, Key, Manifest, Refusal, Start, common::prompt::LONGEST_ARGUMENT};

/// The program finds its model and its instructions at `ORCH_CONTEXT`.
const MANIFEST: Manifest = Manifest {
    keys: &[Key::Model, Key::Instructions, Key::InstructionsFile, Key::Prompt, Key::PromptTemplate],
    ..Manifest::GENERIC
};

/// Runs the role's own command.
pub(super) struct Command;

impl Driver for Command {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        let mut words = job.role.command.iter();
        let program = words.next().ok_or_else(|| Refusal(format!("role {} has no command", job.role.name)))?;
        let mut prompt_on_stdin = true;
        let mut args = Vec::new();
        for word in words {
            let (arg, used) = fill(word, job);
            if arg.len() > LONGEST_ARGUMENT {
                return Err(Refusal(format!(
                    "the text is too long for an argument ({} KiB, 128 at most): use {{prompt_file}} in the command of role {}",
                    arg.len() / 1024,
                    job.role.name
                )));
            }
            prompt_on_stdin &= !used;
            args.push(arg);
        }
        Ok(Start { program: relative_to(job.role.cwd, program), args, prompt_on_stdin, ..Start::default() })
    }
}

/// `./agent.py` is meant from the role's folder, also when a task runs in another.
fn relative_to(cwd: &std::path::Path, program: &str) -> OsString {
    if program.contains('/') { cwd.join(program).into() } else { program.into() }
}

/// One pass: what the text itself holds is never taken for a placeholder.
fn fill(word: &str, job: &Job) -> (OsString, bool) {
    let mut out = OsString::new();
    let (mut rest, mut used) = (word, false);
    while let Some(at) = rest.find("{prompt") {
        out.push(&rest[..at]);
        if let Some(after) = rest[at..].strip_prefix("{prompt}") {
            out.push(job.prompt);
            (rest, used) = (after, true);
        } else if let Some(after) = rest[at..].strip_prefix("{prompt_file}") {
            out.push(std::ffi::OsStr::from_bytes(job.prompt_file.as_os_str().as_bytes()));
            (rest, used) = (after, true);
        } else {
            out.push("{prompt");
            rest = &rest[at + "{prompt".len()..];
        }
    }
    out.push(rest);
    (out, used)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::drivers::{AgentOptions, Mcp, RoleSettings};

    fn start(command: &[&str], prompt: &str) -> Result<Start, Refusal> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let (options, cwd) = (AgentOptions::default(), Path::new("/w"));
        let role =
            RoleSettings { name: "x", command: &command, model: None, instructions: None, cwd, options: &options };
        let (dir, mcp) = (Path::new("/r"), Mcp { program: "/bin/orch".as_ref(), env: Vec::new() });
        let prompt_file = &dir.join("prompt");
        Command.start(&Job { role, prompt, prompt_file, dir, mcp: &mcp, new_session: "", resume: None })
    }

    #[test]
    fn the_prompt_goes_where_a_word_says_or_else_to_standard_input() {
        let s = start(&["./a", "-x", "{prompt_file}:{prompt}", "{promptly}"], "{prompt} $(x)").unwrap();
        assert_eq!(s.program, "/w/./a");
        assert_eq!(s.args, ["-x", "/r/prompt:{prompt} $(x)", "{promptly}"]);
        assert!(!s.prompt_on_stdin);
        assert!(start(&["cat"], "x").unwrap().prompt_on_stdin);
    }

    #[test]
    fn a_text_too_long_for_an_argument_is_refused_with_what_to_do() {
        let long = "x".repeat(200 * 1024);
        assert!(start(&["a", "{prompt}"], &long).unwrap_err().0.contains("{prompt_file}"));
        assert!(start(&["a"], &long).is_ok());
    }
}
