//! A git repository in the sandbox: commits work, and nothing can be changed that git executes or that configures git.
//!
//! A commit replaces files in the repository's folder (`index`, `HEAD`) by renaming, so that folder itself has to be
//! writable, except for what is mounted read-only in it: the configuration, hooks, attributes, submodules. Empty ones
//! are mounted for those that are missing, because they could be created otherwise. In a linked worktree, the parts of
//! other working trees are read-only too.
//!
//! Mounts cannot prevent two things: the file `commondir` cannot exist empty, and a mounted file loses its mount when
//! another process replaces it (`git config` outside of the sandbox). The first process of the sandbox watches for
//! both ([`super::inside`]).

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Files in a repository's folder that git takes orders from.
const FILES: [&str; 2] = ["config", "config.worktree"];
/// Folders in it from which git runs programs, or takes orders.
const FOLDERS: [&str; 3] = ["hooks", "info", "modules"];
/// What belongs to the other working trees of a repository.
const OF_OTHERS: [&str; 3] = ["HEAD", "index", "worktrees"];
/// Files in the folder of a linked worktree that git takes orders from.
const OF_A_WORKTREE: [&str; 3] = [COMMON, "gitdir", "config.worktree"];
/// The name that the watch removes as soon as it appears.
pub(super) const COMMON: &str = "commondir";

/// The repository that a folder belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// The folder with the `.git`.
    pub top: PathBuf,
    /// The folder of the index and HEAD.
    own: PathBuf,
    /// The repository of a linked worktree.
    common: Option<PathBuf>,
}

impl Repository {
    /// Finds the repository of a folder.
    pub fn around(folder: &Path) -> Option<Repository> {
        let top = folder.ancestors().find(|folder| fs::symlink_metadata(folder.join(".git")).is_ok())?;
        let (top, git) = (top.to_owned(), top.join(".git"));
        if git.is_dir() {
            return Some(Repository { top, own: git.canonicalize().ok()?, common: None });
        }
        let text = fs::read_to_string(&git).ok()?;
        let own = top.join(text.trim().strip_prefix("gitdir:")?.trim()).canonicalize().ok()?;
        let common = fs::read_to_string(own.join(COMMON)).ok();
        let common = common.and_then(|common| own.join(common.trim()).canonicalize().ok());
        Some(Repository { top, own, common })
    }

    /// Adds the options of bwrap that show and protect it.
    ///
    /// # Errors
    /// What is missing can't be put there.
    pub fn protect(&self, args: &mut Vec<OsString>) -> io::Result<()> {
        let mut bind = |option: &str, path: &Path| args.extend([option.into(), path.into(), path.into()]);
        let git = self.top.join(".git");
        let shared = self.shared();
        bind("--bind", shared);
        for name in FILES.into_iter().chain(FOLDERS) {
            let path = shared.join(name);
            put_there(&path, FOLDERS.contains(&name))?;
            bind("--ro-bind", &path);
        }
        if self.common.is_some() {
            for path in OF_OTHERS.map(|name| shared.join(name)).iter().filter(|path| path.exists()) {
                bind("--ro-bind", path);
            }
            bind("--bind", &self.own);
            bind("--ro-bind", &git);
            for name in OF_A_WORKTREE {
                let path = self.own.join(name);
                put_there(&path, false)?;
                bind("--ro-bind", &path);
            }
        }
        if let Some(hooks) = self.hooks_in_the_project() {
            bind("--ro-bind", &hooks);
        }
        Ok(())
    }

    /// Returns the paths that the first process of the sandbox watches.
    pub fn guarded(&self) -> Vec<PathBuf> {
        let shared = FILES.into_iter().chain(FOLDERS).map(|name| self.shared().join(name));
        let own = OF_A_WORKTREE.into_iter().filter(|_| self.common.is_some()).map(|name| self.own.join(name));
        let link = Some(self.top.join(".git")).filter(|git| *git != self.own);
        shared.chain(own).chain(link).collect()
    }

    /// Returns the folder of configuration, branches and objects.
    fn shared(&self) -> &Path {
        self.common.as_ref().unwrap_or(&self.own)
    }

    /// Returns the folder in the working tree from which git runs hooks, where its configuration names one.
    fn hooks_in_the_project(&self) -> Option<PathBuf> {
        let config = fs::read_to_string(self.shared().join("config")).ok()?;
        let value = config.lines().rev().find_map(|line| {
            let (key, value) = line.trim().split_once('=')?;
            key.trim().eq_ignore_ascii_case("hookspath").then(|| value.trim().trim_matches('"').to_owned())
        })?;
        let folder = self.top.join(value).canonicalize().ok().filter(|folder| folder.starts_with(&self.top))?;
        // husky's scripts are beside the folder that it names.
        let is_huskys = folder.ends_with("_");
        let folder = if is_huskys { folder.parent()?.to_owned() } else { folder };
        (folder != self.top).then_some(folder)
    }
}

/// Creates an empty file or folder, unless there is something.
fn put_there(path: &Path, is_folder: bool) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let made = if is_folder { fs::create_dir(path) } else { fs::File::create_new(path).map(drop) };
    // Another sandbox may put it there at the same time.
    made.or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
}
