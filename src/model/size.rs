//! Amounts of memory and output as people write them: `512K`, `100M`, `4G`. A bare number is rejected: its unit would
//! have to be guessed.

/// Each unit with its size in bytes, largest first.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Parses `512K`, `100M`, `1.5G`, `2T`, in powers of 1024, into bytes. A number needs a unit, except `0`.
///
/// # Errors
/// A message that describes the accepted forms.
pub fn parse(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is not a size: write a number with its unit, such as 512K, 100M or 4G");
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(0);
    }
    let (_, unit) = UNITS.into_iter().find(|(letter, _)| trimmed.ends_with(*letter)).ok_or_else(bad)?;
    let number = &trimmed[..trimmed.len() - 1];
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bad());
    }
    let bytes = number.parse::<f64>().map_err(|_| bad())? * unit as f64;
    // A larger size is more likely a typing mistake, and the limit keeps sums far from overflow.
    if bytes > (1u64 << 50) as f64 {
        return Err(format!("'{text}' is more than 1024T"));
    }
    Ok(bytes.round() as u64)
}

/// Formats a size for people, rounded to a short form: `900 bytes`, `120 MiB`, `1.5 GiB`.
pub fn human(bytes: u64) -> String {
    let Some((letter, unit)) = UNITS.into_iter().find(|(_, unit)| bytes >= *unit) else {
        return format!("{bytes} bytes");
    };
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    if tenth > 0 && whole < 10 { format!("{whole}.{tenth} {letter}iB") } else { format!("{whole} {letter}iB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_their_unit() {
        assert_eq!(parse("512K"), Ok(512 << 10));
        assert_eq!(parse("1.5G"), Ok(3 << 29));
        assert_eq!(parse(" 2T "), Ok(2 << 40));
        assert_eq!((parse("0"), parse("0M")), (Ok(0), Ok(0)));
        for bad in ["", "4", "G", "4g", "4GB", "4 G", "-4G", "1e3G", "1.2.3G", "nanG", "9999T"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn human_form_is_short() {
        let forms = [900, 1 << 20, (3 << 29) + 1, 120 << 20, (17 << 30) + (1 << 29)].map(human);
        assert_eq!(forms, ["900 bytes", "1 MiB", "1.5 GiB", "120 MiB", "17 GiB"]);
    }
}
