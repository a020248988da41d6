//! Composes the prompts of programs from a role's instructions and a task's text.

use std::path::PathBuf;

use crate::{
    drivers::{driver::Job, options::RoleSettings},
    model::text::plain,
};

/// The longest argument that Linux accepts, without its terminating NUL (MAX_ARG_STRLEN: 32 pages).
pub(in crate::drivers) const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;

/// Returns the prompt's file with the role's instructions before the prompt, for a program that has no other place for them.
/// No file in a conversation that is continued: it contains them already.
pub(in crate::drivers) fn instructed(job: &Job) -> Vec<(PathBuf, Vec<u8>)> {
    let text = with_instructions(&job.role, job.prompt, job.resume);
    text.map(|text| (job.prompt_file.to_owned(), text.into_bytes())).into_iter().collect()
}

/// Returns the prompt after the role's instructions; `None` where there is nothing to add.
pub(in crate::drivers) fn with_instructions(role: &RoleSettings, prompt: &str, resume: Option<&str>) -> Option<String> {
    let instructions = role.instructions.filter(|_| resume.is_none())?;
    Some(format!("{}\n\n{prompt}", instructions.trim_end()))
}

/// Returns the first prompt of a program on a terminal. A text that begins with one of these characters would be taken for
/// a command of the program or of the shell, so something is written before it.
pub(in crate::drivers) fn first_prompt(prompt: &str) -> String {
    let prompt = plain(prompt.as_bytes());
    match prompt.trim_start().starts_with(['/', '!', '#', '@', '&', '$', '?', '*']) {
        true => format!("The task:\n\n{prompt}"),
        false => prompt,
    }
}
