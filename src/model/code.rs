//! A code from any of the vocabularies, for places that show several: events, errors, answers in JSON.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    cause::Cause, end_code::EndCode, error_kind::Kind, event_kind::EventKind, gate::GateCode, refusal::Refusal,
};

/// One word of one of the vocabularies. Two are equal if their words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static str);

impl Code {
    /// The word as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the code with this word, if any vocabulary has it.
    pub fn of_word(word: &str) -> Option<Code> {
        fn find<T: Copy + Into<Code>>(all: &[T], word: &str) -> Option<Code> {
            all.iter().map(|one| (*one).into()).find(|code: &Code| code.0 == word)
        }
        find(EndCode::ALL, word)
            .or_else(|| find(EventKind::ALL, word))
            .or_else(|| find(GateCode::ALL, word))
            .or_else(|| find(Refusal::ALL, word))
            .or_else(|| find(Cause::ALL, word))
            .or_else(|| find(Kind::ALL, word))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(d)?;
        Code::of_word(&word).ok_or_else(|| de::Error::custom(format!("'{word}' is not a code")))
    }
}

macro_rules! from_vocabulary {
    ($($vocabulary:ty),+) => {
        $(impl From<$vocabulary> for Code {
            fn from(word: $vocabulary) -> Code {
                Code(word.as_str())
            }
        })+
    };
}
from_vocabulary!(Cause, EndCode, EventKind, GateCode, Kind, Refusal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_word() {
        for code in [Code::from(EndCode::OverMemory), EventKind::TaskReady.into(), Refusal::KeyTaken.into()] {
            assert_eq!(Code::of_word(code.as_str()), Some(code));
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
        }
        assert_eq!(Code::of_word("no such word"), None);
    }
}
