//! (room: mux)
