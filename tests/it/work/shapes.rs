//! The JSON of every command, field by field: programs depend on its names and types.

use serde_json::{Value, json};

use super::{delegated, done, text};
use crate::common::{World, gate};

/// Asserts that `value` has exactly these fields, of these types: `text`, `count`, `bool`, `time`, `list`, `map`,
/// `number` or `any`. A `?` after the type also allows `null`.
#[track_caller]
fn has(value: &Value, fields: &[(&str, &str)]) {
    let map = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for (name, kind) in fields {
        let field = map.get(*name).unwrap_or_else(|| panic!("no {name} in {value:#}"));
        let (kind, null) = kind.strip_suffix('?').map_or((*kind, false), |kind| (kind, true));
        let fits = match kind {
            "text" => field.is_string(),
            "count" => field.is_u64(),
            "number" => field.is_number(),
            "bool" => field.is_boolean(),
            "list" => field.is_array(),
            "map" => field.is_object(),
            "any" => true,
            "time" => field.as_str().is_some_and(is_time),
            other => panic!("{other}"),
        };
        assert!(fits || null && field.is_null(), "{name} is {field}, not {kind}");
    }
}

/// RFC 3339, UTC, milliseconds: `2026-01-02T03:04:05.678Z`.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

const TASK: &[(&str, &str)] = &[
    ("id", "text"),
    ("role", "text"),
    ("state", "text"),
    ("waiting", "bool"),
    ("description", "text"),
    ("priority", "text"),
    ("parent", "text?"),
    ("children", "list"),
    ("after", "list"),
    ("context", "any"),
    ("labels", "map"),
    ("artifacts", "list"),
    ("depth", "count"),
    ("created_at", "time"),
    ("ready_at", "time?"),
    ("ended_at", "time?"),
    ("timeout_ms", "count"),
    ("retries", "count"),
    ("lost", "count"),
    ("cause", "text?"),
    ("reason", "text?"),
];
const AGENT: &[(&str, &str)] = &[
    ("id", "text"),
    ("role", "text"),
    ("state", "text"),
    ("session", "text"),
    ("pid", "count?"),
    ("task", "text?"),
    ("attempt", "count?"),
    ("heartbeat_age_ms", "count?"),
    ("started_at", "time"),
    ("tasks_done", "count"),
    ("restarts", "count"),
    ("needs", "text?"),
    ("needs_since", "time?"),
    ("needs_for", "text?"),
    ("retrying", "map?"),
    ("rss_bytes", "count?"),
];

#[test]
fn status_and_agents() {
    let world = World::started("");
    let id = delegated(&world, &[&gate(&world.file("go"))]);
    world.wait_until("the agent has reported", || {
        let agent = world.agent("shell-1");
        agent["state"] == "busy" && agent["rss_bytes"].is_u64()
    });
    let status = world.orch_json(&["status"]);
    has(
        &status,
        &[
            ("namespace", "text"),
            ("supervisor", "map"),
            ("redis", "map"),
            ("agents", "list"),
            ("tasks", "map"),
            ("attention", "list"),
        ],
    );
    has(&status["supervisor"], &[("state", "text"), ("pid", "count"), ("uptime_ms", "count"), ("accepting", "bool")]);
    has(&status["redis"], &[("state", "text"), ("mode", "text"), ("version", "text")]);
    assert_eq!((&status["namespace"], &status["supervisor"]["state"]), (&json!("w"), &json!("running")));
    assert_eq!((&status["redis"]["state"], &status["redis"]["mode"]), (&json!("ok"), &json!("managed")));
    let states = ["blocked", "ready", "delayed", "held", "running", "succeeded", "failed", "cancelled", "skipped"];
    has(&status["tasks"], &states.map(|state| (state, "count")));
    assert_eq!((status["tasks"].as_object().unwrap().len(), &status["tasks"]["running"]), (9, &json!(1)));
    let agents = status["agents"].as_array().unwrap();
    for agent in agents {
        has(agent, AGENT);
    }
    assert_eq!(agents[0]["session"], "opus-master", "the master is listed first");
    let busy = &agents[1];
    assert_eq!((&busy["id"], &busy["task"], &busy["attempt"]), (&json!("shell-1"), &json!(id), &json!(1)));
    let pid = busy["pid"].as_u64().unwrap() as u32;
    assert!(
        world.processes().iter().any(|p| p.pid == pid && p.command.contains("run-agent")),
        "the pid is the runner's"
    );

    let listed = world.orch_json(&["agents"]);
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|a| text(&a["id"])).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&status["agents"]));
    has(&listed[1], AGENT);
    has(&world.orch_json(&["show", "shell-1"]), AGENT);
    world.touch("go");
    world.wait_for(&id, "succeeded");
}

#[test]
fn tasks() {
    let world = World::started("");
    let accepted = world.orch_json(&["delegate", "echo x; [ $ORCH_ATTEMPT = 2 ]"]);
    assert_eq!(accepted, json!({"id": accepted["id"], "state": "ready", "created": true, "needs_approval": []}));
    let id = text(&accepted["id"]);
    assert!(id.starts_with("t-"), "{id}");
    world.wait_for(&id, "succeeded");
    let task = world.show(&id);
    has(&task, TASK);
    has(&task, &[("attempts", "list"), ("result", "map")]);
    for attempt in task["attempts"].as_array().unwrap() {
        has(
            attempt,
            &[
                ("number", "count"),
                ("agent", "text"),
                ("fence", "count"),
                ("started_at", "time"),
                ("ended_at", "time"),
                ("cause", "text"),
                ("reason", "text"),
                ("exit_code", "number"),
                ("next_retry_at", "time?"),
            ],
        );
    }
    assert!(task["attempts"][0]["fence"].as_u64() < task["attempts"][1]["fence"].as_u64(), "fences grow");
    has(
        &task["result"],
        &[
            ("text", "text"),
            ("exit_code", "number"),
            ("data", "any"),
            ("usage", "map?"),
            ("duration_ms", "count"),
            ("truncated", "bool"),
            ("path", "text"),
        ],
    );
    let listed = world.orch_json(&["tasks"]);
    has(&listed[0], TASK);
    assert!(
        listed[0].get("attempts").is_none() && listed[0].get("result").is_none(),
        "a list has no attempts and no results"
    );
    assert_eq!(world.orch_json(&["wait", &id]), json!([task]));

    let other = done(&world, &["--retries", "0", "exit 1"]);
    let other = other["id"].as_str().unwrap();
    let ids = |words: &[&str]| -> Vec<String> {
        world.orch_json(words).as_array().unwrap().iter().map(|t| text(&t["id"])).collect()
    };
    assert_eq!(ids(&["tasks"]), [other, &id], "tasks are listed newest first");
    assert_eq!(ids(&["tasks", "--state", "failed"]), [other]);
    assert_eq!(ids(&["tasks", "--role", "shell", "--state", "succeeded"]), [id.as_str()]);
    assert!(ids(&["tasks", "--role", "sonnet"]).is_empty());
    world.orch(&["tasks", "--role", "sonett"]).ended(2);
}

#[test]
fn why_and_changes_and_errors() {
    let world = World::started("");
    let task = done(&world, &["--retries", "0", "exit 65"]);
    let id = task["id"].as_str().unwrap();
    let why = world.orch_json(&["why", id]);
    has(&why, &[("id", "text"), ("state", "text"), ("sentences", "list"), ("hints", "list"), ("events", "list")]);
    assert_eq!((&why["id"], &why["state"]), (&json!(id), &json!("failed")));
    assert!(why["sentences"][0].as_str().unwrap().contains("exit code 65"), "{why:#}");
    let agent = world.orch_json(&["why", "shell-1"]);
    assert_eq!(agent["id"], "shell-1");
    has(
        &world.orch_json(&["retry", id])[0],
        &[("id", "text"), ("from", "text"), ("state", "text"), ("changed", "bool")],
    );

    for (words, code, kind) in [
        (&["show", "t-7k2m9qx4hz"][..], 2, "not_found"),
        (&["why", "nobody-1"], 2, "not_found"),
        (&["result", id, "extra"], 2, "usage"),
        (&["delegate", "--role", "shel", "x"], 2, "not_found"),
    ] {
        let error = world.orch(&[words, &["--json"]].concat()).ended(code);
        assert_eq!(error.stderr, "", "{words:?}");
        has(&error.json()["error"], &[("kind", "text"), ("message", "text"), ("hint", "text?")]);
        assert_eq!(error.json()["error"]["kind"], kind, "{words:?}");
    }
}
