//! The only room that speaks tmux: opens, lists and closes the sessions that agents live in, looks at their panes and types
//! into them.
//!
//! What it is not for: it knows no task and no Redis, decides nothing, and does not know
//! whether what it has typed was read: whoever types confirms it by other means.
//!
//! # How it works
//!
//! [`Mux`] is the door. [`TmuxMux`] is the real one, `RecordingMux` the supervisor's double for tests; both are held as
//! `Arc<dyn Mux>`.
//!
//! Every session of ours carries [`Tags`] as user options of the session, set in the same pass of tmux's own loop that
//! makes the session, so that no crash leaves one untagged. Ownership is decided by the tags alone, never by the name:
//! [`Mux::close`] compares and kills in one tmux command, and a session with other tags is never touched. Nor is it typed
//! into: [`Mux::paste`] and [`Mux::press_enter`] compare in the same way, and reach the session's own pane alone.
//!
//! Each call is one short tmux process. That an agent's pane has ended is told by the kernel ([`Mux::changes`]): a
//! control-mode client would be faster and can kill the whole server (see `pane_watch`).
//!
//! "Alive, gone, unreachable" are three things. No server is an empty list; a server that doesn't answer is
//! [`MuxError::Unreachable`], and says nothing about the agents.
//!
//! # What tmux must not be trusted with
//!
//! - A bare target matches by prefix (`agent-1` hits `agent-10`): ours are exact (`=name:`).
//! - A word that ends in `;` starts a second command; `-c` runs `#(…)` as shell code; a lone command word goes to a
//!   shell. `quote` and `commands` take care of all three, and tests hold them to it. Text never is an argument: it goes
//!   through a buffer.
//! - A start directory that can't be entered is silently replaced by the home directory: [`Mux::open`] looks first.
//! - The first command starts the server, which keeps that process's environment for good: tmux is run with a short list
//!   of harmless variables, so that no secret of ours gets into the user's server (and `TMUX` never).

mod commands;
mod error;
#[cfg(test)]
mod fuzz;
mod pane_watch;
mod process;
mod quote;
#[cfg(test)]
mod recording;
mod tmux;
mod types;
mod typing;

#[cfg(test)]
mod tests;

use std::{ffi::OsStr, process::Command};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use error::MuxError;
#[cfg(test)]
pub(crate) use recording::{Call, RecordingMux};
pub use tmux::{TmuxMux, TmuxOptions};
pub use types::{Opened, Screen, SessionInfo, SessionSpec, Tags, Version};

/// The result type of this room.
pub type Result<T> = std::result::Result<T, MuxError>;

/// The multiplexer that holds the agents' sessions.
///
/// Held as `Arc<dyn Mux>`: a call costs a round trip to tmux, next to which a boxed future is nothing, and the supervisor
/// stays free of a type parameter.
pub trait Mux: Send + Sync {
    /// The version of the program, checked to be new enough.
    fn version(&self) -> BoxFuture<'_, Result<Version>>;

    /// Opens a detached session whose one pane runs `spec.argv`, exec'ed word by word. Starts the server where there is
    /// none. [`MuxError::NameTaken`] if any session, ours or not, has the name.
    fn open<'a>(&'a self, spec: &'a SessionSpec) -> BoxFuture<'a, Result<Opened>>;

    /// Every session of the server, foreign ones included, in the order of their names. Empty where no server runs.
    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>>>;

    /// Kills the session `name` if its tags are exactly `tags`; otherwise touches nothing. Whether it was killed.
    fn close<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// What a pane shows at this moment; `pane` is tmux's own id of it (`%7`). [`MuxError::NoPane`] if it is gone.
    fn screen<'a>(&'a self, pane: &'a str) -> BoxFuture<'a, Result<Screen>>;

    /// Types one line into the pane, as a bracketed paste where its program asks for such, and without Enter: if it is the
    /// own pane ([`Opened::pane_id`]) of a session whose tags are exactly `tags`, and its process lives; otherwise touches
    /// nothing. Whether it was typed. That says nothing about what the program has made of it.
    ///
    /// [`MuxError::Invalid`] for what could be more than a line of text to its reader: control characters, a leading `!`
    /// or `/`, a trailing backslash, more than 1,000 bytes.
    fn paste<'a>(&'a self, pane: &'a str, tags: &'a Tags, text: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// Presses Enter in the pane, under the same conditions.
    fn press_enter<'a>(&'a self, pane: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// Detaches every client of the session `name` if its tags are exactly `tags`. Whether the session was there.
    fn detach_clients<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>>;

    /// The command that brings a person's terminal to the session `name`. `tmux_env` is the caller's `TMUX` variable:
    /// inside a client of this very server the client is switched, anywhere else the terminal attaches.
    fn attach_command(&self, name: &str, tmux_env: Option<&OsStr>) -> Command;

    /// A counter that grows when the process of an agent's pane has ended: look again then. It covers the sessions that
    /// were opened or listed since the first call of this; doubled changes do no harm.
    fn changes(&self) -> watch::Receiver<u64>;
}
