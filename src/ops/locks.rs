//! `orch lock`, `orch unlock`, `orch locks`, and what a task's `writes` and `reads` name.
//!
//! Patterns are relative to the project's root: the top folder of the repository that sessions.toml is in, else its own
//! folder. Links in the part without wildcards are resolved, so that two names of one folder are one lock.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::{LockRequest, Locked, Locks, Ops, Unlocked, caller::Caller};
use crate::{
    error::{Error, Result},
    model::{
        id::random_word,
        lock::{HolderKind, Lock, MOST_PATTERNS, Pattern},
        pattern::expand,
        text::one_line,
    },
    store::locks::{Holder, NewLocks},
};

/// Waiting tasks that an answer lists.
const LISTED: usize = 100;
/// Longest reason.
const REASON: usize = 1_024;

impl Ops {
    /// Takes locks, all of them or none. Those of a task's program end with its attempt; those of a person or the master when
    /// they are released, or after `ttl`.
    ///
    /// # Errors
    /// Usage: no pattern, or one that is none. Conflict: another task or a person has a lock that excludes one of them.
    /// Failed: the caller's attempt is over. NotRunning: there is no Redis.
    pub async fn lock(&self, asked: LockRequest) -> Result<Locked> {
        let patterns = self.patterns("lock", &asked.patterns)?;
        if patterns.is_empty() {
            return Err(Error::usage("no pattern is named").hint("orch lock 'src/db/**' --reason 'the migration'"));
        }
        let reason = asked.reason.map(|reason| one_line(&self.redactor().text(reason), REASON));
        if asked.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(Error::usage("a lock for no time keeps nothing")
                .hint("give the time after which it ends, such as --ttl 2h, or leave --ttl out"));
        }
        let holder = match self.caller.attempt() {
            Some(_) if asked.ttl.is_some() => {
                return Err(
                    Error::usage("a task's locks end with its attempt, and take no --ttl").hint("leave --ttl out")
                );
            }
            Some(attempt) => Holder::Attempt(attempt.clone()),
            None => Holder::Person(format!("l-{}", random_word())),
        };
        let id = match &holder {
            Holder::Person(id) => Some(id.clone()),
            Holder::Attempt(_) => None,
        };
        let (mode, ttl, who, owner) = (asked.mode, asked.ttl, self.caller.in_words(), self.caller.owner());
        let new = NewLocks { holder, mode, patterns: patterns.clone(), reason, ttl, who, owner };
        match self.ask(|s| s.take_locks(&new)).await? {
            None => Ok(Locked { id, patterns, mode }),
            Some(found) => {
                let holder = found.lock.as_ref().map_or_else(|| "another task".to_owned(), Lock::holder);
                let its = found.lock.as_ref().map_or(&found.wanted, |lock| &lock.pattern);
                Err(Error::conflict(format!(
                    "{} is not free: {holder} has the lock of {its}; nothing was locked",
                    found.wanted
                ))
                .hint("orch locks shows all locks; try again when it is released, or lock less"))
            }
        }
    }

    /// Releases locks of the caller's own task, or of a person: by their ids or patterns; all of the caller's own task where
    /// none are named.
    ///
    /// # Errors
    /// Usage: nothing is named, or what is none. NotFound: there is no such lock. Failed: the lock is that of a task, or the
    /// caller's attempt is over. NotRunning: there is no Redis.
    pub async fn unlock(&self, what: Vec<String>) -> Result<Unlocked> {
        let who = self.caller.in_words();
        if let Some(attempt) = self.caller.attempt() {
            let patterns = self.patterns("unlock", &what)?;
            let holder = Holder::Attempt(attempt.clone());
            let released = self.ask(|s| s.release_locks(&holder, &patterns, &who)).await?;
            if let Some(missing) = patterns.iter().find(|pattern| !released.contains(pattern)) {
                return Err(Error::not_found(format!("your task has no lock of {missing}")).hint("orch locks"));
            }
            return Ok(Unlocked { patterns: released });
        }
        if what.is_empty() {
            return Err(
                Error::usage("nothing is named").hint("orch unlock PATTERN or the lock's id: orch locks lists them")
            );
        }
        let locks = self.ask(|s| s.locks()).await?;
        let mut meant = Vec::new();
        for word in &what {
            let patterns =
                if word.starts_with("l-") { Vec::new() } else { self.patterns("unlock", std::slice::from_ref(word))? };
            let found: Vec<&Lock> = locks
                .iter()
                .filter(|lock| lock.id.as_ref() == Some(word) || patterns.contains(&lock.pattern))
                .filter(|lock| lock.holder != HolderKind::Reservation)
                .collect();
            let ours = |lock: &&&Lock| lock.holder == HolderKind::Person && self.may_release(lock);
            if found.iter().filter(ours).count() == 0 {
                return Err(match found.first() {
                    Some(lock) => Error::failed(format!("the lock of {} is that of {}", lock.pattern, lock.holder()))
                        .hint(match &lock.task {
                            Some(task) => format!("it ends with the task: orch cancel {task}"),
                            None => "its holder releases it".to_owned(),
                        }),
                    None => Error::not_found(format!("nothing is locked as {word}")).hint("orch locks"),
                });
            }
            let ids = found.iter().filter(ours).map(|lock| lock.id.clone().unwrap_or_default());
            meant.extend(ids.map(|id| (id, patterns.clone())));
        }
        // All of them or none: a word that names nothing releases nothing.
        let mut released = Vec::new();
        for (id, patterns) in meant {
            let holder = Holder::Person(id);
            released.extend(self.ask(|s| s.release_locks(&holder, &patterns, &who)).await?);
        }
        Ok(Unlocked { patterns: released })
    }

    /// A person may release every person's lock; the master its own.
    fn may_release(&self, lock: &Lock) -> bool {
        match &self.caller {
            Caller::Person(_) => true,
            Caller::Agent { .. } => lock.by.as_deref() == Some(self.caller.owner().as_str()),
        }
    }

    /// What is locked, and which ready tasks wait for it.
    ///
    /// # Errors
    /// NotRunning: there is no Redis.
    pub async fn locks(&self) -> Result<Locks> {
        let locks = self.ask(|s| s.locks()).await?;
        let (waiting, waiting_count) = self.ask(|s| s.parked(LISTED)).await?;
        Ok(Locks { root: self.lock_root(), locks, waiting, waiting_count })
    }

    /// The folder that patterns are relative to.
    pub(super) fn lock_root(&self) -> PathBuf {
        let root = &self.config.root;
        root.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(root).to_owned()
    }

    /// The patterns that texts stand for, each once. `what` names the list in an error.
    pub(super) fn patterns(&self, what: &str, texts: &[String]) -> Result<Vec<Pattern>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let root = self.root_of_patterns();
        let mut patterns: Vec<Pattern> = Vec::new();
        for text in texts {
            let wrong = |why: String| {
                Error::usage(format!("{what} has '{}', which is no pattern: {why}", one_line(text, 100))).hint(format!(
                    "write a path from {} with * and **, such as src/api/** or docs/*.md",
                    root.dir.display()
                ))
            };
            root.add(text, &mut patterns).map_err(wrong)?;
        }
        too_many(&patterns).map_or(Ok(patterns), |why| {
            Err(Error::usage(format!("{what} {why}")).hint("name the folder that has them all, such as src/**"))
        })
    }

    /// What patterns are resolved against. Looks at the folder once.
    pub(super) fn root_of_patterns(&self) -> Root {
        let dir = self.lock_root();
        Root { folds: folds_case(&dir), dir }
    }
}

/// The folder that patterns are relative to.
pub(super) struct Root {
    dir: PathBuf,
    /// Whether its file system takes names that differ in case only for one.
    folds: bool,
}

impl Root {
    /// Adds the patterns that a text stands for, each once.
    ///
    /// # Errors
    /// Why it is no pattern.
    pub fn add(&self, text: &str, patterns: &mut Vec<Pattern>) -> std::result::Result<(), String> {
        for one in expand(text)? {
            let pattern = resolve(&self.dir, &one, self.folds)?;
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        Ok(())
    }
}

/// What is wrong with the number of some patterns, as the end of a sentence.
pub(super) fn too_many(patterns: &[Pattern]) -> Option<String> {
    let n = patterns.len();
    (n > MOST_PATTERNS).then(|| format!("stands for {n} patterns, and may for at most {MOST_PATTERNS}"))
}

/// As many as the kernel follows in one path.
const MOST_LINKS: u32 = 40;

/// A pattern as it is stored: relative to the root, with the links of its part without wildcards resolved.
pub(super) fn resolve(root: &Path, text: &str, folds: bool) -> std::result::Result<Pattern, String> {
    // What is no pattern at all is said first, in its own words. The root of the file system is one that leaves the project.
    let relative = text.trim_start_matches('/');
    if text.is_empty() || !relative.is_empty() {
        Pattern::parse(relative, folds)?;
    }
    let outside = || format!("it leaves the project's root, {}", root.display());
    let (mut real, mut rest): (PathBuf, Vec<String>) = (PathBuf::from("/"), Vec::new());
    let (mut left, mut links) = (vec![root.join(text)], 0);
    while let Some(path) = left.pop() {
        let mut parts = path.components();
        let Some(part) = parts.next() else { continue };
        left.push(parts.as_path().to_owned());
        match part {
            Component::RootDir => real = PathBuf::from("/"),
            Component::ParentDir if rest.is_empty() => drop(real.pop()),
            Component::ParentDir if rest.pop().is_none_or(|last| is_wild(&last)) => {
                return Err("'..' after a wildcard leads nowhere".to_owned());
            }
            Component::ParentDir => {}
            Component::Normal(name) => {
                let name = name.to_str().ok_or("its name is not UTF-8")?;
                let next = real.join(name);
                match next.read_link().ok().filter(|_| rest.is_empty()) {
                    // Also one that leads to what is not there yet: it may come.
                    Some(_) if links == MOST_LINKS => return Err(format!("{name} leads through too many links")),
                    Some(target) => {
                        links += 1;
                        left.push(target);
                    }
                    None if rest.is_empty() && next.symlink_metadata().is_ok() => real = next,
                    None => rest.push(name.to_owned()),
                }
            }
            _ => {}
        }
    }
    let below = real.strip_prefix(root).map_err(|_| outside())?.to_str().ok_or("its path is not UTF-8")?;
    let mut path = below.to_owned();
    for part in &rest {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Pattern::parse(if path.is_empty() { "." } else { &path }, folds)
}

fn is_wild(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Whether names that differ in upper and lower case only are one file below this folder.
pub(super) fn folds_case(root: &Path) -> bool {
    let swapped = |name: &str| -> String {
        name.chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect()
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut named = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let Some(name) = named.find(|name| swapped(name) != *name) else { return false };
    let number = |name: &str| root.join(name).symlink_metadata().ok().map(|found| (found.dev(), found.ino()));
    number(&name).is_some() && number(&name) == number(&swapped(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_resolved_to_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("project");
        fs::create_dir_all(root.join("src/api")).unwrap();
        std::os::unix::fs::symlink("src/api", root.join("api")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
        std::os::unix::fs::symlink("src/../dangling", root.join("twice")).unwrap();
        std::os::unix::fs::symlink("circle", root.join("circle")).unwrap();
        assert!(resolve(&root, "circle/x", false).unwrap_err().contains("too many links"));
        let resolved = |text: &str| resolve(&root, text, false).map(|pattern| pattern.to_string());
        for (text, pattern) in [
            ("api/**", "src/api"),
            ("api/new/file.rs", "src/api/new/file.rs"),
            ("src/*.rs", "src/*.rs"),
            ("src/../src/api/", "src/api"),
            (".", "."),
            ("dangling", "nowhere"),
            ("dangling/x", "nowhere/x"),
            ("twice/x", "nowhere/x"),
            ("Not/There yet.md", "Not/There yet.md"),
            (root.join("src").to_str().unwrap(), "src"),
        ] {
            assert_eq!(resolved(text).as_deref(), Ok(pattern), "{text}");
        }
        for (text, why) in
            [("../x", "leaves"), ("etc/passwd", "leaves"), ("/etc/passwd", "leaves"), ("/", "leaves"), ("", "empty")]
        {
            assert!(resolved(text).unwrap_err().contains(why), "{text}");
        }
        assert!(!folds_case(&root), "this machine's file systems tell them apart");
    }
}
