//! Everything that goes wrong around a task: each process of ours and each that ours need, killed, stopped or missing;
//! the machine and its disk; agents' programs; and what people write. Accepted tasks are never lost or done twice, and
//! whatever is refused names what is wrong and what to do.

mod breaks;
mod config;
mod damaged_records;
mod failpoints;
mod full_disk;
mod machine;
mod program;
mod program_unavailable;
mod redis;
mod resource_limits;
mod runner;
mod state_folder;
mod supervisor;
mod tmux;

use crate::common::{World, refused};

/// Writes the world's sessions.toml anew.
fn write_config(world: &World, text: &str) {
    std::fs::write(world.project.join("sessions.toml"), text).expect("sessions.toml");
}

/// The world's sessions.toml as it is.
fn config(world: &World) -> String {
    std::fs::read_to_string(world.project.join("sessions.toml")).expect("sessions.toml")
}
