//! A complete orch for each test: the real program, a private Redis, and a tmux server on its own socket.
//!
//! Everything is in one temporary folder, and every process is found by the name of that folder. No process is ended by
//! the name of its program.

mod builder;
mod disk;
mod nothing_left;
mod processes;
mod run;
mod shell;
mod work;
mod world;

pub use disk::Disk;
pub use processes::{Process, Signal, kill9, signal};
pub use run::{Output, Running, feed, refused, start};
pub use shell::{append, forever, gate};
pub use work::Work;
pub use world::World;
