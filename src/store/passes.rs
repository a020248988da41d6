//! The durations of the supervisor's passes, as it has measured them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Result, Store};

/// What the supervisor's passes have taken since `orch start`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passes {
    /// The last one.
    pub last_ms: u64,
    /// The longest one.
    pub max_ms: u64,
    /// For how long at most one was held up by something else than Redis: the disk, tmux, a scan of processes.
    pub max_held_up_ms: u64,
    /// For how long at most the supervisor had no processor, from the end of one pass to the end of the next.
    #[serde(default)]
    pub max_starved_ms: u64,
}

impl Store {
    /// Records what passes have taken.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note_passes(&self, passes: &Passes) -> Result<()> {
        let mut set = redis::cmd("HSET");
        set.arg(self.keys.plain("passes")).arg("last_ms").arg(passes.last_ms).arg("max_ms").arg(passes.max_ms);
        set.arg("max_held_up_ms").arg(passes.max_held_up_ms).arg("max_starved_ms").arg(passes.max_starved_ms);
        self.query(&set).await
    }

    /// What they have taken; zeros where nothing was recorded.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn passes(&self) -> Result<Passes> {
        let fields: HashMap<String, String> = self.query(redis::cmd("HGETALL").arg(self.keys.plain("passes"))).await?;
        let of = |name: &str| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        Ok(Passes {
            last_ms: of("last_ms"),
            max_ms: of("max_ms"),
            max_held_up_ms: of("max_held_up_ms"),
            max_starved_ms: of("max_starved_ms"),
        })
    }
}
