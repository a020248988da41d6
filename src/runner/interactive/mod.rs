//! A program that has the pane's terminal to itself: its state is followed by its hooks and its screen, and text is
//! typed into it only where that is safe.

pub(in crate::runner) mod follow;
pub(in crate::runner) mod hooks;
pub(in crate::runner) mod mail;
pub(in crate::runner) mod master;
pub(in crate::runner) mod session;
pub(in crate::runner) mod turn;
pub(in crate::runner) mod typing;
