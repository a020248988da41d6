//! Holds all that is stored in a namespace together: each fact stands in several structures, and they must agree.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use orch::{
    drill::history::{Ack, History, LivingAgent, check},
    model::{task::TaskState, time::Timestamp},
    store::keys::Keys,
};
use redis::Connection;

type Strings = Vec<String>;

struct Stored {
    record: HashMap<String, String>,
    children: Strings,
    deps: BTreeSet<String>,
    dependents: BTreeSet<String>,
    attempts: Strings,
}

impl Stored {
    fn field(&self, name: &str) -> &str {
        self.record.get(name).map_or("", String::as_str)
    }
    fn state(&self) -> TaskState {
        self.field("state").parse().unwrap()
    }
    fn number(&self, name: &str) -> i64 {
        self.record.get(name).map_or(0, |v| v.parse().unwrap())
    }
}

/// Panics where two structures of the namespace disagree.
pub fn structures(world: &super::fixture::World) {
    let (keys, mut c) = (world.store.keys(), world.raw());
    let tasks = read_tasks(keys, &mut c);
    each_task_is_in_the_set_of_its_state(keys, &mut c, &tasks);
    each_role_has_its_ready_and_running_tasks(keys, &mut c, &tasks);
    for (id, task) in &tasks {
        blocked_means_an_open_dependency(id, task, &tasks);
        children_and_parents_agree(id, task, &tasks);
        attempts_agree(id, task);
    }
    agents_agree(keys, &mut c, &tasks);
    the_last_event_says_the_state(keys, &mut c, &tasks);
    nothing_else_is_stored(keys, &mut c, &tasks);
}

fn read_tasks(keys: &Keys, c: &mut Connection) -> BTreeMap<String, Stored> {
    let ids: Strings = query(c, &["ZRANGE", &keys.plain("tasks"), "0", "-1"]);
    let mut pipe = redis::pipe();
    for id in &ids {
        pipe.cmd("HGETALL").arg(keys.of("task", id));
        for list in ["children", "attempts"] {
            pipe.cmd("LRANGE").arg(keys.of(list, id)).arg(0).arg(-1);
        }
        for set in ["deps", "dependents"] {
            pipe.cmd("SMEMBERS").arg(keys.of(set, id));
        }
    }
    let rows: Vec<redis::Value> = if ids.is_empty() { vec![] } else { pipe.query(c).unwrap() };
    let read = |v: &redis::Value| redis::from_redis_value::<Strings>(v.clone()).unwrap();
    ids.into_iter()
        .zip(rows.chunks(5))
        .map(|(id, row)| {
            let stored = Stored {
                record: redis::from_redis_value(row[0].clone()).unwrap(),
                children: read(&row[1]),
                attempts: read(&row[2]),
                deps: read(&row[3]).into_iter().collect(),
                dependents: read(&row[4]).into_iter().collect(),
            };
            assert!(stored.record.contains_key("state"), "{id} has no record");
            (id, stored)
        })
        .collect()
}

fn each_task_is_in_the_set_of_its_state(keys: &Keys, c: &mut Connection, tasks: &BTreeMap<String, Stored>) {
    for state in TaskState::ALL {
        let key = keys.of("state", state.as_str());
        let rows: Vec<(String, f64)> = query(c, &["ZRANGE", &key, "0", "-1", "WITHSCORES"]);
        let told: BTreeSet<_> = rows.iter().map(|(id, _)| id.as_str()).collect();
        let is: BTreeSet<_> = tasks.iter().filter(|(_, t)| t.state() == *state).map(|(id, _)| id.as_str()).collect();
        assert_eq!(told, is, "the set of {state} tasks");
        for (id, score) in &rows {
            let task = &tasks[id];
            match state {
                TaskState::Running => assert!(*score > task.number("since") as f64, "{id}: lease"),
                TaskState::Delayed => assert_eq!(*score, task.number("due_at") as f64, "{id}: due"),
                _ => assert_eq!(*score, task.number("since") as f64, "{id}: since"),
            }
        }
    }
    for (id, task) in tasks {
        let state = task.state();
        let ended = task.record.contains_key("ended_at");
        assert_eq!(ended, state.is_terminal(), "{id}: ended_at while {state}");
        let due = task.record.contains_key("due_at");
        assert_eq!(due, state == TaskState::Delayed, "{id}: due_at");
        for field in ["agent", "incarnation"] {
            let held = task.record.contains_key(field);
            assert_eq!(held, state == TaskState::Running, "{id}: {field}");
        }
        for field in ["cancelling", "waiting_until"] {
            let only = !task.record.contains_key(field) || state == TaskState::Running;
            assert!(only, "{id}: {field} while {state}");
        }
    }
}

fn each_role_has_its_ready_and_running_tasks(keys: &Keys, c: &mut Connection, tasks: &BTreeMap<String, Stored>) {
    let roles: BTreeSet<_> = tasks.values().map(|t| t.field("role").to_owned()).collect();
    for role in roles {
        let of = |state: TaskState| -> BTreeSet<String> {
            tasks
                .iter()
                .filter(|(_, t)| t.field("role") == role && t.state() == state)
                .map(|(id, _)| id.clone())
                .collect()
        };
        let ready: Strings = query(c, &["ZRANGE", &keys.of("ready", &role), "0", "-1"]);
        let rank = |id: &String| {
            let first = ["high", "normal", "low"];
            let priority = tasks[id].field("priority");
            let rank = first.iter().position(|p| *p == priority);
            (rank, tasks[id].number("seq"))
        };
        let mut sorted = ready.clone();
        sorted.sort_by_key(rank);
        assert_eq!(ready, sorted, "the order of ready:{role}");
        assert_eq!(ready.into_iter().collect::<BTreeSet<_>>(), of(TaskState::Ready), "ready:{role}");
        let running: BTreeSet<String> = query(c, &["SMEMBERS", &keys.of("running", &role)]);
        assert_eq!(running, of(TaskState::Running), "running:{role}");
        let waiting: BTreeSet<String> = query(c, &["ZRANGE", &keys.of("waiting", &role), "0", "-1"]);
        let marked =
            of(TaskState::Running).into_iter().filter(|id| tasks[id].record.contains_key("waiting_until")).collect();
        assert_eq!(waiting, marked, "waiting:{role}");
    }
}

fn blocked_means_an_open_dependency(id: &str, task: &Stored, tasks: &BTreeMap<String, Stored>) {
    let after: Strings = match task.field("after") {
        "" => vec![],
        text => serde_json::from_str(text).unwrap(),
    };
    for dependency in after.iter().filter_map(|d| tasks.get(d)) {
        assert!(dependency.dependents.contains(id), "who depends on what {id} is after");
    }
    for dependent in &task.dependents {
        assert!(tasks.contains_key(dependent), "{id} remembers {dependent}");
    }
    let is_open = |d: &String| tasks.get(d).is_some_and(|t| t.state() != TaskState::Succeeded);
    let open: BTreeSet<String> = after.into_iter().filter(is_open).collect();
    if task.state() == TaskState::Blocked {
        assert!(!open.is_empty(), "{id} is blocked, and nothing holds it");
        assert_eq!(task.deps, open, "{id}: deps");
        for dependency in &open {
            let state = tasks[dependency].state();
            assert!(!state.is_terminal(), "{id} waits for {dependency}: {state}");
        }
    } else {
        assert!(task.deps.is_empty(), "{id}: deps while {}", task.state());
        if !task.state().is_terminal() {
            assert!(open.is_empty(), "{id} is {}, before {open:?}", task.state());
        }
    }
}

fn children_and_parents_agree(id: &str, task: &Stored, tasks: &BTreeMap<String, Stored>) {
    let mut open = 0;
    for child in &task.children {
        let child = tasks.get(child).unwrap_or_else(|| panic!("{id}: {child}"));
        assert_eq!(child.field("parent"), id);
        assert_eq!(child.number("depth"), task.number("depth") + 1);
        open += i64::from(!child.state().is_terminal());
    }
    assert_eq!(task.number("open_children"), open, "{id}: open_children");
    if let Some(parent) = tasks.get(task.field("parent")) {
        let times = parent.children.iter().filter(|c| *c == id).count();
        assert_eq!(times, 1, "{id} among its parent's children");
    }
}

fn attempts_agree(id: &str, task: &Stored) {
    let attempts: Vec<serde_json::Value> = task.attempts.iter().map(|a| serde_json::from_str(a).unwrap()).collect();
    assert_eq!(attempts.len() as i64, task.number("number"), "{id}");
    let mut fence = 0;
    for (i, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["number"], i + 1, "{id}");
        // An attempt that Redis has lost has none.
        if attempt["agent"] != "" {
            assert!(attempt["fence"].as_u64().unwrap() > fence, "{id}: fences");
            fence = attempt["fence"].as_u64().unwrap();
        }
        let last = i + 1 == attempts.len();
        let runs = last && task.state() == TaskState::Running;
        assert_eq!(attempt["cause"].is_null(), runs, "{id}: {attempt}");
    }
    assert_eq!(fence as i64, task.number("fence"), "{id}: its fence");
}

fn agents_agree(keys: &Keys, c: &mut Connection, tasks: &BTreeMap<String, Stored>) {
    let ids: Strings = query(c, &["SMEMBERS", &keys.plain("agents")]);
    let mut idle: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut holders = BTreeSet::new();
    for id in &ids {
        let record: HashMap<String, String> = query(c, &["HGETALL", &keys.of("agent", id)]);
        let state = record["state"].as_str();
        assert!(!["failed", "stopped"].contains(&state), "{id} is {state}");
        idle.entry(record["role"].clone()).or_default();
        match state {
            // The master takes no tasks.
            "idle" if record["master"] == "1" => {}
            "idle" => {
                idle.get_mut(&record["role"]).unwrap().insert(id.clone());
                assert!(!record.contains_key("task"), "{id} is idle with a task");
            }
            "busy" => assert!(record.contains_key("task"), "{id} is busy without a task"),
            _ => {}
        }
        if let Some(task) = record.get("task") {
            assert_eq!(tasks[task].field("agent"), id);
            assert_eq!(tasks[task].field("incarnation"), record["incarnation"]);
            assert_eq!(tasks[task].field("fence"), record["fence"]);
            holders.insert(task.clone());
        }
    }
    let running = tasks.iter().filter(|(_, t)| t.state() == TaskState::Running).map(|(id, _)| id.clone()).collect();
    assert_eq!(holders, running, "each running task has its agent");
    for (role, told) in idle {
        let is: BTreeSet<String> = query(c, &["SMEMBERS", &keys.of("idle", &role)]);
        assert_eq!(is, told, "idle:{role}");
    }
}

fn the_last_event_says_the_state(keys: &Keys, c: &mut Connection, tasks: &BTreeMap<String, Stored>) {
    let rows: Vec<(String, HashMap<String, String>)> = query(c, &["XRANGE", &keys.plain("events"), "-", "+"]);
    let mut last: HashMap<&str, &str> = HashMap::new();
    for (id, event) in &rows {
        assert!(!event["reason"].is_empty(), "event {id} has no reason");
        if event["kind"].starts_with("task.") && !event["to"].is_empty() {
            let before = last.insert(&event["task"], &event["to"]);
            let from = event["from"].as_str();
            assert_eq!(before.unwrap_or(""), from, "event {id}: {event:?}");
        }
    }
    for (id, task) in tasks {
        assert_eq!(last.get(id.as_str()), Some(&task.field("state")), "{id}");
    }
}

/// A key of a task that is not known any more is a leak, or worse, half a record.
fn nothing_else_is_stored(keys: &Keys, c: &mut Connection, tasks: &BTreeMap<String, Stored>) {
    for kind in ["task", "attempts", "children", "deps", "dependents"] {
        let prefix = keys.of(kind, "");
        let found: Strings = query(c, &["KEYS", &format!("{prefix}*")]);
        for key in found {
            let id = key.strip_prefix(&prefix).unwrap();
            assert!(tasks.contains_key(id), "{key} is left");
        }
    }
}

fn query<T: redis::FromRedisValue>(c: &mut Connection, words: &[&str]) -> T {
    let mut cmd = redis::cmd(words[0]);
    words[1..].iter().for_each(|w| {
        cmd.arg(*w);
    });
    cmd.query(c).unwrap()
}

/// Panics where what was told and what is recorded break a promise. Open tasks are none.
pub async fn history(world: &super::fixture::World) {
    let ids = world.store.task_ids(None).await.unwrap();
    let mut tasks = Vec::new();
    for id in &ids {
        tasks.push(world.detail(id).await);
    }
    let living = world.store.agents().await.unwrap().into_iter().map(|r| r.agent);
    let history = History {
        acknowledged: ids.into_iter().map(|id| Ack { at: Timestamp::default(), id, key: None }).collect(),
        tasks,
        agents: Some(living.map(|a| LivingAgent { id: a.id, state: a.state }).collect()),
        events: world.events().await,
        ..History::default()
    };
    let mut found = check(&history);
    // Tests stop where they like, and their attempts answer nothing.
    found.retain(|v| v.invariant != "every task comes to rest" && !v.facts.contains("has no result"));
    assert_eq!(found, [], "{history:#?}");
}

/// Everything that is stored but the events and the clock: what is refused, or sent again, must not change it.
pub fn dump(world: &super::fixture::World) -> BTreeMap<String, Vec<u8>> {
    let (keys, mut c) = (world.store.keys(), world.raw());
    let all: Strings = query(&mut c, &["KEYS", &format!("{}*", keys.prefix())]);
    let not_compared = [keys.plain("events"), keys.plain("wake:supervisor")];
    let all = all.into_iter().filter(|key| !not_compared.contains(key));
    all.map(|key| {
        let dump = query(&mut c, &["DUMP", &key]);
        (key, dump)
    })
    .collect()
}
