//! How text is set for the terminal at hand: its width, its colours, and how much of a long text is shown.

use std::io::IsTerminal;

use crate::model::text;

/// Where there is no terminal: lines stay whole for whoever reads them, but a list item stays an item.
const UNBOUNDED: usize = 200;

/// Where text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Its width in columns.
    pub columns: usize,
    /// Whether colours are wanted.
    pub colour: bool,
}

/// What a word means to its reader; its colour follows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Good,
    Bad,
    Wants,
    Quiet,
}

impl Page {
    /// Of standard output, now. Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn of_stdout() -> Page {
        if !std::io::stdout().is_terminal() {
            return Page { columns: UNBOUNDED, colour: false };
        }
        let columns = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        Page { columns: columns.max(20), colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }
    /// The text in its tone's colour.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Wants => "33",
            Tone::Quiet => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    /// A sentence of ours (not what an agent printed), broken between words where it is too wide; what goes on is
    /// indented by two columns more.
    pub fn fold(&self, sentence: &str) -> String {
        // Colours take no room.
        let width = |text: &str| unicode_width::UnicodeWidthStr::width(text::plain(text.as_bytes()).as_str());
        let indent = sentence.len() - sentence.trim_start().len();
        let mut folded = " ".repeat(indent);
        let mut used = indent;
        for (i, word) in sentence.trim_start().split(' ').enumerate() {
            let wide = width(word);
            if i > 0 && used + 1 + wide > self.columns {
                folded.push('\n');
                used = indent + 2;
                folded.push_str(&" ".repeat(used));
            } else if i > 0 {
                folded.push(' ');
                used += 1;
            }
            folded.push_str(word);
            used += wide;
        }
        folded
    }
    /// A line of a list: `head`, then as much of `tail` as the width has room for.
    pub fn item(&self, head: &str, tail: &str) -> String {
        let room = self.columns.saturating_sub(unicode_width::UnicodeWidthStr::width(head) + 2);
        // Where hardly a word would fit, the tail goes below: a terminal of 40 columns still says everything.
        match room {
            _ if tail.is_empty() => head.to_owned(),
            0..12 => format!("{head}\n  {}", text::one_line(tail, self.columns.saturating_sub(2))),
            _ => format!("{head}  {}", text::one_line(tail, room)),
        }
    }
}

/// The beginning of a text from an agent, made safe, each line indented by two columns; and whether something is left.
pub(super) fn excerpt(full: &str, max_lines: usize, max_bytes: usize) -> (String, bool) {
    let plain = text::plain(full.as_bytes());
    let whole = plain.trim_end().trim_start_matches('\n');
    let mut shown = whole;
    if let Some((end, _)) = whole.match_indices('\n').nth(max_lines.saturating_sub(1)) {
        shown = &whole[..end];
    }
    if shown.len() > max_bytes {
        let end = (0..=max_bytes).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
        shown = &shown[..end];
    }
    let indented = shown.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    (indented, shown.len() < whole.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_item_fits_its_line_or_goes_below() {
        let page = |columns| Page { columns, colour: false };
        assert_eq!(page(30).item("t-1 ready", "fix all of the tests, please"), "t-1 ready  fix all of the tes…");
        assert_eq!(page(20).item("t-7k2m9qx4hz ready", "fix it"), "t-7k2m9qx4hz ready\n  fix it");
    }

    #[test]
    fn a_sentence_is_broken_between_words_and_colours_take_no_room() {
        let page = Page { columns: 12, colour: true };
        let sentence = format!("  {} one two three", page.paint(Tone::Bad, "red"));
        assert_eq!(page.fold(&sentence), "  \x1b[31mred\x1b[0m one\n    two\n    three");
        assert_eq!(page.fold("a-word-that-is-wider-than-the-page"), "a-word-that-is-wider-than-the-page");
    }

    #[test]
    fn an_excerpt_is_bounded_in_lines_and_bytes_and_says_so() {
        assert_eq!(excerpt("a\nb\n", 2, 100), ("  a\n  b".into(), false));
        assert_eq!(excerpt("a\nb\nc", 2, 100), ("  a\n  b".into(), true));
        assert_eq!(excerpt("ééééé", 2, 5), ("  éé".into(), true));
        assert_eq!(excerpt("\x1b]0;x\x07ok\x1b[2J", 2, 100), ("  ok".into(), false));
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(Page { columns: 80, colour: false }.paint(Tone::Bad, "x"), "x");
        assert_eq!(Page { columns: 80, colour: true }.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
