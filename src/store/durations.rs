//! How long earlier tasks have taken.

use redis::Value;

use super::{Result, Store};
use crate::model::{task::TaskState, time::Timestamp};

/// How long a task's last attempt took that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    /// Its role.
    pub role: String,
    /// Its key in its plan.
    pub key: Option<String>,
    /// How long, in milliseconds.
    pub ms: u64,
}

impl Store {
    /// The durations of up to this many tasks that succeeded last.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn durations(&self, at_most: usize) -> Result<Vec<Took>> {
        let ids = self.newest_ended(TaskState::Succeeded, at_most).await?;
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("HMGET").arg(self.keys.of("task", id)).arg(&["role", "plan_key"]);
            pipe.cmd("LINDEX").arg(self.keys.of("attempts", id)).arg(-1);
        }
        let mut values = self.pipeline_each(&pipe).await?.into_iter();
        let mut took = Vec::with_capacity(ids.len());
        while let (Some(record), Some(attempt)) = (values.next(), values.next()) {
            let (role, key): (Option<String>, Option<String>) =
                self.read(record.unwrap_or(Value::Nil)).unwrap_or_default();
            let attempt: Option<String> = self.read(attempt.unwrap_or(Value::Nil)).unwrap_or_default();
            let attempt: serde_json::Value = serde_json::from_str(&attempt.unwrap_or_default()).unwrap_or_default();
            let time = |name: &str| attempt[name].as_f64().map(|ms| Timestamp(ms as u64));
            if let (Some(role), Some(start), Some(end)) = (role, time("started_at"), time("ended_at")) {
                took.push(Took { role, key, ms: u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX) });
            }
        }
        Ok(took)
    }

    async fn newest_ended(&self, state: TaskState, at_most: usize) -> Result<Vec<String>> {
        let last = at_most.saturating_sub(1);
        self.query(redis::cmd("ZREVRANGE").arg(self.keys.of("state", state.as_str())).arg(0).arg(last)).await
    }
}
