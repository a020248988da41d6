//! Links below what a pattern covers. What is written through them is in another place, which is another name of the same files:
//! it is locked as well.

use std::{
    cell::Cell,
    collections::{BTreeSet, VecDeque},
    fs,
    path::Path,
};

use crate::model::pattern::Pattern;

/// Entries of folders that are looked at for one request. Beyond them links are not followed.
const LOOKED_AT: usize = 50_000;

/// What may still be looked at for one request.
#[derive(Debug)]
pub(super) struct Allowance(Cell<usize>);

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance(Cell::new(LOOKED_AT))
    }
}

impl Allowance {
    /// Whether one more entry may be looked at.
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Returns where links below what `pattern` covers lead, as far as that is below the root and not covered by it anyway. `root`
/// has no links in its path.
pub(super) fn leading_elsewhere(root: &Path, pattern: &Pattern, folds: bool, allowance: &Allowance) -> Vec<Pattern> {
    let mut found: Vec<Pattern> = Vec::new();
    if pattern.as_str() == "." {
        return found;
    }
    let mut open = VecDeque::from([pattern.clone()]);
    while let Some(next) = open.pop_front() {
        for target in targets(root, &next, folds, allowance) {
            let is_known = |known: &Pattern| *known == target || contains(known, &target);
            if !is_known(pattern) && !found.iter().any(is_known) {
                open.push_back(target.clone());
                found.push(target);
            }
        }
    }
    found
}

/// Whether a pattern without a wildcard covers all that another one without a wildcard does.
fn contains(folder: &Pattern, other: &Pattern) -> bool {
    !folder.as_str().contains('*') && folder.covers(other)
}

/// Where the links lead that are below what a pattern covers.
fn targets(root: &Path, pattern: &Pattern, folds: bool, allowance: &Allowance) -> BTreeSet<Pattern> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.join(pattern.node())];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !allowance.take() {
                return found;
            }
            let (Ok(kind), path) = (entry.file_type(), entry.path());
            if !(kind.is_symlink() || kind.is_dir()) || entry.file_name() == ".git" {
                continue;
            }
            let below = |path: &Path| Some(Pattern::of_file(path.strip_prefix(root).ok()?.to_str()?, folds));
            if !below(&path).is_some_and(|below| below.meets(pattern)) {
                continue;
            }
            match kind.is_symlink() {
                true => found.extend(path.canonicalize().ok().and_then(|target| below(&target))),
                false => folders.push(path),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_links_below_a_pattern_lead_to_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for dir in ["src/a", "src/b", "shared/deep", "other"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let link = |target: &str, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
        link("../../shared", "src/a/shared");
        link("../b", "src/a/beside");
        link("/etc", "src/a/etc");
        link("nowhere", "src/a/dangling");
        link("../../other", "shared/deep/again");
        link("../shared/deep", "src/deep");
        let found = |pattern: &str| -> Vec<String> {
            let pattern = pattern.parse().unwrap();
            leading_elsewhere(&root, &pattern, false, &Allowance::default()).iter().map(Pattern::to_string).collect()
        };
        assert_eq!(found("src"), ["shared", "other"]);
        assert_eq!(found("src/*/shared"), ["shared", "other"]);
        assert_eq!(found("src/*"), ["shared/deep", "other"]);
        assert_eq!(found("src/b"), Vec::<String>::new());
        assert_eq!(found("."), Vec::<String>::new());
        assert_eq!(found("missing/**/*.rs"), Vec::<String>::new());
        let none = Allowance(Cell::new(1));
        assert!(leading_elsewhere(&root, &"src".parse().unwrap(), false, &none).is_empty());
    }
}
