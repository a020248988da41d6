//! What an attempt to escape is. The attempts themselves are in the files beside this one, by what they are aimed at.

use super::scene::{Scene, Tried};

/// One attempt: a shell script that a hostile or injected program would run, and how its success is seen from outside.
///
/// The script finds in variables what an attacker can know: `$WORLD` (the user's home folder), `$PROJECT` (the working
/// folder), `$STATE` (the state folder), the tasks and processes of others ([`Scene::variables`]), and three places for
/// its success: `$LOOT` is a file in the working folder, `$OUT` one outside of it, and `$NAME` the name of the attempt.
pub struct Attempt {
    pub name: &'static str,
    pub script: &'static str,
    pub success: Success,
    /// What the same script achieves in a role without a sandbox.
    pub without_sandbox: Without,
}

/// How success is observed. The exit code of the script counts for nothing.
pub enum Success {
    /// `$LOOT` contains this text, which was planted where the program must not read.
    Reads(&'static str),
    /// `$OUT` exists.
    Makes,
    /// The test's own listeners have received `$NAME`.
    Sends,
    /// The process whose pid is in this variable has ended.
    Ends(&'static str),
    /// Something else that the test looks at.
    Changes(fn(&Scene, &Tried) -> bool),
}

/// The result of an attempt without a sandbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// It fails there, too. The control says how it is known that the script could succeed at all.
    Fails(Control),
    /// It succeeds: this is the control of the sandbox.
    Succeeds,
    /// The same, where the test runs as root; others are kept from it by the kernel.
    SucceedsForRoot,
    /// It would harm the machine or the test, or has no meaning there. The text says which.
    NotTried(&'static str),
}

/// How it is known that an attempt that always fails could succeed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The same script succeeds for a person.
    Person,
    /// Another attempt, or another test, does the same with the right to do it.
    Other(&'static str),
}

/// Returns all attempts, those last that end what the others need.
pub fn all() -> Vec<&'static Attempt> {
    let groups = [super::orch::ATTEMPTS, super::files::ATTEMPTS, super::git::ATTEMPTS, super::processes::ATTEMPTS];
    groups.into_iter().flatten().collect()
}
