//! One task: the time limit of its approval.

use super::image::Image;

/// What does not agree about a task's approval.
pub(super) fn judge(image: &Image, id: &str, found: &mut Vec<String>) {
    let has_limit = image.has("approval_ends", id);
    let waits = image.record("task", id).is_some_and(|task| {
        let is_approval = matches!(task.text("holds"), "approval" | "acceptance");
        task.text("state") == "held" && is_approval && task.has("approval_timeout_ms")
    });
    match (waits, has_limit) {
        (true, false) => {
            found.push(format!("task {id}: it waits for an approval, and its time limit is not in approval_ends"))
        }
        (false, true) => found.push(format!("task {id}: it is in approval_ends, and waits for no approval")),
        _ => {}
    }
}
