//! Parsers of the values of options.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::{
    model::{duration, task::TaskState},
    ops::types::{CostsBy, StateFilter},
};

/// `90s`, `5m`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
}

/// `K=V`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not a label: write KEY=VALUE")),
    }
}

/// `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' gives no variable a value: write NAME=VALUE")),
    }
}

/// A number, or `auto` for what sessions.toml says.
pub(super) fn scale(text: &str) -> Result<Option<u32>, String> {
    match text {
        "auto" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| format!("'{text}' is neither a number of agents (0, 1, 2...) nor 'auto'")),
    }
}

/// A number within bounds that the message names.
pub(super) fn within(from: u64, to: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| match text.parse() {
        Ok(n) if (from..=to).contains(&n) => Ok(n),
        _ => Err(format!("'{text}' is not a number from {from} to {to}")),
    }
}

/// How many of something to list.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("'{text}' is not a number of 1 or more")),
    }
}

/// `K` or `K=V`.
pub(super) fn label_filter(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        _ => Err(format!("'{text}' names no label: write KEY or KEY=VALUE")),
    }
}

/// States of tasks to list, listed in the help and in completions.
pub(super) fn state_filter() -> impl TypedValueParser<Value = StateFilter> {
    PossibleValuesParser::new(StateFilter::ALL.iter().map(|s| s.as_str())).try_map(|word| word.parse())
}

/// The state of a task that has ended.
pub(super) fn ended_state() -> impl TypedValueParser<Value = TaskState> {
    let ended = TaskState::ALL.iter().filter(|state| state.is_terminal());
    PossibleValuesParser::new(ended.map(|state| state.as_str())).try_map(|word| word.parse())
}

/// What each line of `orch costs` is about.
pub(super) fn costs_by() -> impl TypedValueParser<Value = CostsBy> {
    PossibleValuesParser::new(["role", "agent", "day", "task", "plan"]).map(|word| match word.as_str() {
        "agent" => CostsBy::Agent,
        "day" => CostsBy::Day,
        "task" => CostsBy::Task,
        "plan" => CostsBy::Plan,
        _ => CostsBy::Role,
    })
}
