//! Every state that two tasks and two agents can come to, and every step that anybody can take there: tried on the real
//! transitions, on a real server.
//!
//! A search goes breadth first over what decides about the future ([`state::State`]); at each node it takes every step
//! ([`steps`]), those of the late and the mistaken included, and looks at all that is stored before and after
//! ([`laws`]). Nothing is drawn at random and nothing is left out, within the bounds of a [`Scenario`]: the number of
//! retries, and which wishes there are. Ended attempts and fences are not bounded: they do not decide about the future.
//! Time does not pass by itself: that a delay is over is a step, and so is the end of a lease (its agent is given up).

mod laws;
mod machine;
mod search;
mod state;
mod steps;

use self::search::search;

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    name: &'static str,
    shape: Shape,
    retries: u32,
    lost: u32,
    /// Field and value, each of which may stand or not.
    wishes: &'static [(&'static str, &'static str)],
    /// Whether tasks wait for others meanwhile.
    waits: bool,
    /// Whether markers are taken, and who has taken one, is part of the state.
    markers: bool,
}

/// What the second task is to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// It waits for it.
    Dependency,
    /// It is delegated from within it.
    Subtask,
}

const DEPENDENCY: Scenario = Scenario {
    name: "dependency",
    shape: Shape::Dependency,
    retries: 1,
    lost: 1,
    wishes: &[],
    waits: false,
    markers: false,
};

#[test]
fn nothing_breaks_in_any_state() {
    let began = std::time::Instant::now();
    let searched = search(&DEPENDENCY, None).unwrap_or_else(|broken| panic!("{}:\n{broken}", DEPENDENCY.name));
    println!("{}: {} states, {} steps in {:?}", DEPENDENCY.name, searched.states, searched.steps, began.elapsed());
}
