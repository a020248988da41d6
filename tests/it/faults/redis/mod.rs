//! What a Redis does beside dying: it refuses to write, stands still, cuts its clients off, forgets its scripts, loses
//! replies on their way, finds its disk full or its file cut off. Nothing that was accepted is lost or done twice, and
//! nobody is given up for it.

mod append_only_file;
mod data_loss;
mod lost_replies;
mod refusing;
mod users_own;
