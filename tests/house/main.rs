//! House rules: what holds for the source itself, whatever it does. This binary needs nothing but the files.

mod layers;
mod prose;
