//! The documents agree with the code: generated pages are current, links lead somewhere, commands parse, named tests exist.

mod commands;
mod generated;
mod guarantees;
mod links;
mod markdown;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns every page for readers, relative to the project's folder: those beside the README, then the book's.
fn pages() -> Vec<PathBuf> {
    let markdown = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        let mut names: Vec<PathBuf> = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())).collect();
        names.retain(|name| name.extension().is_some_and(|extension| extension == "md"));
        names.sort();
        names
    };
    [markdown(""), markdown(".github"), markdown("docs/src")].concat()
}
