//! Stored records: whatever is in them, they read, or are damaged in words that name their key.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    StoreError,
    decode::{self, Fields},
    observe::Requests,
    quarantine,
};
use crate::model::{id::TaskId, time::Timestamp};

const KEY: &str = "orch:{n}:task:t-7k2m9qx4hz";

fn id() -> TaskId {
    "t-7k2m9qx4hz".parse().unwrap()
}

/// Names of fields as they are stored, and any other.
fn name() -> impl Strategy<Value = String> {
    let known = vec![
        "role",
        "state",
        "text",
        "priority",
        "parent",
        "after",
        "context",
        "labels",
        "artifacts",
        "depth",
        "cwd",
        "key",
        "created_at",
        "ready_at",
        "parked_at",
        "due_at",
        "ended_at",
        "timeout_ms",
        "retries",
        "failures",
        "lost",
        "lost_max",
        "agent",
        "cancelling",
        "cause",
        "reason",
        "waiting_until",
        "result",
        "session",
        "incarnation",
        "host",
        "boot_id",
        "pid",
        "start_time",
        "task",
        "attempt",
        "fence",
        "heartbeat_at",
        "started_at",
        "since",
        "tasks_done",
        "restarts",
        "needs",
        "needs_for",
        "retrying",
        "retrying_since",
        "rss_bytes",
        "master",
        "progress_at",
        "deadline",
        "deadline_ms",
        "deadline_at",
        "place",
        "last_task",
        "evidence",
        "kind",
        "data",
        "seq",
        "number",
    ];
    prop_oneof![9 => prop::sample::select(known).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = String> {
    let words = vec![
        "",
        "ready",
        "running",
        "busy",
        "idle",
        "high",
        "normal",
        "lost",
        "t-7k2m9qx4hz",
        "1",
        "0",
        "-1",
        "1e300",
        "nan",
        "inf",
        "-inf",
        "1.5",
        "18446744073709551616",
        "{}",
        "[]",
        "[1]",
        "[\"t-7k2m9qx4hz\"]",
        "null",
        "{\"a\":1}",
        "{\"text\":1}",
        "login",
        "\u{1b}[31m",
        "x y",
    ];
    prop_oneof![6 => prop::sample::select(words).prop_map(str::to_owned), 2 => "[-+0-9.eE]{1,24}", 1 => any::<String>()]
}

fn record() -> impl Strategy<Value = HashMap<String, String>> {
    prop::collection::hash_map(name(), value(), 0..24)
}

/// A record that reads, in which some fields are something else.
fn nearly_whole() -> impl Strategy<Value = HashMap<String, String>> {
    record().prop_map(|changes| {
        let whole = [
            ("role", "shell"),
            ("state", "idle"),
            ("text", "x"),
            ("priority", "normal"),
            ("depth", "0"),
            ("created_at", "1"),
            ("timeout_ms", "1"),
            ("retries", "1"),
            ("session", "s"),
            ("incarnation", "i"),
            ("started_at", "1"),
            ("since", "1"),
        ];
        let mut record: HashMap<_, _> = whole.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        record.extend(changes);
        record
    })
}

fn readable<T>(read: super::Result<T>) -> Result<Option<T>, TestCaseError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Damaged { key, why }) => {
            prop_assert!(key.contains("orch:{n}:") && !why.is_empty(), "{key}: {why}");
            Ok(None)
        }
        Err(other) => Err(TestCaseError::fail(format!("{other:?}"))),
    }
}

proptest! {
    #![proptest_config(crate::fuzz::cases(512))]

    #[test]
    fn any_record_reads_or_names_its_key(
        record in prop_oneof![record(), nearly_whole()],
        children in prop::collection::vec(value(), 0..3),
    ) {
        let fields = Fields::new(KEY, record.clone());
        if let Some(task) = readable(decode::task(&id(), &fields, children, Timestamp(1)))? {
            // What reads can be given to a program, and shown.
            let written = serde_json::to_string(&task).unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok());
        }
        if let Some(agent) = readable(decode::agent("shell-1", &fields, Timestamp(1)))? {
            serde_json::to_string(&agent.agent).unwrap();
        }
        readable(decode::result(&fields))?;
        serde_json::to_string(&decode::event("1-1", record.clone())).unwrap();
        Requests::from_fields(record);
    }

    #[test]
    fn any_attempt_reads_or_names_its_key(
        fields in prop::collection::vec((
            prop::sample::select(vec![
                "number", "agent", "fence", "started_at", "ended_at", "cause", "reason", "exit_code", "next_retry_at", "told",
                "evidence",
            ]),
            prop::sample::select(vec!["1", "-1", "1e400", "\"a\"", "null", "[]", "{}", "4294967296", "\"lost\"", "1.5"]),
        ), 0..12),
        text in any::<String>(),
    ) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        for text in [format!("{{{}}}", fields.join(",")), text] {
            if let Some(attempt) = readable(decode::attempt(KEY, &text))? {
                serde_json::to_string(&attempt).unwrap();
            }
        }
    }

    /// The replacement of a damaged record can always be read.
    #[test]
    fn what_is_salvaged_reads(
        record in prop::collection::hash_map(
            name().prop_map(String::into_bytes),
            prop_oneof![value().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..12)],
            0..30,
        ),
        queue in prop::option::of("[a-z]{1,8}"),
    ) {
        let salvaged = quarantine::salvage(&id(), &record, queue.as_deref().unwrap_or_default());
        let mut fields: HashMap<String, String> = salvaged.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        // The script adds these.
        fields.extend([("state".to_owned(), "failed".to_owned()), ("number".to_owned(), "0".to_owned())]);
        prop_assert!(decode::task(&id(), &Fields::new(KEY, fields), Vec::new(), Timestamp(1)).is_ok());
    }
}
