//! Faults of Redis: it is killed, refuses to write, stands still, drops connections, forgets its scripts, loses
//! replies, has a full disk, or comes back with less than it had. Nothing that was accepted is lost or run twice, and
//! no agent is failed for it.

mod append_only_file;
mod data_loss;
mod killed;
mod lost_replies;
mod refusing;
mod users_own;
