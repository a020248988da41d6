//! A program that has the pane's terminal to itself: what it does is followed by its hooks and its screen, and text is
//! typed into it only where it is safe to.

pub(in crate::runner) mod follow;
pub(in crate::runner) mod hooks;
pub(in crate::runner) mod mail;
pub(in crate::runner) mod master;
pub(in crate::runner) mod session;
pub(in crate::runner) mod turn;
pub(in crate::runner) mod typing;
