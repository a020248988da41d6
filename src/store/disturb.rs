//! The faults that `orch drill` injects into its own Redis. No other code calls this.

use super::{Result, Store};

/// A fault that Redis itself can be asked for. None of them may lose anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Forgets every script (SCRIPT FLUSH): callers know them by their hash.
    ForgetScripts,
    /// Ends every connection but the one that asks (CLIENT KILL).
    EndConnections,
    /// Answers no client for this many milliseconds (CLIENT PAUSE).
    Pause(u64),
}

/// How large the Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Keys, of whatever namespace.
    pub keys: u64,
    /// Memory of all data, in bytes.
    pub used_bytes: u64,
    /// Memory of the event stream, which grows up to its bound, in bytes.
    pub events_bytes: u64,
}

impl Store {
    /// Injects a fault into Redis. Only for a Redis that no other program uses.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn disturb(&self, what: Disturbance) -> Result<()> {
        let mut cmd = redis::Cmd::new();
        match what {
            Disturbance::ForgetScripts => cmd.arg("SCRIPT").arg("FLUSH"),
            Disturbance::EndConnections => cmd.arg("CLIENT").arg("KILL").arg("TYPE").arg("normal"),
            Disturbance::Pause(ms) => cmd.arg("CLIENT").arg("PAUSE").arg(ms).arg("ALL"),
        };
        let _: redis::Value = self.query(&cmd).await?;
        Ok(())
    }

    /// How large the Redis is.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn sizes(&self) -> Result<Sizes> {
        let keys: u64 = self.query(&redis::cmd("DBSIZE")).await?;
        let info: String = self.query(redis::cmd("INFO").arg("memory")).await?;
        let events = self.keys.plain("events");
        let events: Option<u64> = self.query(redis::cmd("MEMORY").arg("USAGE").arg(events)).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        Ok(Sizes { keys, used_bytes: used.unwrap_or(0), events_bytes: events.unwrap_or(0) })
    }
}
