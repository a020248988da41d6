//! Whatever is wrong around orch: each has its exit code, a sentence that names it and says what to do, and loses nothing.

#[path = "../common/mod.rs"]
mod common;

mod config;
mod disk;
mod folders;
mod programs;
mod redis;
mod streams;
mod tmux;

use common::{Output, World};

/// It ended with this code, said all of this, and what to do.
#[track_caller]
fn refused(output: Output, code: i32, said: &[&str]) -> Output {
    let output = output.ended(code);
    for part in said {
        assert!(output.stderr.contains(part), "{part:?} is not said: {output:#?}");
    }
    assert!(output.stderr.starts_with("orch: ") && output.stderr.contains("\n  hint: "), "{output:#?}");
    assert_eq!(output.stdout, "", "{output:#?}");
    output
}

/// Writes the world's sessions.toml anew.
fn write_config(world: &World, text: &str) {
    std::fs::write(world.project.join("sessions.toml"), text).expect("sessions.toml");
}

/// The world's sessions.toml as it is.
fn config(world: &World) -> String {
    std::fs::read_to_string(world.project.join("sessions.toml")).expect("sessions.toml")
}
