//! Pieces of text measured in terminal columns, and broken between words.

use unicode_width::UnicodeWidthStr;

use super::style::{Style, paint};

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text and spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `lead` and then the text, broken between words at `limit` columns; further lines stand under the text's beginning.
/// A lead that takes more than half of the line only indents by four. Ends with a newline.
pub fn hanging(lead: &str, text: &str, limit: Option<usize>) -> String {
    let narrow = limit.is_some_and(|l| width(lead) * 2 > l);
    let indent = " ".repeat(if narrow { 4 } else { width(lead) });
    let mut out = lead.to_owned();
    let mut used = width(lead);
    for (n, word) in text.split_whitespace().enumerate() {
        let fits = limit.is_none_or(|l| used + 1 + width(word) <= l);
        if n > 0 && fits {
            out.push(' ');
            used += 1;
        } else if n > 0 || limit.is_some_and(|l| used + width(word) > l && used > indent.len()) {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(&indent);
            used = indent.len();
        }
        out.push_str(word);
        used += width(word);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// A name, and pieces with ` · ` between them; a new line where the next would not fit.
pub fn flow(name: &str, pieces: &[(String, Style)], limit: Option<usize>, colour: bool) -> String {
    let mut out = format!("{}  ", paint(name, Style::Bold, colour));
    let mut used = width(name) + 2;
    for (n, (text, style)) in pieces.iter().enumerate() {
        let w = width(text);
        if n == 0 {
            // Stands beside the name, however long it is.
        } else if limit.is_none_or(|l| used + 3 + w <= l) {
            out.push_str(" · ");
            used += 3;
        } else {
            out.push_str("\n  ");
            used = 2;
        }
        out.push_str(&paint(text, *style, colour));
        used += w;
    }
    out.push('\n');
    out
}

/// Memory as people say it: `812K`, `24M`, `1.5G` (powers of 1024).
pub fn bytes(n: u64) -> String {
    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;
    const G: u64 = 1 << 30;
    match n {
        0..K => format!("{n}B"),
        K..M => format!("{}K", n / K),
        M..G => format!("{}M", n / M),
        _ => format!("{}.{}G", n / G, n % G * 10 / G),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_hangs_under_its_beginning() {
        assert_eq!(hanging("  ab  ", "one two three", Some(14)), "  ab  one two\n      three\n");
        assert_eq!(hanging("- ", "one two three", None), "- one two three\n");
        assert_eq!(hanging("a long lead ", "word wörd", Some(16)), "a long lead word\n    wörd\n");
        assert_eq!(hanging("a long lead ", "verylong x", Some(16)), "a long lead\n    verylong x\n");
        assert_eq!(hanging("- ", "", Some(9)), "-\n");
    }

    #[test]
    fn memory_is_short() {
        assert_eq!([5, 2048, 24 << 20, 3 << 29].map(bytes), ["5B", "2K", "24M", "1.5G"]);
    }
}
