//! orch: a supervisor for coding agents.
pub mod cli;
pub mod config;
pub mod console;
pub mod drivers;
pub mod error;
pub mod home;
pub mod model;
pub mod mux;
pub mod ops;
pub mod os;
pub mod runner;
pub mod store;
pub mod supervisor;
