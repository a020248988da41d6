//! Delegated work from end to end: what people and agents delegate, what their programs receive, and how it ends.

mod bounds;
mod cancel;
mod contract;
mod drafts;
mod fleet;
mod hierarchy;
mod locks;
mod order;
mod output;
mod people;
mod plans;
mod planted;
mod projects;
mod reload;
mod retries;
mod rights;
mod routing;
mod schedules;
mod secrets;
mod shapes;
mod spend;
mod texts;
mod verbs;
mod waits;

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::common::World;

/// Writes an executable script into the project's folder.
fn program(world: &World, name: &str, script: &str) {
    let path = world.project.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// Delegates with these arguments, waits until the task has ended in any way, and returns it.
#[track_caller]
fn done(world: &World, words: &[&str]) -> Value {
    let id = delegated(world, words);
    let waited = world.orch(&["wait", &id, "--timeout", "30s"]);
    assert!(matches!(waited.code, 0 | 1), "{waited:#?}");
    world.show(&id)
}

/// Delegates with these arguments, and returns the task's id.
#[track_caller]
fn delegated(world: &World, words: &[&str]) -> String {
    text(&world.orch_json(&[&["delegate"], words].concat())["id"])
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Returns a time of the JSON in milliseconds since the Unix epoch.
#[track_caller]
fn ms(value: &Value) -> i64 {
    let time: orch::model::time::Timestamp = serde_json::from_value(value.clone()).expect("a time");
    time.0 as i64
}

/// Returns one field of every entry.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array().expect("a list").iter().map(|entry| &entry[field]).collect()
}
