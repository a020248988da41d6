//! (room: drivers)
