//! Reads one table of sessions.toml, key by key, and reports what it does not understand.
//!
//! A key is known because the reader asked for it, so no second list of keys can become outdated.

use std::{collections::BTreeMap, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{
    diagnostics::{At, dotted},
    reader::{Reader, Shape, Unknown},
};
use crate::model::{duration, size, suggest::printable};

/// A value that is one of two things.
#[derive(Debug)]
pub(super) enum Either<T, L> {
    Word(T),
    List(L),
}

/// One table while it is read. A table that is missing reads as empty.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader,
    path: String,
    kind: &'static str,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<(&'static str, Shape)>,
}

impl<'r, 'a> Section<'r, 'a> {
    /// The file's top level.
    pub fn root(reader: &'r mut Reader, table: &'a DeTable<'a>) -> Self {
        Section { reader, path: String::new(), kind: "", table: Some(table), asked: Vec::new() }
    }
}

impl<'a> Section<'_, 'a> {
    /// Returns the table `key` in this one. `kind` is the name of all such tables in messages.
    pub fn section(&mut self, key: &'static str, kind: &'static str) -> Section<'_, 'a> {
        let found = self.get(key, Shape::Table(kind));
        let table = found.and_then(|at| self.as_table(key, at));
        Section { path: self.key(key), reader: self.reader, kind, table, asked: Vec::new() }
    }

    /// Passes over tables that are read elsewhere.
    pub fn pass_over(&mut self, key: &'static str) {
        if let Some(found) = self.get(key, Shape::Tables) {
            self.as_table(key, found);
        }
    }

    /// Reads every table in this one with `read`, which gets the table's key and its line.
    pub fn each<T>(self, kind: &'static str, mut read: impl FnMut(At<&str>, &mut Section<'_, 'a>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let line = self.reader.diagnostics.line_of(key.span().start);
            let (key, path) = (key.get_ref().as_ref(), dotted(&self.path, key.get_ref()));
            let Some(table) = value.get_ref().as_table() else {
                self.reader.diagnostics.add(line, path, must_be("a table", value.get_ref()));
                continue;
            };
            let mut section = Section { reader: self.reader, path, kind, table: Some(table), asked: Vec::new() };
            all.push(read(At { line, value: key }, &mut section));
            section.finish();
        }
        all
    }

    /// Ends the table: keys that were not asked for are unknown.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            if !self.asked.iter().any(|(asked, _)| asked == key.get_ref()) {
                self.reader.unknown.push(Unknown {
                    line: self.reader.diagnostics.line_of(key.span().start),
                    table: self.path.clone(),
                    kind: self.kind,
                    key: key.get_ref().to_string(),
                });
            }
        }
        self.reader.known.insert(self.kind, self.asked);
    }

    /// Returns the full name of `key`, as in messages.
    pub fn key(&self, key: &str) -> String {
        dotted(&self.path, key)
    }

    pub fn report(&mut self, line: usize, key: &str, what: impl std::fmt::Display) {
        let key = self.key(key);
        self.reader.diagnostics.add(line, key, what);
    }

    /// Reports an error about the table itself.
    pub fn report_table(&mut self, line: usize, what: impl std::fmt::Display) {
        self.reader.diagnostics.add(line, self.path.clone(), what);
    }

    fn get(&mut self, key: &'static str, shape: Shape) -> Option<At<&'a DeValue<'a>>> {
        self.asked.push((key, shape));
        let (key, value) = self.table?.get_key_value(key)?;
        Some(At { line: self.reader.diagnostics.line_of(key.span().start), value: value.get_ref() })
    }

    fn as_table(&mut self, key: &str, at: At<&'a DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let table = at.value.as_table();
        if table.is_none() {
            self.report(at.line, key, must_be("a table", at.value));
        }
        table
    }

    /// Reads a string.
    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        self.checked(key, |text| Ok(text.to_owned()))
    }

    /// Reads a string and converts it with `read`, which returns why it can't.
    pub fn checked<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        self.string(key, Shape::Text, read)
    }

    /// Reads one of these words and converts it with `read`.
    pub fn one_of<T>(
        &mut self,
        key: &'static str,
        words: &[&'static str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        self.string(key, Shape::OneOf(words.to_vec()), read)
    }

    fn string<T>(
        &mut self,
        key: &'static str,
        shape: Shape,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let at = self.get(key, shape)?;
        self.read_string(key, at, read)
    }

    fn read_string<T>(
        &mut self,
        key: &str,
        At { line, value }: At<&DeValue<'_>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let Some(text) = value.as_str() else {
            self.report(line, key, must_be("a string", value));
            return None;
        };
        match read(text) {
            Ok(value) => Some(At { line, value }),
            Err(why) => {
                self.report(line, key, format!("is wrong: {why}"));
                None
            }
        }
    }

    /// Reads a duration with its unit, at least `least`.
    pub fn duration(&mut self, key: &'static str, least: Duration) -> Option<At<Duration>> {
        let At { line, value } = self.get(key, Shape::Duration { least })?;
        let what = match value {
            // Parsed as it would be shown: the sentence about a wrong one quotes it, and a right one shows as it is.
            DeValue::String(text) => match duration::parse(&printable(text)) {
                Ok(value) if value >= least => return Some(At { line, value }),
                Ok(_) => format!("must be at least {}, not {}", duration::human(least), printable(text)),
                Err(why) => format!("is wrong: {why}"),
            },
            DeValue::Integer(_) | DeValue::Float(_) => {
                format!("has no unit: write \"{value}s\" for seconds or \"{value}m\" for minutes", value = bare(value))
            }
            _ => must_be("a duration with its unit, such as \"90s\", \"5m\" or \"2h\"", value),
        };
        self.report(line, key, what);
        None
    }

    /// Reads a size with its unit, at least `least`, in bytes.
    pub fn size(&mut self, key: &'static str, least: u64) -> Option<At<u64>> {
        let At { line, value } = self.get(key, Shape::Size { least })?;
        let what = match value {
            DeValue::String(text) => match size::parse(&printable(text)) {
                Ok(value) if value >= least => return Some(At { line, value }),
                Ok(_) => format!("must be at least {}, not {}", size::human(least), printable(text)),
                Err(why) => format!("is wrong: {why}"),
            },
            DeValue::Integer(_) | DeValue::Float(_) => {
                format!("has no unit: write \"{value}M\" for MiB or \"{value}G\" for GiB", value = bare(value))
            }
            _ => must_be("a size with its unit, such as \"512K\", \"100M\" or \"4G\"", value),
        };
        self.report(line, key, what);
        None
    }

    /// Reads a whole number, at least `least`.
    pub fn count(&mut self, key: &'static str, least: u32) -> Option<At<u32>> {
        let At { line, value } = self.get(key, Shape::Count { least })?;
        let what = match value.as_integer() {
            Some(number) => match u32::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) if value >= least => return Some(At { line, value }),
                _ => format!("must be a whole number from {least} to {}, not {}", u32::MAX, bare(value)),
            },
            None => must_be("a whole number", value),
        };
        self.report(line, key, what);
        None
    }

    /// Reads a number, at least `least`.
    pub fn number(&mut self, key: &'static str, least: f64) -> Option<At<f64>> {
        let At { line, value } = self.get(key, Shape::Number { least })?;
        let what = match value {
            DeValue::Float(_) | DeValue::Integer(_) => match bare(value).parse::<f64>() {
                Ok(value) if value.is_finite() && value >= least => return Some(At { line, value }),
                _ => format!("must be a number of at least {least}, not {}", bare(value)),
            },
            _ => must_be("a number", value),
        };
        self.report(line, key, what);
        None
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        let At { line, value } = self.get(key, Shape::Flag)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.report(line, key, must_be("true or false", value));
        }
        flag.map(|value| At { line, value })
    }

    /// Reads a list of strings that all pass `check`, each with its own line.
    pub fn list(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<At<Vec<At<String>>>> {
        self.list_of(key, &[], |text| check(text).map(|()| text.to_owned()))
    }

    /// Reads a list of strings and converts each with `read`; each keeps its own line. `words` are the strings that the list
    /// may contain; empty: any.
    pub fn list_of<T>(
        &mut self,
        key: &'static str,
        words: &[&'static str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<Vec<At<T>>>> {
        let at = self.get(key, Shape::List { of: words.to_vec() })?;
        self.read_list(key, at, read)
    }

    fn read_list<T>(
        &mut self,
        key: &str,
        At { line, value }: At<&DeValue<'_>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<Vec<At<T>>>> {
        let Some(array) = value.as_array() else {
            self.report(line, key, must_be("a list of strings, such as [\"a\", \"b\"]", value));
            return None;
        };
        let mut list = Vec::with_capacity(array.len());
        for item in array.iter() {
            let line = self.reader.diagnostics.line_of(item.span().start);
            match item.get_ref().as_str().map(&read) {
                Some(Ok(value)) => list.push(At { line, value }),
                Some(Err(why)) => self.report(line, key, format!("is wrong: {why}")),
                None => self.report(line, key, must_be("a list of strings only", item.get_ref())),
            }
        }
        Some(At { line, value: list })
    }

    /// Reads one of these words and converts it with `read`, or a list of strings and converts each with `item`.
    pub fn one_of_or_list<T, E>(
        &mut self,
        key: &'static str,
        words: &[&'static str],
        read: impl Fn(&str) -> Result<T, String>,
        item: impl Fn(&str) -> Result<E, String>,
    ) -> Option<At<Either<T, Vec<At<E>>>>> {
        let at = self.get(key, Shape::OneOfOrList(words.to_vec()))?;
        match at.value.is_str() {
            true => self.read_string(key, at, read).map(|at| At { line: at.line, value: Either::Word(at.value) }),
            false => self.read_list(key, at, item).map(|at| At { line: at.line, value: Either::List(at.value) }),
        }
    }

    /// Reads a table of strings whose keys and values pass `check`.
    pub fn map(
        &mut self,
        key: &'static str,
        check: impl Fn(&str, &str) -> Result<(), String>,
    ) -> Option<BTreeMap<String, String>> {
        let at = self.get(key, Shape::Map)?;
        let table = self.as_table(key, at)?;
        let mut map = BTreeMap::new();
        for (name, value) in table {
            let line = self.reader.diagnostics.line_of(name.span().start);
            let path = dotted(&self.key(key), name.get_ref());
            let what = match value.get_ref().as_str() {
                Some(text) => match check(name.get_ref(), text) {
                    Ok(()) => {
                        map.insert(name.get_ref().to_string(), text.to_owned());
                        continue;
                    }
                    Err(why) => format!("is wrong: {why}"),
                },
                None => must_be("a string", value.get_ref()) + "; put it in quotes",
            };
            self.reader.diagnostics.add(line, path, what);
        }
        Some(map)
    }
}

fn must_be(wanted: &str, found: &DeValue<'_>) -> String {
    let article = if found.is_integer() || found.is_array() { "an" } else { "a" };
    format!("must be {wanted}, not {article} {}", found.type_str())
}

/// Returns a number as it was written, without quotes.
fn bare(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => printable(&number.to_string()),
        DeValue::Float(number) => printable(&number.to_string()),
        other => other.type_str().to_owned(),
    }
}
