//! Compares the commands that the store uses with those that the private server's users may call
//! ([`crate::redis_server::COMMANDS`]).

use std::{collections::BTreeSet, fs, path::Path};

use super::script;
use crate::redis_server::{Access, COMMANDS};

/// What only the supervisor calls: to migrate records, to compare the server's configuration, and for a drill.
const OF_THE_SUPERVISOR: &[&str] = &["acl", "client", "config", "dbsize", "memory", "renamenx", "replicaof", "script"];

/// The first word after each `before` in `text`, where it is a quoted one.
fn words_after(text: &str, before: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(quote).next().map(str::to_lowercase)
    };
    text.split(before).skip(1).filter_map(|rest| word(rest.trim_start())).collect()
}

fn of_transitions() -> BTreeSet<String> {
    let text: String = script::ALL.iter().map(|script| script.text()).collect();
    for call in ["redis.call(", "redis.pcall("] {
        let named = text.split(call).skip(1).all(|rest| rest.trim_start().starts_with('\''));
        assert!(named, "each command is a literal, so that this test sees it");
    }
    &words_after(&text, "redis.call(") | &words_after(&text, "redis.pcall(")
}

fn of_calls() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|e| e != "rs") || path.ends_with("commands.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for before in ["redis::cmd(", ".cmd(", "=> cmd.arg(", "redis.call("] {
            used.extend(words_after(text, before));
        }
    }
    // Every connection may do this before it is anybody's.
    used.remove("auth");
    // By the client library: it has functions for these.
    used.insert("subscribe".into());
    used
}

#[test]
fn users_may_use_exactly_the_keys_of_their_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::read_or_create(dir.path()).unwrap();
    let prefix = super::Keys::new("shop").prefix().to_owned();
    for user in access.rules("shop").iter().filter(|user| matches!(user.user.as_str(), "runner" | "person")) {
        for rule in user.rules.iter().filter(|rule| rule.starts_with(['~', '&'])) {
            assert_eq!(rule[1..], format!("{prefix}*"));
        }
    }
}

#[test]
fn users_may_call_exactly_what_the_store_uses() {
    let used = &of_transitions() | &of_calls();
    let allowed: BTreeSet<String> = COMMANDS.iter().chain(OF_THE_SUPERVISOR).map(|word| word.to_string()).collect();
    let missing: Vec<_> = used.difference(&allowed).collect();
    let too_many: Vec<_> = allowed.difference(&used).collect();
    assert!(missing.is_empty() && too_many.is_empty(), "missing: {missing:?}, not used: {too_many:?}");
    assert!(COMMANDS.is_sorted(), "in the order of the alphabet");
}
