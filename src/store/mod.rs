//! (room: store)
pub mod server;
