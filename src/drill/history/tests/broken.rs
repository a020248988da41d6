//! How a good history is broken by hand, so that exactly one invariant says so.

use super::{Story, check, good, id};

/// The invariants that are broken, each once.
pub fn names(story: &Story) -> Vec<&'static str> {
    let mut names: Vec<_> = check(&story.history).iter().map(|v| v.invariant).collect();
    names.dedup();
    names
}

/// A way to break something: what is done to the good history, and what a violation must then say.
pub type Way = (fn(&mut Story), &'static str);

pub fn breaks(invariant: &str, ways: &[Way]) {
    for (way, says) in ways {
        let mut story = good();
        way(&mut story);
        let found = check(&story.history);
        assert_eq!(names(&story), [invariant], "expected: {says}\nfound: {found:#?}");
        let told = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(says), "expected: {says}\nfound: {told}");
    }
}

/// The place of the n-th event of a kind about a task.
pub fn place(s: &Story, letter: char, kind: &str, n: usize) -> usize {
    let about =
        |e: &&crate::model::event::Event| e.task.as_deref() == Some(id(letter).as_str()) && e.kind.as_str() == kind;
    let mut all = s.history.events.iter().enumerate().filter(|(_, e)| about(e));
    all.nth(n).unwrap().0
}

/// Forgets a task, with all that was told of it.
pub fn forget(s: &mut Story, letter: char) {
    s.history.tasks.retain(|t| t.task.id != id(letter));
    s.history.events.retain(|e| e.task.as_deref() != Some(id(letter).as_str()));
    s.history.executions.retain(|e| e.task != id(letter));
}
