//! What the model of a program reads about an edit of a file that another task or a person has locked (`on_collision`): before
//! the edit, which is then refused, or after it.
//!
//! An edit is compared with the locks at the moment of the call. A lock that is taken a moment later is not noticed, and neither
//! is one while Redis does not answer: only the locks that tasks declare exclude each other at any time.

use std::path::{Path, PathBuf};

use super::{Ops, locks::folds_case};
use crate::{
    drivers::{Driver, EDIT_REFUSED, Hook},
    error::Result,
    home::{self, files},
    model::{
        collision::CollisionRule,
        duration::human,
        event::EventKind,
        lock::{HolderKind, Lock, Pattern},
        text::one_line,
        time::Timestamp,
    },
};

/// The file with the collisions that the model knows.
const KNOWN: &str = "collisions";
/// Its largest size, in bytes. Beyond it every edit is a new collision.
const MOST: u64 = 64 * 1024;
/// Files of one call that are compared.
const COMPARED: usize = 100;

/// An edit of a file that another one has locked.
struct Collision {
    file: Pattern,
    lock: Lock,
}

impl Ops {
    /// What the model reads about the edits of this call; `None`: nothing. `folder` is that of the caller's hooks.
    pub(super) async fn collision(
        &self,
        driver: &dyn Driver,
        hook: &Hook,
        call: &str,
        folder: &Path,
    ) -> Result<Option<String>> {
        let rule = match (self.collision_rule(), hook) {
            (rule @ CollisionRule::Deny, Hook::ToolCall { .. }) => rule,
            (rule @ CollisionRule::Warn, Hook::ToolCall { .. }) if driver.warns_before_edits() => rule,
            (rule @ CollisionRule::Warn, Hook::ToolResult { ok: true, .. }) => rule,
            _ => return Ok(None),
        };
        let written = driver.files_written(call);
        if written.is_empty() {
            return Ok(None);
        }
        let found = self.collisions(&written).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let new = self.unknown(&found, rule, folder).await?;
        let now = Timestamp::now();
        Ok(match rule {
            CollisionRule::Deny => Some(refusal(&found, now)),
            // It is read once.
            _ => (!new.is_empty()).then(|| warning(&new, now)),
        })
    }

    /// The rule of the caller's role.
    pub(super) fn collision_rule(&self) -> CollisionRule {
        let super::Caller::Agent { role, .. } = &self.caller else { return CollisionRule::Off };
        let written = self.config.roles.get(role).and_then(|role| role.agent.on_collision);
        written.unwrap_or_default()
    }

    async fn collisions(&self, written: &[PathBuf]) -> Result<Vec<Collision>> {
        let root = self.lock_root();
        let folds = folds_case(&root);
        let below = written.iter().take(COMPARED).filter_map(|file| below(&root, file));
        let files: Vec<Pattern> = below.map(|file| Pattern::of_file(&file, folds)).collect();
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let (task, who) = (self.caller.attempt().map(|attempt| &attempt.task), self.caller.owner());
        let found = self.ask(|s| s.locked_by_others(task, &who, &files)).await?;
        Ok(found.into_iter().map(|(file, lock)| Collision { file, lock }).collect())
    }

    /// Those that the model has not read before. They are recorded as events.
    async fn unknown<'a>(
        &self,
        found: &'a [Collision],
        rule: CollisionRule,
        folder: &Path,
    ) -> Result<Vec<&'a Collision>> {
        let path = folder.join(KNOWN);
        let mut known = files::read(&path, MOST).unwrap_or_default();
        let is_known = |known: &[u8], line: &str| known.split(|b| *b == b'\n').any(|one| one == line.as_bytes());
        let mut new = Vec::new();
        for collision in found {
            let line = collision.line();
            if is_known(&known, &line) {
                continue;
            }
            known.extend_from_slice(line.as_bytes());
            known.push(b'\n');
            new.push(collision);
            let reason = collision.recorded(&self.caller.in_words(), rule);
            match self.caller.attempt() {
                Some(attempt) => {
                    self.ask(|s| s.note_of_task(&attempt.task, EventKind::LockCollision, &reason)).await?;
                }
                None => self.ask(|s| s.note(EventKind::LockCollision, &reason)).await?,
            }
        }
        if !new.is_empty() && known.len() as u64 <= MOST {
            home::write_atomically(&path, &known).map_err(|e| home::unusable(&path, &e))?;
        }
        Ok(new)
    }
}

impl Collision {
    /// By which the same one is recognised.
    fn line(&self) -> String {
        let holder = self.lock.id.clone().or_else(|| self.lock.task.as_ref().map(ToString::to_string));
        format!("{} {}", self.file, holder.unwrap_or_default())
    }

    fn recorded(&self, who: &str, rule: CollisionRule) -> String {
        let what = if rule == CollisionRule::Deny { "was kept from editing" } else { "edits" };
        format!("{who} {what} {}, which {} has locked ({})", self.file, self.lock.holder(), self.lock.pattern)
    }

    /// `src/api.rs: t-7k2m9qx4hz (sonnet-1) has had the lock of src for 3m (the migration)`.
    fn sentence(&self, now: Timestamp) -> String {
        let Lock { pattern, since, reason, .. } = &self.lock;
        let why = reason.as_ref().map(|why| format!(" ({})", one_line(why, 100))).unwrap_or_default();
        let for_ = human(now.since(*since));
        format!("{}: {} has had the lock of {pattern} for {for_}{why}", self.file, self.lock.holder())
    }
}

fn listed<'a>(collisions: impl IntoIterator<Item = &'a Collision>, now: Timestamp) -> String {
    collisions.into_iter().map(|one| format!("- {}\n", one.sentence(now))).collect()
}

fn warning(new: &[&Collision], now: Timestamp) -> String {
    let what = "This edits what another one has locked, and is working on:\n";
    let then = "Your edits and its own can overwrite each other. Undo yours if your task can do without them for now; \
                lock_files locks the file for your task as soon as it is free.\n";
    format!("{what}{}{then}", listed(new.iter().copied(), now))
}

fn refusal(found: &[Collision], now: Timestamp) -> String {
    let is_persons = found.iter().any(|one| one.lock.holder == HolderKind::Person);
    let ends = if is_persons { "until a person releases it" } else { "until that task has ended" };
    let then = format!(
        "Work on something else first; lock_files locks the file for your task as soon as it is free. If there is nothing \
         else to do, say that it is locked {ends}, and end your turn. Do not write the file in another way.\n"
    );
    format!("{EDIT_REFUSED}, because another one has locked:\n{}{then}", listed(found, now))
}

/// A file's path below the root, with its links resolved as far as it exists; `None`: it is elsewhere.
fn below(root: &Path, file: &Path) -> Option<String> {
    let (mut known, mut rest) = (file.to_owned(), Vec::new());
    let mut real = loop {
        if let Ok(real) = known.canonicalize() {
            break real;
        }
        rest.push(known.file_name()?.to_owned());
        known.pop();
    };
    real.extend(rest.iter().rev());
    Some(real.strip_prefix(root).ok()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_below_the_root_by_its_real_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("src/api")).unwrap();
        std::os::unix::fs::symlink("src/api", root.join("link")).unwrap();
        let found = |file: &str| below(&root, &root.join(file));
        for (file, path) in [
            ("src/api/new.rs", "src/api/new.rs"),
            ("link/new/file.rs", "src/api/new/file.rs"),
            ("app/[id]/page.tsx", "app/[id]/page.tsx"),
        ] {
            assert_eq!(found(file).as_deref(), Some(path));
        }
        assert_eq!(found("/etc/passwd"), None);
        assert_eq!(found("missing/../.."), None);
    }
}
