//! Clock times: `8:22am (UTC)`, `Nov 30, 5 PM`, `Jul 5th, 2026 8:19 PM`, `2026-11-30T05:00:00Z`, `tomorrow at 9am`.

use std::time::Duration;

use jiff::{
    ToSpan, Zoned,
    civil::{self, Weekday},
    tz::{Offset, TimeZone},
};

use super::LONGEST;
use crate::{drivers::common::event::When, model::time::Timestamp};

/// A time that lies this little in the past is not that of tomorrow: the limit has just ended, or clocks differ.
const JUST_PAST: Duration = Duration::from_secs(15 * 60);
/// Words between an anchor and its time that are skipped.
const SKIPPED: usize = 4;

/// A time as a clock shows it, with as much of its date and zone as was said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    day: Day,
    hour: i8,
    minute: i8,
    second: i8,
    zone: Zone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Day {
    /// The next time that a clock shows this.
    Next,
    Tomorrow,
    Weekday(Weekday),
    /// Without a year: the next such day.
    Date(Option<i16>, i8, i8),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Zone {
    /// That of this machine.
    Local,
    Fixed(Offset),
    Named(Name),
}

/// The name of a zone, which is short.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Name {
    bytes: [u8; Name::LONGEST],
    len: u8,
}

impl Name {
    const LONGEST: usize = 40;

    const fn new(name: &str) -> Option<Name> {
        if name.len() > Name::LONGEST {
            return None;
        }
        let (mut bytes, mut i) = ([0; Name::LONGEST], 0);
        while i < name.len() {
            bytes[i] = name.as_bytes()[i];
            i += 1;
        }
        Some(Name { bytes, len: name.len() as u8 })
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl Clock {
    /// Midnight where Google counts the requests of a day.
    pub(super) const MIDNIGHT_PACIFIC: Clock = Clock { day: Day::Next, hour: 0, minute: 0, second: 0, zone: PACIFIC };

    /// Returns the time from `now` until then, on a machine in the zone `local`. `None`: too far away to be meant.
    pub(in crate::drivers::common) fn left(self, now: Timestamp, local: &TimeZone) -> Option<Duration> {
        let zone = match self.zone {
            Zone::Local => local.clone(),
            Zone::Fixed(offset) => offset.to_time_zone(),
            // Without a database of zones, Pacific time is off by an hour in summer.
            Zone::Named(name) => TimeZone::get(name.as_str())
                .ok()
                .or_else(|| (self.zone == PACIFIC).then(|| Offset::constant(-8).to_time_zone()))?,
        };
        let now_here = jiff::Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?.to_zoned(zone.clone());
        let at = |date: civil::Date| -> Option<Zoned> {
            date.at(self.hour, self.minute, self.second, 0).to_zoned(zone.clone()).ok()
        };
        // Negative where it is past.
        let ahead = |time: &Zoned| time.timestamp().as_millisecond() - now_here.timestamp().as_millisecond();
        let is_past = |time: &Zoned| ahead(time) < -(JUST_PAST.as_millis() as i64);
        let today = now_here.date();
        let then = match self.day {
            Day::Next => Some(at(today)?).filter(|time| !is_past(time)).or_else(|| at(today.tomorrow().ok()?)),
            Day::Tomorrow => at(today.tomorrow().ok()?),
            Day::Weekday(day) if today.weekday() == day => {
                Some(at(today)?).filter(|time| !is_past(time)).or_else(|| at(today.checked_add(7.days()).ok()?))
            }
            Day::Weekday(day) => at(today.nth_weekday(1, day).ok()?),
            Day::Date(Some(year), month, day) => at(civil::Date::new(year, month, day).ok()?),
            Day::Date(None, month, day) => {
                let of = |year| at(civil::Date::new(year, month, day).ok()?);
                // At the end of a year, its day is in the next one.
                let month = LONGEST.as_millis() as i64;
                let next = || of(today.year() + 1).filter(|time| ahead(time) <= month);
                let this = of(today.year()).filter(|time| ahead(time) >= -month);
                this.clone().filter(|time| !is_past(time)).or_else(next).or(this)
            }
        };
        let ahead = Duration::from_millis(ahead(&then?).max(0) as u64);
        (ahead <= LONGEST).then_some(ahead)
    }
}

const PACIFIC: Zone = match Name::new("America/Los_Angeles") {
    Some(name) => Zone::Named(name),
    None => Zone::Local,
};

/// Reads a point in time with its date and zone as programs write it: RFC 3339, HTTP.
pub(super) fn instant(text: &str) -> Option<When> {
    let end = text.find(['"', ',', '}', ')', '|']).unwrap_or(text.len());
    let (rfc3339, http) = (text[..end].trim(), text.split(['"', '}', '|']).next()?.trim());
    if rfc3339.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(at) = rfc3339.to_uppercase().parse::<jiff::Timestamp>()
    {
        return Some(When::At(Timestamp(u64::try_from(at.as_millisecond()).ok()?)));
    }
    // `sat, 29 nov 2026 17:00:00 gmt`
    let dated = http.split_once(", ").filter(|(day, _)| weekday(day).is_some())?.1;
    read(dated).filter(|when| matches!(when, When::Clock(Clock { day: Day::Date(Some(_), ..), .. })))
}

/// Reads a clock time after an anchor, in lower case.
pub(super) fn read(text: &str) -> Option<When> {
    let mut said = Said::default();
    let mut skipped = 0;
    for word in text.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()) {
        if let Some(at) = instant(word).filter(|_| said == Said::default()) {
            return Some(at);
        }
        // A sentence ends here.
        let is_last = word.ends_with(['.', '!', '?']) && !word.ends_with("a.m.") && !word.ends_with("p.m.");
        if !said.take(word.trim_matches(['.', ';', '·', '∙', '"', '!', '?'])) {
            if said != Said::default() {
                break;
            }
            skipped += 1;
            if skipped > SKIPPED {
                return None;
            }
        }
        if is_last && !is_month(word) {
            break;
        }
    }
    said.clock().map(When::Clock)
}

/// The parts of a time, in whatever order they stand.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// A number that may be an hour or a day, by what follows.
    number: Option<i8>,
    time: Option<(i8, i8, i8)>,
    /// Whether the hour is one of 24.
    is_whole: bool,
    month: Option<i8>,
    day: Option<i8>,
    year: Option<i16>,
    weekday: Option<Weekday>,
    is_tomorrow: bool,
    zone: Option<Zone>,
    is_wrong: bool,
}

impl Said {
    /// Takes a word. Whether it belongs to a time.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "at" | "on" | "by" | "after" | "and" | "the" | "de" | "of" | "" | "-" | "time" | "today" => return true,
            "tomorrow" => {
                self.is_tomorrow = true;
                return true;
            }
            "midnight" | "noon" => {
                self.time = Some((if word == "noon" { 12 } else { 0 }, 0, 0));
                self.is_whole = true;
                return true;
            }
            "am" | "a.m" | "pm" | "p.m" => {
                let number = self.number.take().map(|hour| (hour, 0, 0));
                self.time = self.time.or(number);
                return self.half(word.starts_with('p'));
            }
            _ => {}
        }
        if let Some(zone) = zone(word) {
            self.zone = Some(zone);
            return true;
        }
        if let Some(month) = month(word) {
            self.month = Some(month);
            self.day = self.day.or(self.number.take());
            return true;
        }
        if let Some(day) = weekday(word) {
            self.weekday = Some(day);
            return true;
        }
        self.number(word)
    }

    fn number(&mut self, word: &str) -> bool {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = word.split_at(digits);
        let Ok(value) = number.parse::<i16>() else { return self.date(word) };
        let small = i8::try_from(value).ok();
        match rest {
            "" if digits == 4 => self.year = Some(value),
            "" | "st" | "nd" | "rd" | "th" if self.month.is_some() && self.day.is_none() => self.day = small,
            "" | "st" | "nd" | "rd" | "th" => self.number = small,
            "am" | "pm" => {
                self.time = small.map(|hour| (hour, 0, 0));
                return self.half(rest == "pm");
            }
            _ if rest.starts_with(':') => return self.clock_time(word),
            _ => return self.date(word),
        }
        true
    }

    /// Reads `2026-11-30`.
    fn date(&mut self, word: &str) -> bool {
        let Ok(date) = word.parse::<civil::Date>() else { return false };
        (self.year, self.month, self.day) = (Some(date.year()), Some(date.month()), Some(date.day()));
        true
    }

    /// Reads `8:22`, `17:00:00`, `8:22am`.
    fn clock_time(&mut self, word: &str) -> bool {
        let (bare, half) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
            (Some(bare), _) => (bare, Some(false)),
            (_, Some(bare)) => (bare, Some(true)),
            _ => (word.strip_suffix('z').unwrap_or(word), None),
        };
        if bare.len() < word.len() && half.is_none() {
            self.zone = Some(Zone::Fixed(Offset::UTC));
        }
        let parts: Option<Vec<i8>> = bare.split(':').map(|part| part.parse().ok()).collect();
        self.time = match parts.as_deref() {
            Some([hour, minute]) => Some((*hour, *minute, 0)),
            Some([hour, minute, second]) => Some((*hour, *minute, *second)),
            _ => return false,
        };
        self.is_whole = true;
        half.is_none_or(|is_afternoon| self.half(is_afternoon))
    }

    /// The time is one of 12 hours.
    fn half(&mut self, is_afternoon: bool) -> bool {
        let Some((hour, minute, second)) = self.time else { return false };
        self.is_wrong |= !(1..=12).contains(&hour);
        self.time = Some((hour % 12 + if is_afternoon { 12 } else { 0 }, minute, second));
        self.is_whole = true;
        true
    }

    fn clock(self) -> Option<Clock> {
        let day = match (self.month, self.day.or(self.number)) {
            (Some(month), Some(day)) => {
                // Any leap year, where none was said.
                civil::Date::new(self.year.unwrap_or(2024), month, day).ok()?;
                Day::Date(self.year, month, day)
            }
            _ if self.is_tomorrow => Day::Tomorrow,
            _ => self.weekday.map_or(Day::Next, Day::Weekday),
        };
        let (hour, minute, second) = match self.time {
            Some(time) if self.is_whole => time,
            // A day alone begins at its midnight.
            None if day != Day::Next => (0, 0, 0),
            _ => return None,
        };
        if self.is_wrong || civil::Time::new(hour, minute, second, 0).is_err() {
            return None;
        }
        Some(Clock { day, hour, minute, second, zone: self.zone.unwrap_or(Zone::Local) })
    }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Three letters or the whole name, with or without a dot.
fn month(word: &str) -> Option<i8> {
    let word = word.trim_end_matches('.');
    let is = |name: &str| word == name || word == "sept" && name == "september" || word == &name[..3];
    MONTHS.iter().position(|name| is(name)).and_then(|at| i8::try_from(at + 1).ok())
}

fn is_month(word: &str) -> bool {
    month(word).is_some()
}

fn weekday(word: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    DAYS.iter().find(|(name, _)| word == *name || word == &name[..3]).map(|(_, day)| *day)
}

/// Reads `(europe/berlin)`, `utc`, `utc+2`, `pst`. Names that several zones share are those of North America and Europe.
fn zone(word: &str) -> Option<Zone> {
    let word = word.trim_matches(['(', ')']);
    let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains([':', '.', '<']);
    if is_name && word.contains('/') {
        // An unknown zone makes the time one of nowhere.
        return Name::new(word).map(Zone::Named);
    }
    let hours = match word {
        "utc" | "gmt" | "z" => 0,
        "pt" | "pacific" => return Some(PACIFIC),
        "et" | "eastern" => return Name::new("America/New_York").map(Zone::Named),
        "pst" => -8,
        "pdt" | "mst" => -7,
        "mdt" | "cst" => -6,
        "cdt" | "est" => -5,
        "edt" => -4,
        "bst" | "cet" => 1,
        "cest" => 2,
        _ => {
            let rest = word.strip_prefix("utc").or_else(|| word.strip_prefix("gmt")).unwrap_or(word);
            return rest.starts_with(['+', '-']).then(|| offset(rest)).flatten();
        }
    };
    Some(Zone::Fixed(Offset::constant(hours)))
}

/// Reads `+2`, `-08:00`, `+0530`.
fn offset(text: &str) -> Option<Zone> {
    let (sign, rest) = (if text.starts_with('-') { -1 } else { 1 }, &text[1..]);
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 && rest.is_ascii() => rest.split_at(2),
        None => (rest, "0"),
    };
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok().map(Zone::Fixed)
}
