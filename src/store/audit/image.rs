//! The content of some keys, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use super::Who;

/// What stands under one key.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A hash.
    Fields(BTreeMap<String, String>),
    /// A list.
    List(Vec<String>),
    /// A set.
    Set(BTreeSet<String>),
    /// A sorted set.
    Scores(BTreeMap<String, f64>),
    /// A string.
    Text(String),
}

/// Keys (without their namespace's prefix) with what stands there: the whole, or as much as a look was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image {
    /// By key.
    pub keys: BTreeMap<String, Content>,
}

impl Image {
    /// From the entries of `lua/record/look.lua`. A key may come in several, with some of its members each.
    pub(super) fn from_look(entries: Vec<Vec<String>>) -> Image {
        let mut image = Image::default();
        for entry in entries {
            let [key, kind, content @ ..] = entry.as_slice() else { continue };
            let (pairs, _) = content.as_chunks::<2>();
            let slot = image.keys.entry(key.clone());
            match kind.as_str() {
                "fields" => {
                    let Content::Fields(fields) = slot.or_insert(Content::Fields(BTreeMap::new())) else { continue };
                    fields.extend(pairs.iter().cloned().map(|[name, value]| (name, value)));
                }
                "list" => {
                    let Content::List(list) = slot.or_insert(Content::List(Vec::new())) else { continue };
                    list.extend_from_slice(content);
                }
                "set" => {
                    let Content::Set(set) = slot.or_insert(Content::Set(BTreeSet::new())) else { continue };
                    set.extend(content.iter().cloned());
                }
                "scores" => {
                    let Content::Scores(scores) = slot.or_insert(Content::Scores(BTreeMap::new())) else { continue };
                    scores.extend(pairs.iter().filter_map(|[m, score]| Some((m.clone(), score.parse().ok()?))));
                }
                _ => drop(slot.or_insert_with(|| Content::Text(content.concat()))),
            }
        }
        image
    }

    /// Everybody whom any structure names.
    pub(super) fn who(&self) -> Who {
        let mut who = Who::default();
        for (key, content) in &self.keys {
            who.named_by(key);
            match content {
                Content::Set(set) => who.members(key, set.iter().cloned()),
                Content::Scores(scores) => who.members(key, scores.keys().cloned()),
                _ => {}
            }
        }
        who
    }

    pub(super) fn record(&self, kind: &str, id: &str) -> Option<Record<'_>> {
        match self.keys.get(&format!("{kind}:{id}")) {
            Some(Content::Fields(fields)) => Some(Record(fields)),
            _ => None,
        }
    }

    /// The elements of a list: `kind` is the first part of its key.
    pub fn list(&self, kind: &str, id: &str) -> &[String] {
        match self.keys.get(&format!("{kind}:{id}")) {
            Some(Content::List(list)) => list,
            _ => &[],
        }
    }

    pub(super) fn set(&self, kind: &str, id: &str) -> impl Iterator<Item = &String> {
        let set = match self.keys.get(&format!("{kind}:{id}")) {
            Some(Content::Set(set)) => Some(set),
            _ => None,
        };
        set.into_iter().flatten()
    }

    pub(super) fn has(&self, key: &str, member: &str) -> bool {
        match self.keys.get(key) {
            Some(Content::Set(set)) => set.contains(member),
            Some(Content::Scores(scores)) => scores.contains_key(member),
            _ => false,
        }
    }

    pub(super) fn score(&self, key: &str, member: &str) -> Option<f64> {
        match self.keys.get(key) {
            Some(Content::Scores(scores)) => scores.get(member).copied(),
            _ => None,
        }
    }

    /// The sets of one of these kinds that have this member: `ready:shell`.
    pub(super) fn sets_with(&self, kinds: &[&str], member: &str) -> BTreeSet<String> {
        let of_kind = |key: &&String| key.split_once(':').is_some_and(|(kind, _)| kinds.contains(&kind));
        self.keys.keys().filter(of_kind).filter(|key| self.has(key, member)).cloned().collect()
    }
}

/// A hash as a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a>(&'a BTreeMap<String, String>);

impl<'a> Record<'a> {
    /// A field; '' where there is none.
    pub fn text(&self, name: &str) -> &'a str {
        self.0.get(name).map_or("", String::as_str)
    }
    /// A number; `None` where it is none, 0 where there is nothing.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).map_or(Some(0.0), |text| text.parse().ok())
    }
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
    /// The names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &'a String> + use<'a> {
        self.0.keys()
    }
}
