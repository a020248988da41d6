//! Keeps the end of a stream of unknown length.

use crate::model::{carriage::Lines, text::printed};

/// How much of its output counts as a program's answer if it leaves no result file.
pub(in crate::runner) const KEPT: usize = 64 * 1024;

/// Keeps the last [`KEPT`] bytes, without what was overwritten after a carriage return.
#[derive(Debug, Default)]
pub(in crate::runner) struct Tail {
    lines: Lines,
    was_cut: bool,
}

impl Tail {
    pub fn push(&mut self, piece: &[u8]) {
        for piece in piece.chunks(KEPT) {
            self.lines.push(piece);
            // Moving once per doubling keeps the cost linear in the total size.
            if self.lines.bytes().len() > 2 * KEPT {
                self.was_cut = true;
                self.lines.keep_last(KEPT);
            }
        }
    }

    /// Returns whether the beginning is missing.
    pub fn is_cut(&self) -> bool {
        self.was_cut || self.lines.bytes().len() > KEPT
    }

    /// Returns the end as text without escape sequences, starting at a whole character. Lines keep their CRLF.
    pub fn text(&self) -> String {
        let bytes = self.lines.bytes();
        let mut end = &bytes[bytes.len().saturating_sub(KEPT)..];
        if self.is_cut() {
            let broken = end.iter().take(3).take_while(|b| (0x80..0xC0).contains(*b)).count();
            end = &end[broken..];
        }
        printed(end)
    }
}

#[cfg(test)]
mod fuzz {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::fuzz::cases(48))]

        #[test]
        fn the_end_of_any_stream_is_kept(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0usize..4_000), 0..12)
        ) {
            let pieces: Vec<Vec<u8>> = pieces.into_iter().map(|(bytes, times)| bytes.repeat(times)).collect();
            let mut tail = Tail::default();
            pieces.iter().for_each(|piece| tail.push(piece));
            let whole = pieces.concat();
            if whole.len() <= KEPT || !whole.contains(&b'\r') {
                prop_assert_eq!(tail.is_cut(), whole.len() > KEPT);
            }
            let text = tail.text();
            prop_assert!(!text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')));
            if !tail.is_cut() {
                prop_assert_eq!(text, printed(&whole));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_characters_are_kept() {
        let mut tail = Tail::default();
        tail.push("ü".repeat(100_000).as_bytes());
        tail.push(b"xend");
        assert!(tail.is_cut());
        let text = tail.text();
        assert!(text.len() <= KEPT && text.len() > KEPT - 4 && text.ends_with("üxend") && text.starts_with('ü'));
    }

    #[test]
    fn a_short_output_is_whole() {
        let mut tail = Tail::default();
        tail.push(b"a\n");
        tail.push(b"b\n");
        assert_eq!((tail.text().as_str(), tail.is_cut()), ("a\nb\n", false));
    }

    #[test]
    fn a_line_that_is_drawn_again_and_again_counts_once() {
        let mut tail = Tail::default();
        tail.push(b"begins\n");
        for n in 0..100_000 {
            tail.push(format!("\r{n} of 100000").as_bytes());
        }
        tail.push(b"\rdone\r\nends");
        assert_eq!((tail.text().as_str(), tail.is_cut()), ("begins\ndone\r\nends", false));
    }
}
