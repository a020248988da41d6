//! The conversation of an attempt, by which a later attempt of its task goes on.
//!
//! It is written down as soon as the program has named it, and found again in the folders of earlier attempts. Never two
//! programs in one conversation: while anybody of that attempt is left, the next one begins anew.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    config::DriverKind,
    home::{self, Home},
    model::task::Task,
    os,
    store::tasks::Claimed,
};

const FILE: &str = "session.json";
/// An attempt whose folder is gone, and those without a conversation, are passed over: so many of them.
const ATTEMPTS_BACK: u32 = 20;

/// A conversation as written down.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    driver: DriverKind,
    session: String,
    /// The marker that all of that attempt's processes carry.
    marker: String,
}

/// One that can go on.
#[derive(Debug)]
pub(in crate::runner) struct Earlier {
    pub session: String,
    /// What to say in it.
    pub prompt: String,
}

/// Writes an attempt's conversation down.
pub(in crate::runner) fn write(dir: &Path, driver: DriverKind, session: &str, marker: String) {
    let written = Written { driver, session: session.to_owned(), marker };
    let bytes = serde_json::to_vec(&written).unwrap_or_default();
    if let Err(e) = home::write_atomically(&dir.join(FILE), &bytes) {
        tracing::warn!("the conversation {session} is not written down: {e}");
    }
}

/// The last conversation of a task with this program, if it may go on.
pub(in crate::runner) fn earlier(home: &Home, claimed: &Claimed, driver: DriverKind) -> Option<Earlier> {
    let (task, attempt) = (&claimed.task, claimed.attempt);
    let found = (1..attempt).rev().take(ATTEMPTS_BACK as usize).find_map(|number| {
        let written = home::read_json::<Written>(&home.run(&task.id, number).join(FILE))?;
        Some((number, written))
    });
    let (number, written) = found?;
    if written.driver != driver || written.session.is_empty() || somebody_is_left(&written.marker) {
        return None;
    }
    let end = home.known_end(&task.id, number).map(|report| format!("{}: {}", report.cause, report.reason));
    let end = end.unwrap_or_else(|| "lost: its agent died".to_owned());
    Some(Earlier { session: written.session, prompt: prompt(task, attempt, number, &end) })
}

fn prompt(task: &Task, attempt: u32, earlier: u32, end: &str) -> String {
    format!(
        "This is attempt {attempt} of your task. Attempt {earlier}, in which you were until now, ended as {end}.\n\
         Look first at what is done already, then continue, until the task is done. The task, once more:\n\n{}",
        task.description
    )
}

/// Where nobody can tell, somebody may be.
fn somebody_is_left(marker: &str) -> bool {
    let tree = os::Tree { marker: Some(marker.to_owned()), ..os::Tree::default() };
    os::members(&tree, &[]).map_or(true, |left| !left.is_empty())
}
