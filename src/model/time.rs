//! Points in time: milliseconds since 1970, UTC; RFC 3339 with milliseconds wherever a person or a program reads them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch. Decisions in Redis use Redis's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns this machine's time, for what only people read.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as u64)
    }
    /// Returns the time since `earlier`; zero if this is not later.
    pub fn since(self, earlier: Timestamp) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
    /// Returns `21:04:07` in UTC, for lists that people read.
    pub fn clock(self) -> String {
        self.to_string().get(11..19).unwrap_or("").to_owned()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.min(i64::MAX as u64) as i64) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "(out of range: {} ms)", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let t: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Timestamp(t.as_millisecond().max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_with_milliseconds() {
        let t = Timestamp(1_732_088_544_120);
        assert_eq!(t.to_string(), "2024-11-20T07:42:24.120Z");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2024-11-20T07:42:24.120Z\"").unwrap(), t);
        assert_eq!(t.clock(), "07:42:24");
    }
}
