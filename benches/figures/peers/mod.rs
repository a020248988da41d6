//! Other programs that run queued commands, measured in turns with orch. `scripts/bench` installs them where it can;
//! one that is missing is named on standard error, and its rows are left out.

mod bullmq;
mod task_spooler;

pub use self::{bullmq::BullMq, task_spooler::TaskSpooler};
use crate::Result;

/// Returns the peer. If it is not installed, prints the reason and returns `None`.
pub fn installed<T>(name: &str, peer: Result<T>) -> Option<T> {
    peer.inspect_err(|e| eprintln!("bench: without {name}: {e}")).ok()
}

/// Measures a peer, if it takes part. One that fails is reported and leaves, so that its failure costs no figure of ours.
pub fn measured<P, T>(peer: &mut Option<P>, name: &str, measure: impl FnOnce(&mut P) -> Result<T>) -> Option<T> {
    match measure(peer.as_mut()?) {
        Ok(measured) => Some(measured),
        Err(e) => {
            eprintln!("bench: from here on without {name}: {e}");
            *peer = None;
            None
        }
    }
}
