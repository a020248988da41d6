//! The conversation of an attempt, which a later attempt of the same task resumes.
//!
//! It is recorded as soon as the program has named it, and found again in the folders of earlier attempts. Two
//! programs never share a conversation: while a process of that attempt is left, the next attempt starts a new one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    config::DriverKind,
    home::{self, Home},
    model::{cause::Cause, task::Task},
    os,
    store::tasks::Claimed,
};

const FILE: &str = "session.json";
/// Up to this many attempts without a conversation, or whose folder is gone, are skipped.
const ATTEMPTS_BACK: u32 = 20;

/// The prompt of a conversation whose task was not over with its success.
const CONTINUED: &str = "What you had not received when you ended your turn is below: messages to you, or the results of \
                         your subtasks, which have ended. Continue with it, until the task is done. The result of the task \
                         is your last answer alone: repeat what still counts of the answer before.";

/// A conversation as recorded.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    driver: DriverKind,
    session: String,
    /// The marker that all processes of that attempt carry.
    marker: String,
}

/// A conversation that can be resumed.
#[derive(Debug)]
pub(in crate::runner) struct Earlier {
    pub session: String,
    /// The prompt to resume it with.
    pub prompt: String,
}

/// Records the conversation of an attempt.
pub(in crate::runner) fn write(dir: &Path, driver: DriverKind, session: &str, marker: String) {
    let written = Written { driver, session: session.to_owned(), marker };
    let bytes = serde_json::to_vec(&written).unwrap_or_default();
    if let Err(e) = home::write_atomically(&dir.join(FILE), &bytes) {
        tracing::warn!("the conversation {session} could not be recorded: {e}");
    }
}

/// Returns the last conversation of a task with this program, if it may be resumed.
pub(in crate::runner) fn earlier(home: &Home, claimed: &Claimed, driver: DriverKind) -> Option<Earlier> {
    let (task, attempt) = (&claimed.task, claimed.attempt);
    let found = (1..attempt).rev().take(ATTEMPTS_BACK as usize).find_map(|number| {
        let written = home::read_json::<Written>(&home.run(&task.id, number).join(FILE))?;
        Some((number, written))
    });
    let (number, written) = found?;
    if written.driver != driver || written.session.is_empty() || may_have_processes(&written.marker) {
        return None;
    }
    let end = home.known_end(&task.id, number);
    let prompt = match end {
        // It was no end, because subtasks were open or messages unread.
        Some(report) if report.cause == Cause::Success => CONTINUED.to_owned(),
        Some(report) => prompt(task, attempt, &format!("Attempt {number} {}: {}", ended(report.cause), report.reason)),
        None => prompt(task, attempt, &format!("Attempt {number} was interrupted: its agent died")),
    };
    Some(Earlier { session: written.session, prompt })
}

/// Says what an end by this cause was, for the model.
fn ended(cause: Cause) -> &'static str {
    match cause {
        Cause::Lost => "was interrupted",
        Cause::Timeout => "ran out of time",
        Cause::RateLimited => "stopped at a limit of the model's service",
        Cause::NeedsPerson => "stopped because it needed a person",
        Cause::Cancelled => "was cancelled",
        Cause::Success | Cause::Transient | Cause::Permanent | Cause::Deadline => "failed",
    }
}

fn prompt(task: &Task, attempt: u32, end: &str) -> String {
    let allowed = match task.allowed_tools.is_empty() {
        true => String::new(),
        false => format!("Since then a person has allowed you: {}. Try it again.\n", task.allowed_tools.join(", ")),
    };
    format!(
        "This is attempt {attempt} of your task. {end}.\n{allowed}You are still in the conversation of that attempt. Look \
         first at what is done already, then continue until the task is done. The task, once more:\n\n{}",
        task.description
    )
}

/// Returns whether a process of that attempt may be left; `true` where that cannot be determined.
fn may_have_processes(marker: &str) -> bool {
    let tree = os::Tree { markers: vec![marker.to_owned()], ..os::Tree::default() };
    os::members(&tree, &[]).map_or(true, |left| !left.is_empty())
}
