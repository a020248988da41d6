//! Proving on a running system that what is promised holds, whatever is broken meanwhile.

pub mod history;
