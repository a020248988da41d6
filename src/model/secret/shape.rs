//! Secrets that are recognized in any text by their form: tokens with a known prefix, JSON web tokens, private keys, and
//! passwords in URLs.
//!
//! Prefixes and lengths are those that the services publish. A form counts only if ordinary text, code, hashes and encoded
//! binary data do not have it; so a password without any form is found only if its value is known.

/// A text that announces a shape, with the shape.
pub(super) const TRIGGERS: &[(&str, Shape)] = &[
    ("://", Shape::Url),
    ("-----BEGIN ", Shape::PrivateKey),
    ("eyJ", Shape::Jwt),
    ("sk-", Shape::Mixed(20)),
    ("sk-ant-", Shape::Token(16)),
    ("sk-proj-", Shape::Token(16)),
    ("sk-svcacct-", Shape::Token(16)),
    ("sk-or-v1-", Shape::Token(16)),
    ("sk_live_", Shape::Token(16)),
    ("sk_test_", Shape::Token(16)),
    ("rk_live_", Shape::Token(16)),
    ("rk_test_", Shape::Token(16)),
    ("whsec_", Shape::Token(24)),
    ("ghp_", Shape::Token(30)),
    ("gho_", Shape::Token(30)),
    ("ghu_", Shape::Token(30)),
    ("ghs_", Shape::Token(30)),
    ("ghr_", Shape::Token(30)),
    ("github_pat_", Shape::Token(22)),
    ("glpat-", Shape::Digits(16)),
    ("gldt-", Shape::Digits(16)),
    ("glrt-", Shape::Digits(16)),
    ("glcbt-", Shape::Digits(16)),
    ("glptt-", Shape::Digits(16)),
    ("AKIA", Shape::Upper(16)),
    ("ASIA", Shape::Upper(16)),
    ("AIza", Shape::Exact(35)),
    ("GOCSPX-", Shape::Digits(20)),
    ("ya29.", Shape::Dotted(20)),
    ("xoxa-", Shape::Digits(10)),
    ("xoxb-", Shape::Digits(10)),
    ("xoxc-", Shape::Digits(10)),
    ("xoxd-", Shape::Digits(10)),
    ("xoxe-", Shape::Digits(10)),
    ("xoxe.xoxp-", Shape::Digits(10)),
    ("xoxo-", Shape::Digits(10)),
    ("xoxp-", Shape::Digits(10)),
    ("xoxr-", Shape::Digits(10)),
    ("xoxs-", Shape::Digits(10)),
    ("xapp-", Shape::Digits(10)),
    ("npm_", Shape::Alphanumeric(36)),
    ("pypi-AgE", Shape::Token(40)),
    ("hf_", Shape::Alphanumeric(30)),
    ("gsk_", Shape::Alphanumeric(40)),
    ("xai-", Shape::Alphanumeric(40)),
    ("r8_", Shape::Alphanumeric(37)),
    ("dop_v1_", Shape::Token(40)),
    ("shpat_", Shape::Token(32)),
    ("shpss_", Shape::Token(32)),
    ("lin_api_", Shape::Token(32)),
    ("dckr_pat_", Shape::Token(20)),
    ("sbp_", Shape::Alphanumeric(40)),
    ("glsa_", Shape::Token(32)),
    ("hvs.", Shape::Digits(24)),
    ("SG.", Shape::Dotted(40)),
    ("PMAK-", Shape::Digits(40)),
    ("NRAK-", Shape::Upper(27)),
    ("tskey-", Shape::Digits(16)),
    ("AGE-SECRET-KEY-1", Shape::Upper(58)),
];

/// The form of what follows a trigger, with the number of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// At least so many letters, digits, `_` and `-`.
    Token(usize),
    /// The same, with a digit.
    Digits(usize),
    /// The same, with a run of 16 letters and digits: ordinary words joined by `-` have none.
    Mixed(usize),
    /// At least so many letters and digits.
    Alphanumeric(usize),
    /// Exactly so many capital letters and digits.
    Upper(usize),
    /// Exactly so many letters, digits, `_` and `-`.
    Exact(usize),
    /// At least so many letters, digits, `_`, `-` and `.`, with a digit.
    Dotted(usize),
    /// Three or more parts of base64url, separated by dots.
    Jwt,
    /// A user and a password before the host of a URL.
    Url,
    /// A private key in PEM.
    PrivateKey,
}

/// The answer about one place in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no secret.
    No,
    /// What follows decides.
    More,
    /// From and to where it is, counted from the trigger, and what has to be removed after it.
    Secret(usize, usize, Rest),
}

/// What belongs to a secret whose end was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Rest {
    #[default]
    Nothing,
    /// More characters of a token.
    Token,
    /// More of a private key.
    PrivateKey,
}

/// A trigger of at most this length counts only at the beginning of a word.
const SHORT: usize = 5;
/// Tokens are examined up to here: what is longer is one already.
const LONGEST: usize = 256;
/// Longest JSON web token whose form is examined.
const LONGEST_JWT: usize = 8 * 1024;
/// Longest user and password in a URL.
const LONGEST_USER: usize = 512;
/// End of a private key.
const PEM_END: &[u8] = b"-----END ";
/// Longest end line of a private key.
const PEM_LINE: usize = 64;

/// The first two bytes of some patterns: by the first one, a bit for each second one, of which the lower six bits count.
#[derive(Clone)]
pub(super) struct Beginnings([u64; 256]);

impl Beginnings {
    /// Those of the triggers.
    pub const OF_TRIGGERS: Beginnings = {
        let mut beginnings = Beginnings([0; 256]);
        let mut at = 0;
        while at < TRIGGERS.len() {
            beginnings = beginnings.with(TRIGGERS[at].0.as_bytes());
            at += 1;
        }
        beginnings
    };

    /// Adds a pattern of at least two bytes.
    #[must_use]
    pub const fn with(mut self, pattern: &[u8]) -> Self {
        self.0[pattern[0] as usize] |= 1 << (pattern[1] & 63);
        self
    }

    /// Returns whether any of the patterns begins with this byte.
    pub fn has_first(&self, byte: u8) -> bool {
        self.0[byte as usize] != 0
    }

    /// Returns where one of the patterns may begin.
    pub fn in_text<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let may_begin = |pair: &[u8]| self.0[pair[0] as usize] & 1 << (pair[1] & 63) != 0;
        text.windows(2).enumerate().filter(move |(_, pair)| may_begin(pair)).map(|(at, _)| at)
    }
}

/// Returns whether a text contains a secret of any shape.
pub(super) fn is_in(text: &str) -> bool {
    static OF_TRIGGERS: Beginnings = Beginnings::OF_TRIGGERS;
    let bytes = text.as_bytes();
    OF_TRIGGERS.in_text(bytes).any(|at| {
        TRIGGERS.iter().any(|(trigger, shape)| {
            bytes[at..].starts_with(trigger.as_bytes())
                && matches!(shape.look(trigger.len(), &bytes[..at], &bytes[at..], true), Found::Secret(..))
        })
    })
}

pub(super) fn is_of_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

impl Shape {
    /// Looks at `rest`, which begins with the trigger; `before` ends with the bytes that precede it. With `is_all`, nothing
    /// follows.
    pub fn look(self, trigger: usize, before: &[u8], rest: &[u8], is_all: bool) -> Found {
        match self {
            Shape::Url => url(rest, is_all),
            Shape::PrivateKey => private_key(rest, is_all),
            Shape::Jwt => jwt(before, rest, is_all),
            _ => self.token(trigger, before, rest, is_all),
        }
    }

    fn token(self, trigger: usize, before: &[u8], rest: &[u8], is_all: bool) -> Found {
        // Encoded binary data contains every short trigger somewhere.
        if trigger <= SHORT && !begins_word(before) {
            return Found::No;
        }
        let belongs = |b: u8| is_of_token(b) || b == b'.' && matches!(self, Shape::Dotted(_));
        let body = &rest[trigger..];
        let length = body.iter().take(LONGEST).take_while(|b| belongs(**b)).count();
        if length == body.len() && length < LONGEST && !is_all {
            return Found::More;
        }
        let body = &body[..length];
        let is_one = match self {
            Shape::Token(n) => length >= n,
            Shape::Digits(n) | Shape::Dotted(n) => length >= n && body.iter().any(u8::is_ascii_digit),
            Shape::Mixed(n) => {
                let is_run = |run: &[u8]| run.len() >= 16 && run.iter().any(u8::is_ascii_digit);
                length >= n && body.split(|b| !b.is_ascii_alphanumeric()).any(is_run)
            }
            Shape::Alphanumeric(n) => {
                body.iter().take_while(|b| b.is_ascii_alphanumeric()).count() >= n
                    && body.iter().any(u8::is_ascii_digit)
            }
            Shape::Upper(n) => length == n && body.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
            Shape::Exact(n) => length == n,
            Shape::Jwt | Shape::Url | Shape::PrivateKey => false,
        };
        match is_one {
            true => Found::Secret(0, trigger + length, if length == LONGEST { Rest::Token } else { Rest::Nothing }),
            false => Found::No,
        }
    }
}

/// Returns whether a word can begin after these bytes: after no letter or digit, except those of an escape (`\n`, `%3D`,
/// `\u003d`).
pub(super) fn begins_word(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'%', _, _] | [.., b'\\', b'u', _, _, _, _] => true,
        [.., last] => !is_of_token(*last),
        [] => true,
    }
}

fn jwt(before: &[u8], rest: &[u8], is_all: bool) -> Found {
    if !begins_word(before) {
        return Found::No;
    }
    let length = rest.iter().take(LONGEST_JWT).take_while(|b| is_of_token(**b) || **b == b'.').count();
    if length == rest.len() && length < LONGEST_JWT && !is_all {
        return Found::More;
    }
    let mut end = length;
    while end > 0 && rest[end - 1] == b'.' {
        end -= 1;
    }
    let parts: Vec<&[u8]> = rest[..end].split(|b| *b == b'.').collect();
    let is_one =
        matches!(parts.len(), 3..=5) && parts[0].len() >= 12 && parts.iter().skip(2).all(|part| part.len() >= 8);
    match is_one {
        true => Found::Secret(0, end, if length == LONGEST_JWT { Rest::Token } else { Rest::Nothing }),
        false => Found::No,
    }
}

fn url(rest: &[u8], is_all: bool) -> Found {
    let authority = &rest[3..];
    let ends = |b: u8| b.is_ascii_whitespace() || b.is_ascii_control() || b"/?#\"'`<>\\()[]{},;|".contains(&b);
    let length = authority.iter().take(LONGEST_USER).take_while(|b| !ends(**b)).count();
    let after = authority.get(length).copied();
    // A placeholder such as `${PASSWORD}` or `<password>` is not a password.
    let is_placeholder = matches!(after, Some(b'{' | b'<' | b'['));
    if length == authority.len() && length < LONGEST_USER && !is_all {
        return Found::More;
    }
    let Some(at) = authority[..length].iter().rposition(|b| *b == b'@').filter(|_| !is_placeholder) else {
        return Found::No;
    };
    let user = &authority[..at];
    match user.iter().position(|b| *b == b':') {
        Some(colon) if is_password(&user[..colon], &user[colon + 1..]) => {
            Found::Secret(3 + colon + 1, 3 + at, Rest::Nothing)
        }
        None if user.len() >= 20 && user.iter().any(u8::is_ascii_digit) && user.iter().all(|b| is_of_token(*b)) => {
            Found::Secret(3, 3 + at, Rest::Nothing)
        }
        _ => Found::No,
    }
}

/// Returns whether this is a password, and not what a manual writes in its place.
fn is_password(user: &[u8], password: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"password",
        b"passwd",
        b"pass",
        b"pwd",
        b"pw",
        b"secret",
        b"token",
        b"key",
        b"apikey",
        b"api_key",
        b"xxx",
        b"user",
        b"postgres",
        b"example",
    ];
    let is_name = NAMES.iter().any(|name| password.eq_ignore_ascii_case(name));
    let is_variable = matches!(password, [b'$' | b'%' | b'*', ..]) && !password.iter().any(u8::is_ascii_digit);
    let is_one_letter = password.iter().all(|b| Some(b) == password.first());
    !password.is_empty() && !is_name && !is_variable && !is_one_letter && password != user && password != b"redacted"
}

fn private_key(rest: &[u8], is_all: bool) -> Found {
    let head = &rest[..rest.len().min(PEM_LINE)];
    let label = &head[11..];
    let Some(dashes) = find(label, b"-----") else {
        let is_label = label.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b' ' | b'-'));
        return if is_label && rest.len() < PEM_LINE && !is_all { Found::More } else { Found::No };
    };
    if !label[..dashes].ends_with(b"PRIVATE KEY") && !label[..dashes].ends_with(b"PRIVATE KEY BLOCK") {
        return Found::No;
    }
    // Code that names the first line of a key has none after it.
    let begin = 11 + dashes + 5;
    let breaks = rest[begin..].iter().take_while(|b| b.is_ascii_whitespace() || b"\\nr".contains(b)).count();
    let body = &rest[begin + breaks..];
    if body.len() < 16 && !is_all {
        return Found::More;
    }
    let is_body = body.len() >= 16 && body[..16].iter().all(|b| is_of_base64(*b) || b"-:, ".contains(b));
    match breaks > 0 && is_body {
        true => Found::Secret(0, begin + breaks, Rest::PrivateKey),
        false => Found::No,
    }
}

fn is_of_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"+/=".contains(&b)
}

/// Returns how many bytes of `rest` still belong to a private key, and whether it ends there. Without a decision the remaining
/// bytes are too few.
pub(super) fn of_private_key(rest: &[u8], is_all: bool) -> (usize, bool) {
    let belongs = |b: u8| is_of_base64(b) || b.is_ascii_whitespace() || b"\\-:,.()>|".contains(&b);
    if let Some(end) = find(rest, PEM_END)
        && rest[..end].iter().all(|b| belongs(*b))
    {
        let line = &rest[end + PEM_END.len()..];
        return match find(&line[..line.len().min(PEM_LINE)], b"-----") {
            Some(dashes) => (end + PEM_END.len() + dashes + 5, true),
            None if line.len() < PEM_LINE && !is_all => (end, false),
            None => (end + PEM_END.len(), true),
        };
    }
    match rest.iter().position(|b| !belongs(*b)) {
        Some(stranger) => (stranger, true),
        None if is_all => (rest.len(), true),
        // The end may have begun.
        None => (rest.len().saturating_sub(PEM_END.len()), false),
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
