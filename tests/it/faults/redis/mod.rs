//! Faults of Redis: it is killed, refuses to write, hangs, drops connections, forgets its scripts, loses replies, has a
//! full disk, or returns with less data than it had. No accepted task is lost or run twice, and no agent is declared
//! failed.

mod append_only_file;
mod data_loss;
mod killed;
mod lost_replies;
mod refusing;
mod users_own;
