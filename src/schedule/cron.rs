//! A cron line in a time zone: when it occurs.

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::model::{
    suggest::{nearest, printable},
    time::Timestamp,
};

/// A cron line of five fields in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
}

impl Cron {
    /// Reads a line such as `0 3 * * 1-5`, or a word such as `@daily`.
    ///
    /// # Errors
    /// What is wrong with the line, as the end of a sentence that begins with it.
    pub fn parse(line: &str, zone: TimeZone) -> Result<Cron, String> {
        let line = line.trim();
        let shown = printable(line);
        let fields = line.split_whitespace().count();
        if !line.starts_with('@') && fields != 5 {
            return Err(format!(
                "'{shown}' has {fields} fields; a cron line has five: minute, hour, day of the month, month, day of the week"
            ));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(line).map_err(|_| match line.strip_prefix('@') {
            Some(_) => {
                let near = nearest(line, WORDS.iter().copied());
                let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                format!("'{shown}' is not one of {}{meant}", WORDS.join(", "))
            }
            None => {
                let wrong = line.split_whitespace().enumerate().find_map(|(at, field)| wrong_field(&parser, at, field));
                format!(
                    "'{shown}' is no cron line: {}",
                    wrong.unwrap_or_else(|| "its fields do not fit together".into())
                )
            }
        })?;
        Ok(Cron { pattern, zone })
    }

    /// Returns the first occurrence after a moment; `None` if there is none. Croner's rules, which are those of Vixie cron,
    /// decide where a change of the clocks skips or repeats an hour: a line with a fixed hour and minute occurs once, after
    /// a skipped hour at its end; a line with `*` or a step follows the clock.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let second = jiff::Timestamp::from_second(i64::try_from(after.0 / 1000).ok()?).ok()?;
        let next = self.pattern.find_next_occurrence(&second.to_zoned(self.zone.clone()), false).ok()?;
        let next = Timestamp(u64::try_from(next.timestamp().as_millisecond()).ok()?);
        (next > after).then_some(next)
    }

    /// Returns a moment as the clocks of the zone show it: `2026-03-29 03:00 +02:00`.
    #[must_use]
    pub fn clock(&self, at: Timestamp) -> String {
        let moment = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        moment.map_or_else(
            || at.to_string(),
            |moment| moment.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string(),
        )
    }
}

/// The words that stand for a line.
const WORDS: &[&str] = &["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/// A field of a cron line: its name, its values, and the words that stand for values.
type Field = (&'static str, &'static str, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    ("minute", "0 to 59", &[]),
    ("hour", "0 to 23", &[]),
    ("day of the month", "1 to 31, or L for the last", &[]),
    (
        "month",
        "1 to 12, or JAN to DEC",
        &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ),
    ("day of the week", "0 to 7, or SUN to SAT", &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// What is wrong with one field of a line, read without the others; `None` where nothing is.
fn wrong_field(parser: &CronParser, at: usize, field: &str) -> Option<String> {
    let (name, values, words) = FIELDS.get(at)?;
    let mut alone = ["*"; FIELDS.len()];
    alone[at] = field;
    if parser.parse(&alone.join(" ")).is_ok() {
        return None;
    }
    let near = field.split([',', '-', '/']).find_map(|word| {
        let word = word.to_ascii_uppercase();
        nearest(&word, words.iter().copied()).filter(|near| *near != word)
    });
    let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let field = printable(field);
    Some(format!(
        "'{field}' is no {name}: that is {values}, also as a list (1,3), a range (1-5) or a step (*/2){meant}"
    ))
}

/// Returns the time zone of a name such as `Europe/Berlin`; without one, that of the machine.
///
/// # Errors
/// The system does not know it.
pub fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| {
            format!(
                "'{}' is no time zone of this system; write one such as \"Europe/Berlin\" or \"UTC\"",
                printable(name)
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(line: &str, name: &str) -> Cron {
        Cron::parse(line, zone(Some(name)).unwrap()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        serde_json::from_str(&format!("\"{text}\"")).unwrap()
    }

    /// The occurrences after one moment, up to another, on the clocks of the zone.
    fn between(cron: &Cron, from: &str, until: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut last = at(from);
        while let Some(next) = cron.next(last).filter(|next| *next <= at(until)) {
            all.push(cron.clock(next));
            last = next;
        }
        all
    }

    #[test]
    fn a_wrong_line_names_the_field_and_what_was_meant() {
        for (line, said) in [
            ("61 * * * *", "'61' is no minute: that is 0 to 59"),
            ("0 25 * * *", "'25' is no hour: that is 0 to 23"),
            ("0 3 * * MNO", "'MNO' is no day of the week: that is 0 to 7, or SUN to SAT"),
            ("0 3 * * MNO", "did you mean MON?"),
            ("0 3 * JNA-MAR *", "did you mean JAN?"),
            ("0 3 32 * *", "'32' is no day of the month"),
            ("*/0 3 * * *", "'*/0' is no minute"),
            ("x 3 * * *", "'x' is no minute"),
            ("@dialy", "did you mean @daily?"),
            ("0 3 * *", "has 4 fields"),
        ] {
            let wrong = Cron::parse(line, TimeZone::UTC).unwrap_err();
            assert!(wrong.contains(said), "{line}: {wrong}");
        }
    }

    #[test]
    fn an_hour_that_the_clocks_skip_moves_a_fixed_time_to_its_end() {
        let day = |line| between(&cron(line, "Europe/Berlin"), "2026-03-28T22:59:59Z", "2026-03-29T21:59:59Z");
        assert_eq!(day("30 2 * * *"), ["2026-03-29 03:00 +02:00"]);
        assert_eq!(day("30 3 * * *"), ["2026-03-29 03:30 +02:00"]);
        let hourly = day("30 * * * *");
        assert_eq!(hourly.len(), 23, "the day has so many hours: {hourly:?}");
        assert_eq!(&hourly[1..3], ["2026-03-29 01:30 +01:00", "2026-03-29 03:30 +02:00"]);
    }

    #[test]
    fn an_hour_that_the_clocks_repeat_has_a_fixed_time_once() {
        let day = |line| between(&cron(line, "Europe/Berlin"), "2026-10-24T21:59:59Z", "2026-10-25T22:59:59Z");
        assert_eq!(day("30 2 * * *"), ["2026-10-25 02:30 +02:00"]);
        let hourly = day("30 * * * *");
        assert_eq!(hourly.len(), 25, "the day has so many hours: {hourly:?}");
        assert_eq!(&hourly[2..4], ["2026-10-25 02:30 +02:00", "2026-10-25 02:30 +01:00"]);
    }

    #[test]
    fn both_changes_of_other_zones_and_of_none() {
        let new_york = cron("30 2 * * *", "America/New_York");
        assert_eq!(between(&new_york, "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z"), ["2026-03-08 03:00 -04:00"]);
        let lord_howe = cron("15 2 * * *", "Australia/Lord_Howe");
        assert_eq!(
            between(&lord_howe, "2026-10-03T13:30:00Z", "2026-10-04T12:59:59Z").len(),
            1,
            "it skips half an hour"
        );
        let utc = cron("30 2 * * *", "UTC");
        assert_eq!(between(&utc, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z").len(), 31);
    }

    #[test]
    fn a_moment_between_two_seconds_does_not_repeat_or_lose_an_occurrence() {
        let cron = cron("0 * * * *", "UTC");
        let hour = at("2026-01-01T01:00:00Z");
        assert_eq!(cron.next(Timestamp(hour.0 - 1)), Some(hour));
        assert_eq!(cron.next(hour), Some(at("2026-01-01T02:00:00Z")));
        assert_eq!(cron.next(Timestamp(hour.0 + 999)), Some(at("2026-01-01T02:00:00Z")));
    }

    #[test]
    fn a_wrong_line_is_explained() {
        let wrong = |line: &str| Cron::parse(line, TimeZone::UTC).unwrap_err();
        assert!(wrong("* * * *").contains("has 4 fields"), "{}", wrong("* * * *"));
        assert!(wrong("0 0 3 * * *").contains("has 6 fields"));
        assert!(wrong("").contains("has 0 fields"));
        assert!(wrong("@fortnightly").contains("@hourly"), "{}", wrong("@fortnightly"));
        for line in [
            "60 3 * * *",
            "0 24 * * *",
            "0 3 0 * *",
            "0 3 * 13 *",
            "x 3 * * *",
            "0 3 * * MOO",
            "5-1 * * * *",
            "*/0 * * * *",
        ] {
            assert!(wrong(line).starts_with(&format!("'{line}' is no cron line: ")), "{}", wrong(line));
        }
        for line in
            ["0 3 * * 1-5", "*/15 * * * *", "0 0 1 JAN,JUL *", "@daily", " 0 3 * * MON ", "0 0 L * *", "0 9 * * MON#1"]
        {
            assert!(Cron::parse(line, TimeZone::UTC).is_ok(), "{line}");
        }
        assert!(zone(Some("Europe/Atlantis")).unwrap_err().contains("no time zone"));
    }

    #[test]
    fn a_day_that_never_comes_has_no_occurrence() {
        assert_eq!(cron("0 0 30 2 *", "UTC").next(at("2026-01-01T00:00:00Z")), None);
        assert!(cron("0 0 29 2 *", "UTC").next(at("2026-01-01T00:00:00Z")).is_some());
    }
}
