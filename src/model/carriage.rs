//! Carriage returns. A program that draws its progress overwrites the same line repeatedly; a terminal shows only the
//! last of these frames, and so does all output that orch keeps as text. A carriage return before a line feed belongs
//! to the end of the line.

/// Collects bytes of which each line contains only what stands after its last carriage return.
///
/// The result depends on the bytes alone, not on the pieces in which they arrive.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the last line begins.
    line: usize,
    /// Whether the bytes end in a carriage return: what follows decides what it means.
    is_returned: bool,
}

impl Lines {
    /// Appends a piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some(first) = piece.first() {
            if self.is_returned && !matches!(first, b'\r' | b'\n') {
                self.bytes.truncate(self.line);
            }
            let to = piece.iter().position(|b| *b == b'\r').map_or(piece.len(), |at| at + 1);
            let (upto, rest) = piece.split_at(to);
            if let Some(end) = upto.iter().rposition(|b| *b == b'\n') {
                self.line = self.bytes.len() + end + 1;
            }
            self.bytes.extend_from_slice(upto);
            self.is_returned = upto.ends_with(b"\r");
            piece = rest;
        }
    }

    /// Removes everything but the last `length` bytes.
    pub fn keep_last(&mut self, length: usize) {
        let removed = self.bytes.len().saturating_sub(length);
        self.bytes.drain(..removed);
        self.line = self.line.saturating_sub(removed);
    }

    /// Returns what is shown so far. Carriage returns at its very end are part of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> String {
        let mut lines = Lines::default();
        pieces.iter().for_each(|piece| lines.push(piece.as_bytes()));
        String::from_utf8(lines.bytes().to_vec()).unwrap()
    }

    #[test]
    fn each_line_has_what_stands_after_its_last_carriage_return() {
        let text = "one\n1/3\r2/3\r3/3 ok\nCRLF\r\n\r\nold\rnew\r\r\nlast\r";
        let expected = "one\n3/3 ok\nCRLF\r\n\r\nnew\r\r\nlast\r";
        assert_eq!(shown(&[text]), expected);
        for at in 0..=text.len() {
            assert_eq!(shown(&[&text[..at], &text[at..]]), expected, "cut at {at}");
        }
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(shown(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn an_erased_line_is_empty() {
        assert_eq!(shown(&["working\r\x1b[K\ndone\n"]), "\x1b[K\ndone\n");
    }

    #[test]
    fn the_end_is_kept_and_its_line_can_still_be_overwritten() {
        let mut lines = Lines::default();
        lines.push(b"0123456789\nabc");
        lines.keep_last(5);
        assert_eq!(lines.bytes(), b"9\nabc");
        lines.push(b"\rd");
        assert_eq!(lines.bytes(), b"9\nd");
        lines.keep_last(0);
        lines.push(b"\re");
        assert_eq!(lines.bytes(), b"e");
    }
}
