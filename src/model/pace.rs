//! How often something may start: `120/60s`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{duration, suggest::printable};

/// So many starts in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// How many.
    pub starts: u32,
    /// In how long.
    pub per: Duration,
}

/// More than any service allows: it is a mistake.
const MOST: u32 = 100_000;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Pace {
    /// Returns the time from one start to the next, if they are evenly apart.
    pub fn interval(&self) -> Duration {
        self.per / self.starts.max(1)
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        let shown = printable(text);
        let wrong = || format!("'{shown}' is not a rate: write how many, '/' and a time, such as \"120/60s\"");
        let (starts, per) = text.split_once('/').ok_or_else(wrong)?;
        let starts: u32 = starts.trim().parse().map_err(|_| wrong())?;
        let per = duration::parse(per.trim()).map_err(|_| wrong())?;
        if !(1..=MOST).contains(&starts) {
            return Err(format!("'{shown}' is not a rate: there are from 1 to {MOST} starts in it"));
        }
        if !(Duration::from_secs(1)..=LONGEST).contains(&per) {
            return Err(format!("'{shown}' is not a rate: its time is from 1s to 24h"));
        }
        Ok(Pace { starts, per })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.starts, self.per.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let pace: Pace = "120/60s".parse().unwrap();
        assert_eq!(
            (pace.starts, pace.per, pace.interval()),
            (120, Duration::from_secs(60), Duration::from_millis(500))
        );
        assert_eq!("10 / 1m".parse::<Pace>().map(|pace| pace.to_string()), Ok("10/60s".into()));
        for bad in ["", "120", "/60s", "0/60s", "-1/60s", "1.5/1s", "120/60", "1/0s", "1/25h", "9999999/1s", "a/b"] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }
}
