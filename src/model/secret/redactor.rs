//! Removes secrets from what is stored, shown and sent.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde_json::Value;

use super::shape::{self, Beginnings, Found, Rest, TRIGGERS, begins_word};

/// Shorter values would black out much of an ordinary text.
const SHORTEST: usize = 6;
const MASK: &[u8] = b"[redacted]";
/// So much of a trigger is kept back also in the middle of a word.
const LIKELY: usize = 4;
/// In a text of at most this length, patterns are searched for one by one: that is quicker than to prepare the search for
/// all of them, and most calls of orch look at a few hundred bytes, once.
const SHORT_TEXT: usize = 8 * 1024;
/// How many bytes before a trigger decide whether a word begins there.
const BEFORE: usize = 6;

/// Replaces secrets in whole texts, and in a stream of pieces, also where a secret spans two pieces.
///
/// A clone shares the patterns, and starts a stream of its own.
#[derive(Default)]
pub struct Redactor {
    patterns: Patterns,
    held: Vec<u8>,
    /// The bytes that preceded `held`.
    before: Vec<u8>,
    rest: Rest,
}

/// What is searched for: the values first, then the triggers.
#[derive(Clone)]
struct Patterns(Arc<Inner>);

struct Inner {
    values: Vec<Vec<u8>>,
    /// Made when a text is longer than [`SHORT_TEXT`], or has something in it.
    search: OnceLock<AhoCorasick>,
    longest: usize,
    beginnings: Beginnings,
}

impl Default for Patterns {
    fn default() -> Self {
        static SHAPES: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(Vec::new()));
        SHAPES.clone()
    }
}

impl Clone for Redactor {
    fn clone(&self) -> Self {
        Redactor { patterns: self.patterns.clone(), ..Redactor::default() }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.patterns.0.values.len())
    }
}

impl Patterns {
    fn new(values: Vec<Vec<u8>>) -> Self {
        let beginnings = values.iter().fold(Beginnings::OF_TRIGGERS, |all, value| all.with(value));
        let mut inner = Inner { values, search: OnceLock::new(), longest: 0, beginnings };
        inner.longest = inner.all().map(<[u8]>::len).max().unwrap_or_default();
        Patterns(Arc::new(inner))
    }
}

impl Inner {
    /// The values, then the triggers.
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().map(Vec::as_slice).chain(TRIGGERS.iter().map(|(trigger, _)| trigger.as_bytes()))
    }

    fn search(&self) -> &AhoCorasick {
        self.search.get_or_init(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(self.all())
                .expect("a few short patterns fit")
        })
    }

    /// Returns whether any pattern is in a text.
    fn is_in(&self, text: &[u8]) -> bool {
        if self.search.get().is_some() || text.len() > SHORT_TEXT {
            return self.search().is_match(text);
        }
        self.beginnings.in_text(text).any(|at| self.all().any(|pattern| text[at..].starts_with(pattern)))
    }

    /// Returns where a pattern may have begun at the end of a piece, at or after `at`. `before` precedes the piece.
    ///
    /// The first letters of a trigger count only where a word begins: else the end of nearly every piece would be kept
    /// back, in the middle of an ordinary word.
    fn begun(&self, held: &[u8], at: usize, before: &[u8]) -> usize {
        let may = |at: &usize| {
            let rest = &held[*at..];
            let begins = |pattern: &[u8]| pattern.len() > rest.len() && pattern.starts_with(rest);
            let preceding = if *at == 0 { before } else { &held[..*at] };
            let is_likely = || rest.len() >= LIKELY || !rest[0].is_ascii_alphanumeric() || begins_word(preceding);
            self.beginnings.has_first(rest[0])
                && (self.values.iter().any(|value| begins(value))
                    || is_likely() && TRIGGERS.iter().any(|(trigger, _)| begins(trigger.as_bytes())))
        };
        let from = at.max((held.len() + 1).saturating_sub(self.longest));
        (from..held.len()).find(may).unwrap_or(held.len())
    }

    /// Returns the length of the longest value with which `rest` begins.
    fn value_at(&self, rest: &[u8]) -> Option<usize> {
        self.values.iter().find(|value| rest.starts_with(value)).map(Vec::len)
    }
}

impl Redactor {
    /// Creates a redactor for these values, besides everything that has the form of a secret.
    pub fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values = values.filter(|value| value.len() >= SHORTEST);
        // Verbatim, and escaped as in JSON and in URLs: programs and their tools print both.
        let mut all: Vec<Vec<u8>> = values
            .flat_map(|value| [value.to_owned(), in_json(value), in_url(value)])
            .map(String::into_bytes)
            .collect();
        // A secret that contains another one must be tried first.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        if all.is_empty() {
            return Redactor::default();
        }
        Redactor { patterns: Patterns::new(all), ..Redactor::default() }
    }

    /// Returns what can be shown now. A possible beginning of a secret is kept back until the next piece.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.show(false)
    }

    /// Returns what was kept back at the stream's end: possibly a shorter secret, never a complete longer one.
    pub fn finish(&mut self) -> Vec<u8> {
        let shown = self.show(true);
        self.before.clear();
        self.rest = Rest::Nothing;
        shown
    }

    fn show(&mut self, is_all: bool) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let patterns = self.patterns.0.clone();
        let mut out = Vec::with_capacity(held.len());
        let mut at = 0;
        // Where a pattern may have begun at the end.
        let mut begun = if is_all { held.len() } else { patterns.begun(&held, 0, &self.before) };
        loop {
            let (skipped, is_over) = self.skip(&held[at..], is_all);
            at += skipped;
            if !is_over {
                break;
            }
            if begun < at {
                begun = patterns.begun(&held, at, &self.before);
            }
            let found = patterns.search().find(&held[at..]).map(|found| (at + found.start(), found));
            let Some((start, found)) = found.filter(|(start, _)| is_all || *start < begun) else {
                out.extend_from_slice(&held[at..begun]);
                at = begun;
                break;
            };
            out.extend_from_slice(&held[at..start]);
            at = start;
            let which = found.pattern().as_usize();
            let Some((trigger, shape)) = which.checked_sub(patterns.values.len()).map(|which| TRIGGERS[which]) else {
                out.extend_from_slice(MASK);
                at += found.len();
                continue;
            };
            let before = self.before(&held, at);
            match shape.look(trigger.len(), &before, &held[at..], is_all) {
                Found::More if !is_all => break,
                Found::Secret(from, to, rest) => {
                    out.extend(self.values_masked(&held[at..at + from]));
                    out.extend_from_slice(MASK);
                    at += to;
                    self.rest = rest;
                }
                Found::More | Found::No => match patterns.value_at(&held[at..]) {
                    Some(length) => {
                        out.extend_from_slice(MASK);
                        at += length;
                    }
                    None => {
                        out.push(held[at]);
                        at += 1;
                    }
                },
            }
        }
        self.before = self.before(&held, at).into_owned();
        self.held = held[at..].to_vec();
        out
    }

    /// Returns how many bytes still belong to the secret that was found last, and whether it ends there.
    fn skip(&mut self, rest: &[u8], is_all: bool) -> (usize, bool) {
        let (skipped, is_over) = match self.rest {
            Rest::Nothing => return (0, true),
            Rest::Token => {
                let length = rest.iter().take_while(|b| shape::is_of_token(**b) || **b == b'.').count();
                (length, is_all || length < rest.len())
            }
            Rest::PrivateKey => shape::of_private_key(rest, is_all),
        };
        if is_over {
            self.rest = Rest::Nothing;
        }
        (skipped, is_over)
    }

    /// Returns the last bytes before a place.
    fn before<'a>(&self, held: &'a [u8], at: usize) -> Cow<'a, [u8]> {
        if at >= BEFORE {
            return Cow::Borrowed(&held[at - BEFORE..at]);
        }
        let all = [&self.before, &held[..at]].concat();
        Cow::Owned(all[all.len().saturating_sub(BEFORE)..].to_vec())
    }

    /// Removes only the values from a short piece.
    fn values_masked(&self, piece: &[u8]) -> Vec<u8> {
        let (mut at, mut out) = (0, Vec::new());
        while at < piece.len() {
            match self.patterns.0.value_at(&piece[at..]) {
                Some(length) => {
                    out.extend_from_slice(MASK);
                    at += length;
                }
                None => {
                    out.push(piece[at]);
                    at += 1;
                }
            }
        }
        out
    }

    /// Redacts a complete piece.
    pub fn whole(&self, piece: Vec<u8>) -> Vec<u8> {
        if !self.patterns.0.is_in(&piece) {
            return piece;
        }
        let mut whole = self.clone();
        let mut out = whole.feed(&piece);
        out.extend(whole.finish());
        out
    }

    /// Redacts a complete text.
    pub fn text(&self, text: String) -> String {
        if !self.patterns.0.is_in(text.as_bytes()) {
            return text;
        }
        String::from_utf8_lossy(&self.whole(text.into_bytes())).into_owned()
    }

    /// Redacts a complete text that was read from a screen, which may have wrapped a secret anywhere.
    pub fn wrapped(&self, text: String) -> String {
        let values = &self.patterns.0.values;
        if values.is_empty() {
            return self.text(text);
        }
        let (mut rest, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
        while let Some((first, more)) = rest.split_first() {
            match values.iter().find_map(|value| wrapped_length(rest, value)) {
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
        self.text(String::from_utf8_lossy(&out).into_owned())
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

/// Returns a text as escaped within a URL.
fn in_url(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => escaped.push(b as char),
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
#[path = "fuzz.rs"]
mod fuzz;

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
