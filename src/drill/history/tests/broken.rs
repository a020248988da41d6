//! Changes a good history so that it violates exactly one invariant.

use super::{Story, check, good, id};

/// Returns the names of the violated invariants, each once.
pub fn names(story: &Story) -> Vec<&'static str> {
    let mut names: Vec<_> = check(&story.history).iter().map(|v| v.invariant).collect();
    names.dedup();
    names
}

/// A change to the good history, and the text that a violation must then contain.
pub type Way = (fn(&mut Story), &'static str);

pub fn breaks(invariant: &str, ways: &[Way]) {
    for (way, expected) in ways {
        let mut story = good();
        way(&mut story);
        let found = check(&story.history);
        assert_eq!(names(&story), [invariant], "expected: {expected}\nfound: {found:#?}");
        let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text.contains(expected), "expected: {expected}\nfound: {text}");
    }
}

/// Returns the index of the n-th event of a kind about a task.
pub fn index(s: &Story, letter: char, kind: &str, n: usize) -> usize {
    let about =
        |e: &&crate::model::event::Event| e.task.as_deref() == Some(id(letter).as_str()) && e.kind.as_str() == kind;
    let mut all = s.history.events.iter().enumerate().filter(|(_, e)| about(e));
    all.nth(n).unwrap().0
}

/// Removes a task and all its events.
pub fn remove_task(s: &mut Story, letter: char) {
    s.history.tasks.retain(|t| t.task.id != id(letter));
    s.history.events.retain(|e| e.task.as_deref() != Some(id(letter).as_str()));
    s.history.executions.retain(|e| e.task != id(letter));
}
