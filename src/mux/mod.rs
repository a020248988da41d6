//! Talks to tmux: opens, lists and closes the agents' sessions, reads their panes and types into them. No other module
//! does.
//!
//! It knows neither tasks nor Redis, and decides nothing. It does not know whether a program has read what was typed: the
//! caller confirms that by other means.
//!
//! # How it works
//!
//! [`Mux`] is the interface. [`TmuxMux`] implements it with tmux, `RecordingMux` is the double for the supervisor's tests;
//! both are held as `Arc<dyn Mux>`.
//!
//! Every session of ours carries [`Tags`] as user options, which the command that creates the session sets as well, so that
//! no crash leaves a session untagged. Ownership is decided by the tags alone, never by the name:
//! [`Mux::close`] compares and kills in one tmux command, and a session with other tags is never touched. Nor is it typed
//! into: [`Mux::paste`] and [`Mux::press_enter`] compare in the same way, and reach the session's own pane alone.
//!
//! Each call is one short tmux process. The kernel reports that the process of a pane has ended ([`Mux::changes`]): a
//! control-mode client would be faster, but can kill the whole server (see `pane_watch`).
//!
//! If no server runs, the list of sessions is empty. A server that does not answer is [`MuxError::Unreachable`], which says
//! nothing about the agents.
//!
//! # Traps
//!
//! - A bare target matches by prefix (`agent-1` matches `agent-10`): ours are exact (`=name:`).
//! - A word that ends in `;` starts a second command; `-c` runs `#(…)` as shell code; a lone command word goes to a
//!   shell. `quote` and `commands` prevent all three, with tests. Text is never an argument: it is loaded into a
//!   buffer.
//! - tmux silently replaces a start directory that it cannot enter by the home directory: [`Mux::open`] checks it first.
//! - The first command starts the server, which keeps that process's environment for ever: tmux runs with a short list of
//!   harmless variables (never `TMUX`), so that no secret gets into the user's server.

mod commands;
mod error;
#[cfg(test)]
mod fuzz;
mod lost_socket;
mod pane_watch;
mod preflight;
mod process;
mod quote;
#[cfg(test)]
mod recording;
mod status_line;
mod tmux;
mod types;
mod typing;

#[cfg(test)]
mod tests;

use std::{ffi::OsStr, process::Command};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::os::ProcessId;
pub use error::MuxError;
#[cfg(test)]
pub(crate) use recording::{Call, RecordingMux};
pub use tmux::{TmuxMux, TmuxOptions};
pub use types::{Opened, Screen, SessionInfo, SessionSpec, Tags, Version};

/// The result type of this module.
pub type Result<T> = std::result::Result<T, MuxError>;

/// The multiplexer that holds the agents' sessions.
///
/// Held as `Arc<dyn Mux>`: a call costs a round trip to tmux, next to which a boxed future is nothing, and the supervisor
/// stays free of a type parameter.
pub trait Mux: Send + Sync {
    /// Returns the version of tmux, checked to be new enough.
    fn version(&self) -> BoxFuture<'_, Result<Version>>;

    /// Opens a detached session whose only pane executes `spec.argv`, without a shell. Starts the server if none runs. [`MuxError::NameTaken`] if any session, ours or not, has the name.
    fn open<'a>(&'a self, spec: &'a SessionSpec) -> BoxFuture<'a, Result<Opened>>;

    /// Returns every session of the server, foreign ones included, sorted by name. Empty if no server runs.
    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>>>;

    /// Kills the session `name` if its tags are exactly `tags`; otherwise touches nothing. Returns whether it was killed.
    fn close<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// Returns what a pane shows now; `pane` is tmux's id of it (`%7`). [`MuxError::NoPane`] if it is gone.
    fn screen<'a>(&'a self, pane: &'a str) -> BoxFuture<'a, Result<Screen>>;

    /// Types one line into the pane without Enter, as a bracketed paste if its program asks for that. The pane must be the
    /// first one ([`Opened::pane_id`]) of a session whose tags are exactly `tags`, and its process alive; otherwise nothing
    /// is touched. Returns whether the line was typed, which says nothing about what the program does with it.
    ///
    /// [`MuxError::Invalid`] for text that its reader could take for more than a line: control characters, a leading `!`
    /// or `/`, a trailing backslash, more than 1,000 bytes.
    fn paste<'a>(&'a self, pane: &'a str, tags: &'a Tags, text: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// Presses Enter in the pane, under the same conditions.
    fn press_enter<'a>(&'a self, pane: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// Detaches every client of the session `name` if its tags are exactly `tags`. Returns whether the session exists.
    fn detach_clients<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// Returns the command that shows the session `name` in a person's terminal. `tmux_env` is the caller's `TMUX` variable:
    /// a client of this server is switched; any other terminal is attached.
    fn attach_command(&self, name: &str, tmux_env: Option<&OsStr>) -> Command;

    /// Where the server's socket was removed: asks the server that holds the pane of one of these processes to make it again.
    /// Returns whether one was asked. A call of `stat` where the socket is there.
    fn restore_socket(&self, panes: &mut dyn Iterator<Item = ProcessId>) -> bool;

    /// Returns a counter that grows when the process of an agent's pane has ended. It covers the sessions that were opened or
    /// listed since its first call; a change may be reported twice.
    fn changes(&self) -> watch::Receiver<u64>;
}
