//! Pieces of shell script for tasks.

use std::path::Path;

/// Waits until `path` is there.
pub fn gate(path: &Path) -> String {
    format!("until [ -e '{}' ]; do sleep 0.05; done", path.display())
}

/// Appends a line to `path`. What the shell replaces in it, such as `$$`, is replaced.
pub fn append(path: &Path, line: &str) -> String {
    format!("echo \"{line}\" >> '{}'", path.display())
}

/// Runs until it is ended.
pub fn forever() -> &'static str {
    "while :; do sleep 1; done"
}
