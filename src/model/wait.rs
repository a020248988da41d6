//! What an agent's program waits for: a person, or a service that does not answer.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::{text::in_one_line, time::Timestamp, words};

/// The maximum width, in columns, of the text that describes what a program asks for or why it retries.
pub const COLUMNS: usize = 120;

words! {
    /// What an agent's program asks its user for.
    Needs: "need" {
        /// Permission to do something.
        Permission = "permission",
        /// An answer to a question.
        Input = "input",
        /// A login.
        Login = "login",
        /// A look at the error with which its last turn ended.
        Error = "error",
    }
}

/// What a program waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Its user.
    Person(Need),
    /// Its service; the program retries the call automatically.
    Service(Retry),
}

impl Wait {
    /// Fit to be stored and shown: what others wrote in it goes through `clean` and becomes one short line.
    pub fn shown(mut self, clean: impl Fn(String) -> String) -> Self {
        let (Wait::Person(Need { of: text, .. }) | Wait::Service(Retry { why: text, .. })) = &mut self;
        *text = in_one_line(&clean(std::mem::take(text)), COLUMNS);
        self
    }
}

/// As the end of a sentence about the program.
impl Display for Wait {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Wait::Person(need) => need.fmt(f),
            Wait::Service(retry) => retry.fmt(f),
        }
    }
}

/// What a program asks its user for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The kind.
    pub what: Needs,
    /// What exactly: what it wants to do (`run Bash: npm test`), its question, why it is not let in. Empty: not known.
    pub of: String,
}

/// Formats it as the end of a sentence about the program, as `lua/prelude/people.lua` does.
impl Display for Need {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match (self.what, self.of.as_str()) {
            (Needs::Error, "") => f.write_str("stopped with an error"),
            (Needs::Error, of) => write!(f, "stopped with an error: {of}"),
            (Needs::Login, "") => f.write_str("asks for login"),
            // Its screen is not understood, or shows no question.
            (what, "") => write!(f, "asks for {what}: see its screen"),
            (Needs::Permission, of) => write!(f, "asks to {of}"),
            (Needs::Input, of) => write!(f, "asks: {of}"),
            (Needs::Login, of) => write!(f, "asks for login: {of}"),
        }
    }
}

/// A call to its service that a program retries automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The number of the next try, if the program counts them.
    pub attempt: Option<u64>,
    /// The number of tries, if the program names it.
    pub of: Option<u64>,
    /// Why the previous try failed.
    pub why: String,
    /// The end of the limit that its account has reached. Then the program does not retry automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<Timestamp>,
}

/// As the end of a sentence about the program.
impl Display for Retry {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        if self.limited_until.is_some() {
            return write!(f, "has reached a limit of its service: {}", self.why);
        }
        f.write_str("tries again")?;
        self.attempt.map_or(Ok(()), |attempt| write!(f, " {attempt}"))?;
        self.of.map_or(Ok(()), |of| write!(f, " of {of}"))?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// The same, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrying {
    /// The call.
    #[serde(flatten)]
    pub retry: Retry,
    /// When the program began to repeat it.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_ends_a_sentence() {
        for (what, of, said) in [
            (Needs::Permission, "run Bash: npm publish", "asks to run Bash: npm publish"),
            (Needs::Input, "Which one?", "asks: Which one?"),
            (Needs::Login, "not logged in", "asks for login: not logged in"),
            (Needs::Login, "", "asks for login"),
            (Needs::Permission, "", "asks for permission: see its screen"),
        ] {
            assert_eq!(Need { what, of: of.into() }.to_string(), said);
        }
        let retry = |attempt, of, why: &str| Retry { attempt, of, why: why.into(), limited_until: None }.to_string();
        assert_eq!(retry(Some(3), Some(10), "overloaded (529)"), "tries again 3 of 10: overloaded (529)");
        assert_eq!(retry(Some(3), None, ""), "tries again 3");
        assert_eq!(retry(None, None, "no network"), "tries again: no network");
    }

    #[test]
    fn what_others_wrote_is_cleaned_before_it_is_cut() {
        let asked = Need { what: Needs::Permission, of: format!("run Bash: {}SECRET\n\u{1b}[2Jls", "x".repeat(105)) };
        let Wait::Person(asked) = Wait::Person(asked).shown(|text| text.replace("SECRET", "[redacted]")) else {
            panic!("another one")
        };
        assert!(asked.of.ends_with("x[red…") || asked.of.ends_with("x[re…"), "{}", asked.of);
        assert!(!asked.of.contains(['\n', '\u{1b}']) && !asked.of.contains('S'), "{}", asked.of);
    }
}
