//! Redis's clock, on which all decisions are based. Only in debug builds, a test can set it with the key
//! `clock_offset`, in ms.

use redis::{Cmd, Value};

use super::{Result, Store};
use crate::model::time::Timestamp;

/// What the transitions add to the clock that the prelude has read.
#[cfg(debug_assertions)]
pub(super) const ADDED: &str = "now = now + (redis.call('GET', P .. 'clock_offset') or 0)";
#[cfg(not(debug_assertions))]
pub(super) const ADDED: &str = "";

impl Store {
    /// Asks what time it is.
    #[cfg(not(debug_assertions))]
    pub(super) fn clock(&self) -> Cmd {
        redis::cmd("TIME")
    }

    /// Asks what time it is for the transitions.
    #[cfg(debug_assertions)]
    pub(super) fn clock(&self) -> Cmd {
        let time = "local t = redis.call('TIME') \
                    return {t[1] + math.floor((redis.call('GET', KEYS[1]) or 0) / 1000), t[2]}";
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(time).arg(1).arg(self.keys.plain("clock_offset"));
        cmd
    }

    /// The answer to it.
    pub(super) fn time(&self, answer: Option<Value>) -> Result<Timestamp> {
        let (s, us): (u64, u64) = self.read(answer.unwrap_or(Value::Nil))?;
        Ok(Timestamp(s * 1000 + us / 1000))
    }
}
