//! `lock_files`, `unlock_files` and `list_locks`.

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Kind,
    mcp::{
        Server,
        args::{self, Parameters, plain},
        reply::{Answer, reply},
    },
    model::lock::{Lock, LockMode, Pattern},
    ops::LockRequest,
    view::{View, locks},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct LockFiles {
    /// Patterns of paths from the repository's top folder, such as src/api/** or docs/*.md. All are locked, or none.
    patterns: Vec<String>,
    /// Only read them: others may read as well, and nobody writes.
    #[serde(default, deserialize_with = "args::or_default")]
    read: bool,
    /// What for, in one line.
    reason: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct FilesLocked {
    /// Whether all are locked. If not, none is.
    locked: bool,
    /// What is in the way, if not.
    why: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct UnlockFiles {
    /// Patterns as they were locked. Left out: all locks of your task.
    #[serde(default, deserialize_with = "args::or_default")]
    patterns: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct FilesUnlocked {
    /// What was released.
    patterns: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct LockList {
    locks: Vec<OneLock>,
    /// How many ready tasks wait for one.
    waiting: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
struct OneLock {
    pattern: String,
    /// 'write' or 'read'.
    mode: &'static str,
    holder: String,
    reason: Option<String>,
}

#[tool_router(router = lock_tools, vis = "pub(super)")]
impl Server {
    /// Locks paths that you are about to edit and that your task did not declare, so that no other task edits them at the same
    /// time. It returns immediately: if 'locked' is false, work on something else and try again. The locks end with your task.
    #[tool(
        output_schema = args::output::<FilesLocked>(),
        annotations(title = "Lock files", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn lock_files(&self, Parameters(asked): Parameters<LockFiles>) -> Answer<FilesLocked> {
        let mode = if asked.read { LockMode::Read } else { LockMode::Write };
        let request = LockRequest { patterns: asked.patterns, mode, reason: asked.reason, ttl: None };
        match self.ops().await?.lock(request).await {
            Ok(locked) => reply(locks::locked(&locked).trim_end(), FilesLocked { locked: true, why: None }),
            Err(e) if e.kind == Kind::Conflict => {
                reply(e.message.clone(), FilesLocked { locked: false, why: Some(e.message) })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Releases locks of your task before it ends, so that others can go on.
    #[tool(
        output_schema = args::output::<FilesUnlocked>(),
        annotations(title = "Unlock files", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn unlock_files(&self, Parameters(asked): Parameters<UnlockFiles>) -> Answer<FilesUnlocked> {
        let unlocked = self.ops().await?.unlock(asked.patterns).await?;
        let words = locks::unlocked(&unlocked);
        let patterns = unlocked.patterns.iter().map(Pattern::to_string).collect();
        reply(words.trim_end(), FilesUnlocked { patterns })
    }

    /// Lists what is locked, by which task or person, and why.
    #[tool(
        output_schema = args::output::<LockList>(),
        annotations(title = "List locks", read_only_hint = true, destructive_hint = false, open_world_hint = false)
    )]
    async fn list_locks(&self) -> Answer<LockList> {
        let found = self.ops().await?.locks().await?;
        let one = |lock: &Lock| OneLock {
            pattern: lock.pattern.to_string(),
            mode: lock.mode.as_str(),
            holder: lock.holder(),
            reason: lock.reason.clone(),
        };
        let words = locks::list(&found, &View::plain());
        reply(words.trim_end(), LockList { locks: found.locks.iter().map(one).collect(), waiting: found.waiting_count })
    }
}
