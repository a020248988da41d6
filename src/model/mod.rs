//! PURE. The words of the product as types, and the tables of transitions. No input, no output, no clock.
pub mod duration;
pub mod name;
pub mod retry;
