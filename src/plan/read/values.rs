//! Single values of a document, each with the mistake to report if it has the wrong type.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use super::{LONGEST_KEY, Mistake, Table};
use crate::{
    model::{
        budget, duration,
        pattern::{Pattern, expand},
        suggest::{nearest, printable},
    },
    plan::{
        Placed,
        node::{Node, Value},
    },
};

/// Reads values, and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Reader {
    pub mistakes: Vec<Mistake>,
}

impl Reader {
    pub fn wrong(&mut self, at: usize, key: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, key, what));
    }

    pub fn table<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a Table> {
        match &node.value {
            Value::Table(table) => Some(table),
            other => {
                self.wrong(node.at, path, format!("must be a table, not {}", other.kind()));
                None
            }
        }
    }

    pub fn known(&mut self, table: &Table, path: &str, known: &[&str]) {
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let meant = match nearest(&key.name, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            let dot = if path.is_empty() { "" } else { "." };
            self.wrong(key.at, format!("{path}{dot}{}", printable(&key.name)), format!("is not a known key; {meant}"));
        }
    }

    pub fn is_key(&mut self, at: usize, path: &str, key: &str) -> bool {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(is_word);
        if !fits {
            self.wrong(at, path, format!("must be 1 to {LONGEST_KEY} letters, digits, - and _"));
        }
        fits
    }

    pub fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                self.wrong(node.at, path, format!("must be a text, not {}", other.kind()));
                None
            }
        }
    }

    pub fn text_at(&mut self, table: &Table, path: &str, key: &str) -> Option<String> {
        field(table, key).and_then(|node| self.text(node, &joined(path, key)))
    }

    pub fn texts_at(&mut self, table: &Table, path: &str, key: &str) -> Vec<String> {
        let Some(node) = field(table, key) else { return Vec::new() };
        let path = joined(path, key);
        match &node.value {
            Value::List(list) => list.iter().filter_map(|node| self.text(node, &path)).collect(),
            other => {
                self.wrong(node.at, path, format!("must be a list of texts, not {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// Patterns of paths. Whether they leave the project is found where they are resolved.
    pub fn patterns_at(&mut self, table: &Table, path: &str, key: &str) -> Vec<Placed> {
        let Some(node) = field(table, key) else { return Vec::new() };
        let path = joined(path, key);
        let Value::List(list) = &node.value else {
            self.wrong(node.at, path, format!("must be a list of patterns, not {}", node.value.kind()));
            return Vec::new();
        };
        let mut patterns = Vec::with_capacity(list.len());
        for node in list {
            let Some(text) = self.text(node, &path) else { continue };
            let wrong = match expand(&text) {
                Ok(all) => {
                    all.iter().filter(|text| !text.starts_with('/')).find_map(|text| text.parse::<Pattern>().err())
                }
                Err(wrong) => Some(wrong),
            };
            if let Some(wrong) = wrong {
                self.wrong(node.at, &path, no_pattern(&text, &wrong));
            }
            patterns.push(Placed { at: node.at, text });
        }
        patterns
    }

    pub fn word_at<T: Copy>(
        &mut self,
        table: &Table,
        path: &str,
        key: &str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Option<T> {
        let node = field(table, key)?;
        let text = self.text(node, &joined(path, key))?;
        let found = all.iter().copied().find(|one| word(*one) == text);
        if found.is_none() {
            let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
            let meant =
                nearest(&text, words.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let what = format!("is '{}', and must be one of {}{meant}", printable(&text), words.join(", "));
            self.wrong(node.at, joined(path, key), what);
        }
        found
    }

    pub fn duration_at(&mut self, table: &Table, path: &str, key: &str) -> Option<Duration> {
        let node = field(table, key)?;
        let text = self.text(node, &joined(path, key))?;
        match duration::parse(&text) {
            Ok(limit) if limit > Duration::ZERO => Some(limit),
            Ok(_) => {
                self.wrong(node.at, joined(path, key), "must be longer than 0");
                None
            }
            Err(what) => {
                self.wrong(node.at, joined(path, key), format!("is no duration: {what}"));
                None
            }
        }
    }

    pub fn count_at(&mut self, table: &Table, path: &str, key: &str) -> Option<u32> {
        self.number_at(table, path, key, 0..=u32::MAX)
    }

    pub fn number_at(&mut self, table: &Table, path: &str, key: &str, within: RangeInclusive<u32>) -> Option<u32> {
        let node = field(table, key)?;
        let (least, most) = (*within.start(), *within.end());
        match node.value {
            Value::Number(number)
                if number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number) =>
            {
                Some(number as u32)
            }
            _ => {
                let bound = if most == u32::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
                self.wrong(node.at, joined(path, key), format!("must be a whole number, {bound}"));
                None
            }
        }
    }

    pub fn tokens_at(&mut self, table: &Table, path: &str, key: &str) -> Option<u64> {
        let node = field(table, key)?;
        match node.value {
            Value::Number(number) if number.fract() == 0.0 && (1.0..=1e12).contains(&number) => Some(number as u64),
            _ => {
                self.wrong(node.at, joined(path, key), "must be a whole number of tokens, 1 or more");
                None
            }
        }
    }

    pub fn usd_at(&mut self, table: &Table, path: &str, key: &str) -> Option<f64> {
        let node = field(table, key)?;
        match node.value {
            Value::Number(number) if (budget::LEAST_USD..=budget::MOST_USD).contains(&number) => Some(number),
            _ => {
                let what =
                    format!("must be an amount in US dollars, from {} to {}", budget::LEAST_USD, budget::MOST_USD);
                self.wrong(node.at, joined(path, key), what);
                None
            }
        }
    }

    pub fn labels_at(&mut self, table: &Table, path: &str, key: &str) -> BTreeMap<String, String> {
        let Some(node) = field(table, key) else { return BTreeMap::new() };
        let path = joined(path, key);
        let Some(table) = self.table(node, &path) else { return BTreeMap::new() };
        let read = table.iter().filter_map(|(key, node)| Some((key.name.clone(), self.text(node, &path)?)));
        read.collect()
    }

    pub fn json_at(&mut self, table: &Table, _path: &str, key: &str) -> Option<serde_json::Value> {
        field(table, key).map(|node| node.value.json())
    }
}

/// What is wrong with a text that is no pattern of paths, as the end of a sentence.
pub fn no_pattern(text: &str, why: &str) -> String {
    format!("is no pattern: '{}': {why}", printable(text))
}

pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(super) fn field<'a>(table: &'a Table, name: &str) -> Option<&'a Node> {
    table.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
}
