//! (room: os)
