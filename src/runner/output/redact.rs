//! Removes the values of secrets from what is shown, logged and reported.

use serde_json::Value;

use crate::home::launch::Launch;

#[cfg(test)]
mod fuzz;

/// Shorter ones would black out much of an ordinary text.
const SHORTEST: usize = 6;
const MASK: &[u8] = b"[redacted]";

/// Replaces secrets in a stream of pieces, also where a secret spans two pieces.
#[derive(Debug, Default)]
pub(in crate::runner) struct Redactor {
    secrets: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Redactor {
    pub fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values = values.filter(|v| v.len() >= SHORTEST);
        // Both verbatim and escaped as in JSON: programs and their tools print JSON.
        let mut secrets: Vec<Vec<u8>> =
            values.flat_map(|v| [v.to_owned(), in_json(v)]).map(String::into_bytes).collect();
        // A secret that contains another one must be tried first.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Redactor { secrets, held: Vec::new() }
    }

    /// Creates a redactor for the secrets of an agent's program.
    pub fn of(launch: &Launch) -> Self {
        Redactor::new(launch.secrets.iter().filter_map(|name| launch.env.get(name)).map(String::as_str))
    }

    /// Returns what can be shown now. A possible beginning of a secret is kept back until the next piece.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if self.secrets.iter().any(|s| s.len() > rest.len() && s.starts_with(rest)) {
                // The next piece decides whether it is one, or a longer one.
                break;
            }
            at += self.pass(&self.held[at..], &mut out);
        }
        self.held.drain(..at);
        out
    }

    /// Returns what was kept back at the stream's end: possibly a shorter secret, never a complete longer one.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(rest.len());
        let mut at = 0;
        while at < rest.len() {
            at += self.pass(&rest[at..], &mut out);
        }
        out
    }

    /// Shows the beginning of `rest`: a mask for a secret, else one byte. Returns how many bytes were consumed.
    fn pass(&self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        match self.secrets.iter().find(|secret| rest.starts_with(secret)) {
            Some(secret) => {
                out.extend_from_slice(MASK);
                secret.len()
            }
            None => {
                out.push(rest[0]);
                1
            }
        }
    }

    /// Creates a new redactor with the same secrets, for another stream.
    pub fn again(&self) -> Self {
        Redactor { secrets: self.secrets.clone(), held: Vec::new() }
    }

    /// Redacts a complete piece.
    pub fn whole(&self, piece: Vec<u8>) -> Vec<u8> {
        if self.secrets.is_empty() {
            return piece;
        }
        let mut whole = self.again();
        let mut out = whole.feed(&piece);
        out.extend(whole.finish());
        out
    }

    /// Redacts a complete text.
    pub fn text(&self, text: String) -> String {
        if self.secrets.is_empty() {
            return text;
        }
        String::from_utf8_lossy(&self.whole(text.into_bytes())).into_owned()
    }

    /// Redacts a complete text that was read from a screen, which may have wrapped a secret anywhere.
    pub fn wrapped(&self, text: String) -> String {
        if self.secrets.is_empty() {
            return text;
        }
        let (mut rest, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
        while let Some((first, more)) = rest.split_first() {
            match self.secrets.iter().find_map(|secret| wrapped_length(rest, secret)) {
                Some(length) => {
                    out.extend_from_slice(MASK);
                    rest = &rest[length..];
                }
                None => {
                    out.push(*first);
                    rest = more;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Redacts every text in a piece of data, including the names of its fields.
    pub fn data(&self, data: Value) -> Value {
        match data {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.data(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(name), self.data(value))).collect()
            }
            plain => plain,
        }
    }
}

/// Returns how many bytes at the beginning of a text are the secret, ignoring white space.
fn wrapped_length(text: &[u8], secret: &[u8]) -> Option<usize> {
    let mut length = 0;
    for byte in secret.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        while length > 0 && text.get(length)?.is_ascii_whitespace() {
            length += 1;
        }
        if text.get(length)? != byte {
            return None;
        }
        length += 1;
    }
    (length > 0).then_some(length)
}

/// Returns a text as escaped within a JSON string.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_across_pieces() {
        let show = |pieces: &[&[u8]]| {
            let mut r = Redactor::new(["hunter2hunter2", "hunter2", "abc"].into_iter());
            let mut out: Vec<u8> = pieces.iter().flat_map(|p| r.feed(p)).collect();
            out.extend(r.finish());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(show(&[b"x hunt", b"er2hun", b"ter2 hunter2! abc hunt"]), "x [redacted] [redacted]! abc hunt");
        assert_eq!(show(&[b"hunter2", b" and hunter2hunt"]), "[redacted] and [redacted]hunt");
    }

    #[test]
    fn a_secret_is_found_in_data() {
        let r = Redactor::new(["hunter2"].into_iter());
        let data = serde_json::json!({"a hunter2": [1, null, ["x hunter2"]], "b": true});
        assert_eq!(r.data(data), serde_json::json!({"a [redacted]": [1, null, ["x [redacted]"]], "b": true}));
    }

    #[test]
    fn a_secret_is_found_as_json_writes_it() {
        let r = Redactor::new(["hunter\"2\\x"].into_iter());
        assert_eq!(r.text(r#"hunter"2\x {"a":"hunter\"2\\x"}"#.into()), r#"[redacted] {"a":"[redacted]"}"#);
    }

    #[test]
    fn without_secrets_everything_is_unchanged() {
        let mut r = Redactor::new(std::iter::empty());
        assert_eq!(r.feed(b"abc"), b"abc");
        assert_eq!(r.text("abc".into()), "abc");
    }
}
