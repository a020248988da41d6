//! The typed calls about the windows of accounts.

use std::collections::{BTreeSet, HashMap};

use redis::Value;
use serde::{Deserialize, Serialize};

use super::{Result, Store, script, values::to_json};
use crate::model::{
    time::Timestamp,
    window::{AccountWindow, Window},
};

/// A window as `windows:<account>` has it. Lua's numbers are floating point.
#[derive(Serialize, Deserialize)]
struct Stored {
    used: Option<f64>,
    #[serde(default)]
    is_full: bool,
    resets_at: Option<f64>,
    #[serde(default)]
    seen_at: f64,
}

impl Store {
    /// Records what a program has reported of the windows of its role's account (`lua/role/record_windows.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn record_windows(&self, role: &str, windows: &[Window]) -> Result<()> {
        let mut args = vec![role.to_owned()];
        for Window { name, used, is_full, resets_at } in windows {
            let resets_at = resets_at.map(|at| at.0 as f64);
            let stored = Stored { used: *used, is_full: *is_full, resets_at, seen_at: 0.0 };
            args.extend([name.clone(), to_json(&stored)?]);
        }
        self.call(&script::RECORD_WINDOWS, args).await.map(drop)
    }

    /// The windows of all accounts that have not ended, by account and name.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn windows(&self) -> Result<Vec<AccountWindow>> {
        let now = self.time(Some(self.query(&self.clock()).await?))?;
        let budgets: HashMap<String, String> =
            self.query(redis::cmd("HGETALL").arg(self.keys.plain("budgets"))).await?;
        let of_roles = budgets.into_iter().filter(|(field, _)| field.starts_with("account:"));
        let accounts: BTreeSet<String> = of_roles.map(|(_, account)| account).collect();
        let mut pipe = redis::pipe();
        for account in &accounts {
            pipe.cmd("HGETALL").arg(self.keys.of("windows", account));
        }
        let mut found = Vec::new();
        if accounts.is_empty() {
            return Ok(found);
        }
        for (account, value) in accounts.into_iter().zip(self.pipeline(&pipe).await?) {
            let fields: HashMap<String, String> = self.read(value).or_else(|_| self.read(Value::Array(Vec::new())))?;
            for (name, text) in fields {
                let Ok(Stored { used, is_full, resets_at, seen_at }) = serde_json::from_str(&text) else { continue };
                let resets_at = resets_at.map(|ms| Timestamp(ms as u64));
                if resets_at.is_none_or(|at| at > now) {
                    let window = Window { name, used, is_full, resets_at };
                    found.push(AccountWindow { account: account.clone(), seen_at: Timestamp(seen_at as u64), window });
                }
            }
        }
        found.sort_by(|a, b| (&a.account, &a.window.name).cmp(&(&b.account, &b.window.name)));
        Ok(found)
    }
}
