//! How the attempts of each role have ended, by which tasks are routed (`lua/prelude/records.lua`).

use redis::Value;

use super::{Result, Store};
use crate::model::routing::Record;

/// What is known of a role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// How its attempts ended.
    pub record: Record,
    /// Why it can start nothing, as the supervisor has found.
    pub unavailable: Option<String>,
}

impl Store {
    /// What is known of each of these roles, in their order.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn records(&self, roles: &[&str]) -> Result<Vec<Known>> {
        let mut pipe = redis::pipe();
        let fields = ["tries", "successes", "micro_usd", "priced"];
        for role in roles {
            pipe.cmd("HMGET").arg(self.keys.of("record", role)).arg(&fields);
            pipe.cmd("HGET").arg(self.keys.plain("budgets")).arg(format!("unavailable:{role}"));
        }
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let mut known = Vec::with_capacity(roles.len());
        for _ in roles {
            let counts: Vec<Option<u64>> = self.read(next())?;
            let unavailable: Option<String> = self.read(next())?;
            let count = |at: usize| counts.get(at).copied().flatten().unwrap_or(0);
            let cost_usd = (count(3) > 0).then(|| count(2) as f64 / 1e6 / count(3) as f64);
            let record = Record { tries: count(0), successes: count(1).min(count(0)), cost_usd };
            known.push(Known { record, unavailable: unavailable.filter(|why| !why.is_empty()) });
        }
        Ok(known)
    }
}
