//! The build of this orch: its version and commit.

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that a release build was made from; `unknown` outside a git repository, `debug` for other builds.
pub const ID: &str = env!("ORCH_BUILD");

/// Both, as people read them.
pub const IN_WORDS: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ORCH_BUILD"), ")");
