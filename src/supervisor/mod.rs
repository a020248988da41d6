//! (room: supervisor)
