//! Points in time: milliseconds since 1970, UTC; RFC 3339 with milliseconds wherever a person or a program reads them.

use std::sync::LazyLock;

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
    /// Returns `21:04:07`, for lists that people read; with the date where it is not today's, and with the offset where that is
    /// not today's either. `now` is today.
    pub fn clock(self, zone: Zone, now: Timestamp) -> String {
        let (Some(at), Some(now)) = (self.zoned(zone), now.zoned(zone)) else { return self.to_string() };
        let date = match (at.date() == now.date(), at.year() == now.year()) {
            (true, _) => String::new(),
            (false, true) => at.strftime("%m-%d ").to_string(),
            (false, false) => at.strftime("%Y-%m-%d ").to_string(),
        };
        let offset = if at.offset() == now.offset() { String::new() } else { at.strftime("%:z").to_string() };
        format!("{date}{}{offset}", at.strftime("%H:%M:%S"))
    }
    /// Returns `2026-11-29 21:04:07+01:00`, for pages that people read.
    pub fn in_full(self, zone: Zone) -> String {
        match self.zoned(zone) {
            Some(at) if zone == Zone::Utc => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            Some(at) => at.strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
            None => self.to_string(),
        }
    }
    fn zoned(self, zone: Zone) -> Option<jiff::Zoned> {
        static LOCAL: LazyLock<jiff::tz::TimeZone> = LazyLock::new(jiff::tz::TimeZone::system);
        let at = jiff::Timestamp::from_millisecond(i64::try_from(self.0).ok()?).ok()?;
        Some(at.to_zoned(match zone {
            Zone::Local => LOCAL.clone(),
            Zone::Utc => jiff::tz::TimeZone::UTC,
        }))
    }
}

/// Returns a sentence in which every time that is written as for a program, such as `2026-11-29T21:04:07.120Z`, is written as
/// in a list ([`Timestamp::clock`]).
pub fn with_clocks(sentence: &str, zone: Zone, now: Timestamp) -> String {
    /// Bytes of such a time.
    const WRITTEN: usize = 24;
    let of_word = |word: &str| {
        let begins = word.find(|c: char| c.is_ascii_digit())?;
        let (before, rest) = word.split_at(begins);
        let (time, after) = rest.split_at_checked(WRITTEN)?;
        let is_alone = !after.starts_with(|c: char| c.is_ascii_alphanumeric());
        let at: jiff::Timestamp = time.ends_with('Z').then(|| time.parse().ok())??;
        let at = Timestamp(u64::try_from(at.as_millisecond()).ok()?);
        is_alone.then(|| format!("{before}{}{after}", at.clock(zone, now)))
    };
    sentence.split_inclusive(' ').map(|word| of_word(word).unwrap_or_else(|| word.to_owned())).collect()
}

/// The time zone in which people read times. Programs read UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zone {
    /// This machine's, or that of `TZ`.
    #[default]
    Local,
    /// UTC.
    Utc,
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
    }

    #[test]
    fn times_in_a_sentence_are_written_as_people_read_them() {
        let now = Timestamp(1_732_088_544_120);
        let read = |sentence: &str| with_clocks(sentence, Zone::Utc, now);
        assert_eq!(read("until 2024-11-20T09:00:00.000Z: no tokens"), "until 09:00:00: no tokens");
        assert_eq!(read("(2024-11-21T09:00:00.000Z), that is"), "(11-21 09:00:00), that is");
        for other in
            ["", "2024-11-20T09:00:00.000", "t-7k2m9qx4hz é 2024-11-20T09:00:00.000Zx", "2024-99-20T09:00:00.000Z"]
        {
            assert_eq!(read(other), other);
        }
    }

    #[test]
    fn a_date_is_shown_where_it_is_not_todays() {
        let t = Timestamp(1_732_088_544_120);
        let later = |hours: u64| Timestamp(t.0 + hours * 3_600_000);
        assert_eq!(t.clock(Zone::Utc, later(1)), "07:42:24");
        assert_eq!(t.clock(Zone::Utc, later(20)), "11-20 07:42:24");
        assert_eq!(t.clock(Zone::Utc, later(24 * 60)), "2024-11-20 07:42:24");
        assert_eq!(t.in_full(Zone::Utc), "2024-11-20 07:42:24Z");
    }
}
