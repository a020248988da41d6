//! Pieces of text measured in terminal columns, broken between words, and cut.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::style::{Style, paint};
pub use crate::model::text::end_of;
use crate::model::{duration, text};

/// Columns that a text takes. Escape sequences take none.
pub fn width(text: &str) -> usize {
    if text.contains('\x1b') { UnicodeWidthStr::width(safe(text).as_str()) } else { UnicodeWidthStr::width(text) }
}

/// The text with spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `lead` and then the text, broken between words at `limit` columns; further lines are aligned with the beginning of the
/// text. A lead that takes more than half of the line only indents by four. Ends with a newline.
pub fn hanging(lead: &str, text: &str, limit: Option<usize>) -> String {
    let narrow = limit.is_some_and(|l| width(lead) * 2 > l);
    broken(lead, text, if narrow { 4 } else { width(lead) }, limit) + "\n"
}

/// `lead` and then the text, whose lines are kept, spaces included. A line of more than `limit` columns is broken after a
/// space, and a word that is longer than a line anywhere; every line but the first is indented by the width of the lead, so
/// that none of them looks like a line of ours. Ends with a newline.
pub fn verbatim(lead: &str, text: &str, limit: Option<usize>) -> String {
    let indent = if limit.is_some_and(|l| width(lead) * 2 > l) { 4 } else { width(lead) };
    let (mut out, mut used) = (lead.to_owned(), width(lead));
    for (n, line) in text.trim_end().lines().enumerate() {
        if n > 0 {
            (out, used) = (below(out, indent), indent);
        }
        for word in line.split_inclusive(' ') {
            let columns = width(word.trim_end_matches(' '));
            let fits_below = |l: usize| indent + columns <= l;
            if limit.is_some_and(|l| used + columns > l && used > indent && fits_below(l)) {
                (out, used) = (below(out, indent), indent);
            }
            for c in word.chars() {
                let columns = width(c.encode_utf8(&mut [0; 4]));
                if c != ' ' && limit.is_some_and(|l| used + columns > l && used > indent) {
                    (out, used) = (below(out, indent), indent);
                }
                out.push(c);
                used += columns;
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Begins another line.
fn below(mut out: String, indent: usize) -> String {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out
}

/// A sentence broken between words; further lines are indented by two columns more than its first. Without a newline at
/// its end.
pub fn fold(sentence: &str, limit: Option<usize>) -> String {
    let (lead, text) = sentence.split_at(sentence.len() - sentence.trim_start().len());
    broken(lead, text, width(lead) + 2, limit)
}

fn broken(lead: &str, text: &str, indent: usize, limit: Option<usize>) -> String {
    let mut out = lead.to_owned();
    let mut used = width(lead);
    for (n, word) in text.split_whitespace().enumerate() {
        let columns = width(word);
        let fits = limit.is_none_or(|l| used + 1 + columns <= l);
        if n > 0 && fits {
            out.push(' ');
            used += 1;
        } else if n > 0 || limit.is_some_and(|l| used + columns > l && used > indent) {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        }
        out.push_str(word);
        used += columns;
    }
    out.truncate(out.trim_end().len());
    out
}

/// A name, and pieces separated by ` · `; a piece that does not fit begins a new line.
pub fn flow(name: &str, pieces: &[(String, Style)], limit: Option<usize>, colour: bool) -> String {
    let mut out = format!("{}  ", paint(name, Style::Bold, colour));
    let mut used = width(name) + 2;
    for (n, (text, style)) in pieces.iter().enumerate() {
        let w = width(text);
        if n == 0 {
            // The first piece follows the name, however long that is.
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

/// The first line of a text of others, cut to `columns` columns. A tab has no width of its own: it becomes a space.
pub fn line(text: &str, columns: usize) -> String {
    text::one_line(&text.trim().replace('\t', " "), columns)
}

/// A text of others without the characters that a terminal obeys.
pub fn safe(text: &str) -> String {
    text::visible(text.as_bytes())
}

/// The beginning of a text of others: at most `lines` lines and `bytes` bytes, each line indented by two columns; and the
/// number of lines that are left out (at least 1 where anything is).
pub fn excerpt(full: &str, lines: usize, bytes: usize) -> (String, usize) {
    let plain = safe(full);
    let whole = plain.trim_end().trim_start_matches('\n');
    let mut shown = whole;
    if let Some((end, _)) = whole.match_indices('\n').nth(lines.saturating_sub(1)) {
        shown = &whole[..end];
    }
    shown = text::cut(shown, bytes);
    let left_out = if shown.len() < whole.len() { (whole.lines().count() - shown.lines().count()).max(1) } else { 0 };
    let indented = shown.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect::<Vec<_>>();
    (indented.join("\n"), left_out)
}

/// A duration in milliseconds: `850ms`, `4.2s`, `3m20s`.
pub fn millis(ms: u64) -> String {
    duration::human(Duration::from_millis(ms))
}

/// An amount of memory in powers of 1024: `812K`, `24M`, `1.5G`.
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
    fn further_lines_are_aligned_with_the_text() {
        assert_eq!(hanging("  ab  ", "one two three", Some(14)), "  ab  one two\n      three\n");
        assert_eq!(hanging("- ", "one two three", None), "- one two three\n");
        assert_eq!(hanging("a long lead ", "word wörd", Some(16)), "a long lead word\n    wörd\n");
        assert_eq!(hanging("a long lead ", "verylong x", Some(16)), "a long lead\n    verylong x\n");
        assert_eq!(hanging("- ", "", Some(9)), "-\n");
    }

    #[test]
    fn a_sentence_is_broken_between_words_and_colours_take_no_room() {
        let sentence = format!("  {} one two three", paint("red", Style::Red, true));
        assert_eq!(fold(&sentence, Some(12)), "  \x1b[31mred\x1b[0m one\n    two\n    three");
        let wide = "a-word-that-is-wider-than-the-page";
        assert_eq!(fold(wide, Some(12)), wide);
    }

    #[test]
    fn an_excerpt_is_bounded_in_lines_and_bytes() {
        assert_eq!(excerpt("a\nb\n", 2, 100), ("  a\n  b".into(), 0));
        assert_eq!(excerpt("a\nb\nc", 2, 100), ("  a\n  b".into(), 1));
        assert_eq!(excerpt("ééééé", 2, 5), ("  éé".into(), 1));
        assert_eq!(excerpt("\x1b]0;x\x07ok\x1b[2J", 2, 100), ("  ok".into(), 0));
    }

    #[test]
    fn the_end_of_a_text_has_whole_characters() {
        assert_eq!(end_of("abc", 5), "abc");
        assert_eq!(end_of("abc", 2), "bc");
        assert_eq!(end_of("aßc", 2), "c");
        assert_eq!(end_of("abc", 0), "");
    }

    #[test]
    fn memory_is_short() {
        assert_eq!([5, 2048, 24 << 20, 3 << 29].map(bytes), ["5B", "2K", "24M", "1.5G"]);
    }
}
