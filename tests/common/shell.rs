//! Pieces of shell script for tasks.

use std::path::Path;

/// Returns a script that waits until `path` exists.
pub fn gate(path: &Path) -> String {
    format!("until [ -e '{}' ]; do sleep 0.05; done", path.display())
}

/// Returns a script that appends a line to `path`. The shell expands the line, such as `$$`.
pub fn append(path: &Path, line: &str) -> String {
    format!("echo \"{line}\" >> '{}'", path.display())
}

/// Returns a script that runs until it is killed.
pub fn forever() -> &'static str {
    "while :; do sleep 1; done"
}
