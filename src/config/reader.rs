//! What is collected while sessions.toml is read: its errors, and the keys that its tables know.

use std::{collections::BTreeMap, time::Duration};

use toml::de::DeTable;

use super::{
    diagnostics::{Diagnostics, dotted},
    section::Section,
};
use crate::model::suggest::nearest;

/// What is collected while a file is read.
pub(super) struct Reader {
    pub diagnostics: Diagnostics,
    /// The keys that each kind of table knows.
    pub(super) known: Known,
    /// The keys that nobody has asked for.
    pub(super) unknown: Vec<Unknown>,
}

/// Every key that was asked for, with its shape, by the kind of table.
pub(super) type Known = BTreeMap<&'static str, Vec<(&'static str, Shape)>>;

/// What the value of one key may be, as far as the key alone decides it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A string that stands for something, or that is taken as it is.
    Text,
    /// One of these strings.
    OneOf(Vec<&'static str>),
    /// A string such as `"90s"`.
    Duration { least: Duration },
    /// A string such as `"4G"`.
    Size { least: u64 },
    /// A whole number.
    Count { least: u32 },
    /// A number, whole or not.
    Number { least: f64 },
    /// `true` or `false`.
    Flag,
    /// A list of strings; where `of` is not empty, of these.
    List { of: Vec<&'static str> },
    /// One of these strings, or a list of others.
    OneOfOrList(Vec<&'static str>),
    /// A table of strings whose keys are free.
    Map,
    /// A table of this kind.
    Table(&'static str),
    /// Tables whose names and keys another reader knows.
    Tables,
}

/// A key that its table does not know.
pub(super) struct Unknown {
    pub line: usize,
    pub table: String,
    pub kind: &'static str,
    pub key: String,
}

impl Reader {
    pub fn new(diagnostics: Diagnostics) -> Self {
        Reader { diagnostics, known: BTreeMap::new(), unknown: Vec::new() }
    }

    /// The file's top level.
    pub fn root<'r, 'a>(&'r mut self, table: &'a DeTable<'a>) -> Section<'r, 'a> {
        Section::root(self, table)
    }

    /// Reports the keys that were not asked for. This comes last, because only then it is known in which table a key belongs.
    pub fn finish(mut self) -> Diagnostics {
        for Unknown { line, table, kind, key } in std::mem::take(&mut self.unknown) {
            let all = self.known.get(kind).into_iter().flatten();
            let known: Vec<&str> =
                all.filter(|(_, shape)| !matches!(shape, Shape::Tables)).map(|(key, _)| *key).collect();
            // A table below the one at hand is likelier meant than one elsewhere.
            let elsewhere = |kinds: &str| {
                let mut homes = self.known.iter().filter(|(home, keys)| {
                    !home.is_empty() && home.starts_with(kinds) && keys.iter().any(|(known, _)| *known == key)
                });
                homes.next().map(|(home, _)| *home)
            };
            let what = if let Some(home) = elsewhere(kind).or_else(|| elsewhere("")) {
                format!("is not a known key here; it belongs in [{home}]")
            } else if let Some(near) = nearest(&key, known.iter().copied()) {
                format!("is not a known key; did you mean {near}?")
            } else {
                format!("is not a known key; the keys here are {}", known.join(", "))
            };
            self.diagnostics.add(line, dotted(&table, &key), what);
        }
        self.diagnostics
    }

    /// The keys that were asked for.
    pub fn into_known(self) -> Known {
        self.known
    }
}
