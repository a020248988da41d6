//! The limit that the operating system sets on the path of a Unix socket.

/// The longest path of a Unix socket in bytes: the size of `sun_path` in `sockaddr_un` (108 on Linux, 104 on macOS;
/// unix(7)) without its terminating NUL.
pub const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
