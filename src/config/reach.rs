//! Which rights a role reaches through other roles, for `orch start` and `orch doctor`.
//!
//! A delegation without approval goes to a role with no further right, so it passes none on. Only `delegates_to` can:
//! directly, or through a chain with a role that has this key.

use std::collections::{BTreeMap, VecDeque};

use super::{Right, Rights, Role};

/// A right that a role lacks, and reaches without a person's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The role that lacks it.
    pub role: String,
    /// The right.
    pub right: Right,
    /// The shortest chain of delegations that leads to it, from the role on.
    pub chain: Vec<String>,
}

impl Reach {
    /// Describes it in a sentence.
    pub fn sentence(&self) -> String {
        format!(
            "role {} may not {}, and reaches it by delegates_to: {}",
            self.role,
            self.right,
            self.chain.join(" -> ")
        )
    }
}

/// Returns the rights that each role reaches and lacks, each with its shortest chain.
pub fn reach(roles: &BTreeMap<String, Role>, rights: &BTreeMap<String, Rights>) -> Vec<Reach> {
    roles.keys().flat_map(|role| reached_by(role, roles, rights)).collect()
}

/// Returns the roles to which `from` delegates without approval, as far as they can lead to a further right: of roles
/// without `delegates_to`, only those that have it.
fn next<'a>(from: &str, roles: &'a BTreeMap<String, Role>, rights: &BTreeMap<String, Rights>) -> Vec<&'a str> {
    let (Some(role), Some(own)) = (roles.get(from), rights.get(from)) else { return Vec::new() };
    let is_within = |name: &str| rights.get(name).is_some_and(|its| its.beyond(own).is_empty());
    let all = roles.iter().map(|(name, role)| (name.as_str(), role));
    match &role.delegates_to {
        Some(named) => all.filter(|(name, _)| named.iter().any(|one| one == name)).map(|(name, _)| name).collect(),
        None => all.filter(|(name, to)| to.delegates_to.is_some() && is_within(name)).map(|(name, _)| name).collect(),
    }
}

fn reached_by(role: &str, roles: &BTreeMap<String, Role>, rights: &BTreeMap<String, Rights>) -> Vec<Reach> {
    let Some(own) = rights.get(role) else { return Vec::new() };
    let mut found: Vec<Reach> = Vec::new();
    // Each role that is reached, and the one before it.
    let mut before: BTreeMap<&str, Option<&str>> = BTreeMap::from([(role, None)]);
    let mut open = VecDeque::from([role]);
    while let Some(from) = open.pop_front() {
        for to in next(from, roles, rights) {
            if before.contains_key(to) {
                continue;
            }
            before.insert(to, Some(from));
            open.push_back(to);
            for right in rights.get(to).map(|its| its.beyond(own)).unwrap_or_default() {
                if found.iter().all(|known| known.right != right) {
                    found.push(Reach { role: role.to_owned(), right, chain: chain(to, &before) });
                }
            }
        }
    }
    found
}

/// The way to a role, from its beginning.
fn chain(to: &str, before: &BTreeMap<&str, Option<&str>>) -> Vec<String> {
    let mut chain = vec![to.to_owned()];
    let mut at = to;
    while let Some(Some(from)) = before.get(at) {
        chain.push((*from).to_owned());
        at = from;
    }
    chain.reverse();
    chain
}
