//! Durations as people write them: `500ms`, `90s`, `5m`, `2h`, `7d`. A bare number is rejected: its unit would have to
//! be guessed.

use std::time::Duration;

/// Parses `90s`, `5m`, `1h30m`, `1.5h`. A number needs a unit.
///
/// # Errors
/// A message that describes the accepted forms.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a duration: write a number with its unit, such as 500ms, 90s, 5m, 2h or 7d");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total_ms = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let factor = match &rest[..unit_len] {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return Err(bad()),
        };
        total_ms += number * factor;
        rest = rest[unit_len..].trim_start();
    }
    // Ten years: a longer duration is more likely a typing mistake, and the limit keeps sums of milliseconds exact.
    if total_ms > 10.0 * 366.0 * 86_400_000.0 {
        return Err(format!("'{text}' is longer than ten years"));
    }
    Ok(Duration::from_millis(total_ms.round() as u64))
}

/// Formats a duration for people, rounded to a short form: `850ms`, `4.2s`, `3m20s`, `2h05m`, `3d4h`.
pub fn human(d: Duration) -> String {
    let ms = d.as_millis() as u64;
    let s = ms / 1000;
    match s {
        _ if ms < 1_000 => format!("{ms}ms"),
        0..=9 => format!("{}.{}s", s, ms % 1000 / 100),
        10..=59 => format!("{s}s"),
        60..=3_599 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..=86_399 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{}h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["", "90", "s", "5 minutes", "-5s", "1y", "1e3s", "9999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn human_form_is_short() {
        let h = |ms| human(Duration::from_millis(ms));
        assert_eq!((h(850), h(4_200), h(200_000)), ("850ms".into(), "4.2s".into(), "3m20s".into()));
    }
}
