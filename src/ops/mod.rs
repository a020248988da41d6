//! The one API: every verb once, a request in, a response out, with the caller's identity. Surfaces translate to it
//! and render its answers; none does anything else.
//!
//! A verb writes an intention to Redis and returns; the supervisor and the runners make it so. Two exceptions, both in
//! [`lifecycle`]: `start` starts the supervisor, and `stop` starts one where none lives, to do the stopping.

pub mod types;
