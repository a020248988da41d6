//! One task: the locks that it holds, and those that it waits for.

use super::image::Image;

/// The entries of a holder.
fn held<'a>(image: &'a Image, holder: &str) -> Vec<&'a String> {
    match image.record("held", holder) {
        Some(entries) => entries.names().collect(),
        None => image.list("held", holder).iter().collect(),
    }
}

/// What does not agree about a task's locks.
pub(super) fn judge(image: &Image, id: &str, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("task {id}: {what}"));
    let task = image.record("task", id);
    let state = task.map_or("", |task| task.text("state"));
    for (holder, may_hold) in [(id.to_owned(), state == "running"), (format!("~{id}"), state == "ready")] {
        for entry in held(image, &holder) {
            if !may_hold {
                say(format!("it is {state}, and has {entry:?}"));
            }
            if !image.has("locks", entry) {
                say(format!("it has {entry:?}, which is not locked"));
            }
        }
    }
    for overlap in image.list("overlaps", id).as_chunks::<2>().0 {
        say(format!("it has {:?}, which {:?} excludes", overlap[0], overlap[1]));
    }
    let waits = task.is_some_and(|task| task.has("parked_at"));
    if waits != image.has("parked", id) || waits && state != "ready" {
        say(format!("it is {state}, and its waiting for locks is not in parked"));
    }
    let Some(task) = task else { return };
    for field in ["parked", "offered", "reserved_until"] {
        if task.has(field) && !waits {
            say(format!("it does not wait for locks, and has a {field}"));
        }
    }
    if task.has("parked") {
        let queue = task.text("parked");
        if task.has("offered") || !image.has("wants", queue) {
            say(format!("it waits in {queue:?}, which is not known"));
        }
    }
}
