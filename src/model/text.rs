//! Makes foreign text safe for a person's terminal, and helps to write sentences.

use std::fmt::Display;

use super::carriage;

/// Without escape sequences (colours, OSC, DCS, APC, queries) and without other control characters than line breaks
/// and tabs; of each line, what stands after its last carriage return. What an agent prints is hostile until it has been
/// here; only its own pane shows it as it came.
pub fn plain(bytes: &[u8]) -> String {
    let text = printed(bytes);
    if text.contains('\r') { text.replace('\r', "") } else { text }
}

/// [`plain`] for files, pipes and JSON: a line that ends in CRLF keeps it. A terminal is shown [`plain`].
pub fn printed(bytes: &[u8]) -> String {
    // Most lines have nothing to remove, and a search looks at many.
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    // The stripper drops tabs and carriage returns with the other control characters; noncharacters, which no text has, go
    // through.
    const TAB: &str = "\u{fdd0}";
    const RETURN: &str = "\u{fdd1}";
    let text = String::from_utf8_lossy(bytes).replace(RETURN, "").replace('\t', TAB);
    let has_returns = text.contains('\r');
    let text = if has_returns { last_frames(&text).replace('\r', RETURN) } else { text };
    let text = String::from_utf8_lossy(&strip_ansi_escapes::strip(text)).replace(TAB, "\t");
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if has_returns { with_returns_at_ends(&text, RETURN) } else { text }
}

/// Marks become carriage returns where a line ends. An escape sequence may have contained one of the two characters.
fn with_returns_at_ends(text: &str, mark: &str) -> String {
    let line = |line: &str| {
        let text = line.trim_end_matches('\n');
        let body = text.trim_end_matches(mark);
        let returns = if text.len() < line.len() { (text.len() - body.len()) / mark.len() } else { 0 };
        body.replace(mark, "") + &"\r".repeat(returns) + &line[text.len()..]
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Only carriage returns before a line feed are left.
fn last_frames(text: &str) -> String {
    let mut lines = carriage::Lines::default();
    lines.push(text.as_bytes());
    String::from_utf8_lossy(lines.bytes()).trim_end_matches('\r').to_owned()
}

/// [`plain`] for a person's eyes: also without characters that are not seen and change what is.
pub fn visible(bytes: &[u8]) -> String {
    plain(bytes).replace(deceives, "")
}

/// Whether a character is not seen and changes what is: it turns the direction of writing, has no width, or is a tag that
/// only a model reads. The joiners of emoji and of some scripts stay.
fn deceives(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns at most `bytes` bytes of the beginning, without cutting a character in two.
pub fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// The last `bytes` bytes of a text, or a few less: characters stay whole.
pub fn end_of(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// All of it in one line, cut like [`one_line`]: what stands on further lines counts as well.
pub fn in_one_line(text: &str, columns: usize) -> String {
    let plain = visible(text.as_bytes());
    let lines = plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    one_line(&lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ⏎ "), columns)
}

/// A number with the noun and the verb that fit it: `1 task has`, `3 tasks have`.
pub fn count<N: Display + PartialEq + From<u8>>(n: N, one: &str, many: &str) -> String {
    let words = if n == N::from(1) { one } else { many };
    format!("{n} {words}")
}

/// The first line, cut to `columns` terminal columns with an ellipsis. A tab, which is as wide as it likes, is a space.
pub fn one_line(text: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthChar;
    let plain = visible(text.trim().as_bytes());
    let mut lines = plain.lines();
    let line = lines.next().unwrap_or("").trim_end().replace('\t', " ");
    let line = line.as_str();
    let more = lines.next().is_some();
    let width = unicode_width::UnicodeWidthStr::width(line);
    if width <= columns && !more {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in line.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        assert_eq!(plain(b"\x1b[31mred\x1b[0m \x1b]0;title\x07ok\x9b\r\n\ttab\x08"), "red ok\u{fffd}\n\ttab");
    }

    #[test]
    fn a_line_is_what_stands_after_its_last_carriage_return_and_crlf_is_kept_for_programs() {
        for (printed_text, kept, shown) in [
            ("tests 1/3\rtests 2/3\rtests 3/3 ok\n", "tests 3/3 ok\n", "tests 3/3 ok\n"),
            ("-a\r\n+b\r\n", "-a\r\n+b\r\n", "-a\n+b\n"),
            ("half\r\x1b[Kwhole\r", "whole", "whole"),
            ("erased\r\x1b[2K\n", "\n", "\n"),
            ("a\u{fdd1}b\n", "ab\n", "ab\n"),
            ("\x1b]0;a\r\nb\x07c\r\n", "c\r\n", "c\n"),
        ] {
            assert_eq!(printed(printed_text.as_bytes()), kept, "{printed_text:?}");
            assert_eq!(plain(printed_text.as_bytes()), shown, "{printed_text:?}");
        }
    }

    #[test]
    fn many_lines_are_one_and_read_as_they_are_written() {
        assert_eq!(in_one_line("set -e\n\n  npm\tpublish \n", 40), "set -e ⏎ npm publish");
        assert_eq!(in_one_line("rm \u{202e}x\u{2066}\u{1b}[8mhidden", 40), "rm xhidden");
        assert_eq!(visible("a\u{202e}b\u{200b}c\u{feff}d\u{e0041}\u{200f}e".as_bytes()), "abcde");
        assert_eq!(visible("👩\u{200d}💻 می\u{200c}خواهم".as_bytes()), "👩\u{200d}💻 می\u{200c}خواهم");
        assert_eq!(in_one_line("a\nb", 3), "a …");
    }

    #[test]
    fn what_is_counted_agrees_with_its_number() {
        let tasks = |n: u64| count(n, "task has", "tasks have");
        assert_eq!([0, 1, 2].map(tasks), ["0 tasks have", "1 task has", "2 tasks have"]);
    }

    #[test]
    fn one_line_is_cut_by_columns_not_bytes() {
        assert_eq!(one_line("  héllo\nworld", 20), "héllo…");
        assert_eq!(one_line("日本語です", 5), "日本…");
        assert_eq!(one_line("fits", 4), "fits");
        assert_eq!(one_line("a\t\tb and more", 6), "a  b …");
    }
}
