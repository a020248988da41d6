//! A whole orch of its own for each test: the real binary, a real private Redis, a real tmux server on a socket of its
//! own. Everything lies in one temporary folder, and by that folder's name everything is found again: nothing here ever
//! ends a process by the name of its program.

mod disk;
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
