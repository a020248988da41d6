//! One task: its record, and every structure that names it.

use std::collections::{BTreeMap, BTreeSet};

use super::image::{Image, Record};
use crate::model::{
    edge::{Edge, Outcome},
    end_code::EndCode,
    task::TaskState,
    text::count,
};

/// What does not agree about a task.
pub(super) fn judge(image: &Image, id: &str, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("task {id}: {what}"));
    let Some(task) = image.record("task", id) else {
        if image.keys.contains_key(&format!("task:{id}")) {
            say("its record is no hash".to_owned());
        }
        let lists = ["attempts", "children", "deps", "dependents", "questions", "marks", "trail"]
            .map(|kind| format!("{kind}:{id}"));
        let left = lists.into_iter().filter(|key| image.keys.contains_key(key));
        let mut left: Vec<String> =
            left.chain(image.sets_with(&["state", "ready", "running", "waiting", "short"], id)).collect();
        left.extend(
            ["tasks", "ids", "asking", "deadlines"]
                .iter()
                .filter(|set| image.has(set, id))
                .map(|set| (*set).to_owned()),
        );
        if !left.is_empty() {
            say(format!("it has no record, and is left in {}", left.join(", ")));
        }
        return;
    };
    let Ok(state) = task.text("state").parse::<TaskState>() else {
        return say(format!("its state is '{}'", task.text("state")));
    };
    in_its_sets(image, id, task, state, &mut say);
    has_its_fields(task, state, &mut say);
    waits_for_what_is_open(image, id, task, state, &mut say);
    has_its_family(image, id, task, &mut say);
    has_its_attempts(image, id, task, state, &mut say);
    has_its_questions(image, id, task, state, &mut say);
    if state == TaskState::Running {
        has_its_holder(image, id, task, &mut say);
    }
}

fn in_its_sets(image: &Image, id: &str, task: Record<'_>, state: TaskState, say: &mut impl FnMut(String)) {
    let role = task.text("role");
    let mut expected = BTreeSet::from([format!("state:{state}")]);
    match state {
        TaskState::Ready if task.has("parked") => {}
        TaskState::Ready if task.has("short") => drop(expected.insert(format!("short:{}", task.text("short")))),
        TaskState::Ready => {
            expected.insert(format!("ready:{role}"));
            expected.insert(queue_of(task));
        }
        TaskState::Running => {
            expected.insert(format!("running:{role}"));
            expected.extend(task.has("waiting_until").then(|| format!("waiting:{role}")));
        }
        _ => {}
    }
    let mut is = image.sets_with(&["state", "ready", "running", "waiting", "queue", "short"], id);
    // The next claim builds the queues of such a role again.
    if image.record("shares", role).is_some_and(|shares| shares.has("mistrusted")) {
        is.retain(|set| !set.starts_with("queue:"));
        expected.retain(|set| !set.starts_with("queue:"));
    }
    if is != expected {
        let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        say(format!("it is {state}, and stands in {} instead of {}", list(&is), list(&expected)));
    }
    let since = task.number("since");
    let in_state = image.score(&format!("state:{state}"), id);
    let scored = match (state, in_state) {
        (_, None) => true,
        (TaskState::Running, Some(lease_end)) => since.is_some_and(|since| lease_end > since),
        (TaskState::Delayed, Some(due)) => task.number("due_at") == Some(due),
        (_, Some(entered)) => since == Some(entered),
    };
    if !scored {
        say(format!("the time in state:{state} is not that of its record"));
    }
    let deadline =
        Some("deadline_at").filter(|field| task.has(field) && !state.is_terminal()).and_then(|f| task.number(f));
    let by = image.score("deadlines", id);
    // That of a running task may have been looked at before, and is again later.
    if by != deadline && !(state == TaskState::Running && deadline.is_some() && by > deadline) {
        say("its time in deadlines is not that of its record".to_owned());
    }
    if image.score("tasks", id) != task.number("seq") {
        say("its place in the order of acceptance is not that of its record".to_owned());
    }
    if image.score("ids", id) != Some(0.0) {
        say("it is not in the order of ids".to_owned());
    }
    let queue = task.text("parked").split_once('\u{1}').map(|(_, queue)| format!("parked:{queue}"));
    let queue = queue.or_else(|| task.has("short").then(|| format!("short:{}", task.text("short"))));
    let ready = image.score(queue.as_ref().unwrap_or(&format!("ready:{role}")), id);
    // As `place_of` in lua/prelude/moves.lua counts.
    let rank = ["high", "normal", "low"].iter().position(|p| *p == task.text("priority"));
    let of_an_earlier_release = rank.zip(task.number("seq")).map(|(rank, seq)| rank as f64 * 1e13 + seq);
    let place = task.number("place").or(of_an_earlier_release);
    let queued = image.score(&queue_of(task), id);
    if ready.is_some() && ready != place || queued.is_some() && queued != place {
        say(format!("its place in ready:{role} is not by its priority and order"));
    }
}

/// The key of the queue in which a ready task waits for its turn.
fn queue_of(task: Record<'_>) -> String {
    let of = |field, otherwise| Some(task.text(field)).filter(|text| !text.is_empty()).unwrap_or(otherwise);
    format!("queue:{}:{}:{}", task.text("role"), of("priority", "normal"), of("share", "-"))
}

fn has_its_fields(task: Record<'_>, state: TaskState, say: &mut impl FnMut(String)) {
    use TaskState::{Delayed, Running};
    let running = state == Running;
    let must_be =
        [("ended_at", state.is_terminal()), ("due_at", state == Delayed), ("agent", running), ("incarnation", running)];
    for (field, there) in must_be {
        if task.has(field) != there {
            say(format!("it is {state}, and has {} {field}", if there { "no" } else { "a" }));
        }
    }
    if task.has("unapproved") && !state.is_terminal() && state != TaskState::Held {
        say(format!("it is {state}, and no person has approved it"));
    }
    if task.has("awaits") && state != TaskState::Blocked {
        say(format!("it is {state}, and waits for subtasks without a program"));
    }
    for field in ["short", "short_at"] {
        if task.has(field) && state != TaskState::Ready {
            say(format!("it is {state}, and has a {field}"));
        }
    }
    for field in ["cancelling", "waiting_until", "asking_until", "slot_at", "live"] {
        if task.has(field) && !running {
            say(format!("it is {state}, and has a {field}"));
        }
    }
}

fn waits_for_what_is_open(image: &Image, id: &str, task: Record<'_>, state: TaskState, say: &mut impl FnMut(String)) {
    let after: Vec<String> = match task.text("after") {
        "" => Vec::new(),
        text => serde_json::from_str(text).unwrap_or_else(|_| {
            say(format!("what it is to start after does not read: {text}"));
            Vec::new()
        }),
    };
    let edges: BTreeMap<String, Edge> = serde_json::from_str(task.text("edges")).unwrap_or_default();
    let family = family(image, id);
    let (mut open, mut left, mut earlier) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let waits =
        state == TaskState::Blocked && !task.has("awaits") || state == TaskState::Held && task.has("unapproved");
    // A dependency that is not known any more had succeeded.
    for (name, dependency) in after.iter().filter_map(|d| Some((d, image.record("task", d)?))) {
        if !image.has(&format!("dependents:{name}"), id) {
            say(format!("it is to start after {name}, which does not know of it"));
        }
        let its_state = dependency.text("state");
        let edge = edges.get(name).copied().unwrap_or_default();
        match its_state.parse().map(|its_state| edge.outcome(its_state)) {
            // One that let it start may have been retried since.
            Ok(Outcome::Open) if waits || edge == Edge::default() => {
                left_open(image, name, &mut earlier);
                open.insert(name);
            }
            Ok(Outcome::Skip | Outcome::Cancel) if waits => {
                say(format!("it is {state}, and waits for {name}, which is {its_state}"));
            }
            Ok(Outcome::Met) if !family.contains(name.as_str()) => left_open(image, name, &mut left),
            _ => {}
        }
    }
    for dependent in image.set("dependents", id).filter(|d| image.record("task", d).is_none()) {
        say(format!("it remembers {dependent}, which is not known"));
    }
    // Without a program it waits for subtasks, whatever comes of them.
    let awaits = state == TaskState::Blocked && task.has("awaits");
    if awaits {
        let is_awaited = |child: &&String| {
            let child = image.record("task", child);
            child.is_some_and(|c| {
                !c.has("detached") && c.text("state").parse().is_ok_and(|s: TaskState| !s.is_terminal())
            })
        };
        open.extend(image.list("children", id).iter().filter(is_awaited));
    }
    let deps: BTreeSet<&String> = image.set("deps", id).collect();
    // A task that a person has yet to approve waits for its dependencies meanwhile.
    let unapproved = state == TaskState::Held && task.has("unapproved");
    if state == TaskState::Blocked || unapproved {
        if open.is_empty() && deps.is_disjoint(&left) && !unapproved {
            say("it is blocked, and nothing holds it".to_owned());
        }
        // What a task before it has left open is waited for, unless that waits for this task itself; also where that one
        // was retried since.
        let is_left =
            |one: &&&String| !open.contains(**one) && (awaits || !left.contains(**one) && !earlier.contains(**one));
        if !deps.is_superset(&open) || deps.iter().any(|one| is_left(&one)) {
            say(format!("it waits for {deps:?}; open are {open:?}"));
        }
        let is_missed = |one: &&&String| {
            let waits = image.record("task", one).is_some_and(|left| left.text("state") == "blocked");
            !awaits && !deps.contains(**one) && !waits && !family.contains(one.as_str())
        };
        if let Some(missed) = left.iter().find(is_missed) {
            say(format!("it does not wait for {missed}, which a task before it has left open"));
        }
    } else if !deps.is_empty() {
        say(format!("it is {state}, and waits for {deps:?}"));
    } else if !state.is_terminal() && !open.is_empty() {
        say(format!("it is {state} before {open:?} have succeeded"));
    }
}

/// Adds what a task that has ended has left open.
fn left_open<'a>(image: &'a Image, id: &str, found: &mut BTreeSet<&'a String>) {
    for name in image.list("children", id) {
        let Some(child) = image.record("task", name).filter(|child| !child.has("detached")) else { continue };
        match child.text("state").parse::<TaskState>() {
            Ok(state) if state.is_terminal() => left_open(image, name, found),
            _ => drop(found.insert(name)),
        }
    }
}

/// The task, and those above it.
fn family<'a>(image: &'a Image, id: &'a str) -> BTreeSet<&'a str> {
    let parent = |id: &&'a str| image.record("task", id).map(|task| task.text("parent")).filter(|id| !id.is_empty());
    std::iter::successors(Some(id), parent).collect()
}

fn has_its_family(image: &Image, id: &str, task: Record<'_>, say: &mut impl FnMut(String)) {
    let mut open = 0;
    for name in image.list("children", id) {
        let Some(child) = image.record("task", name) else {
            say(format!("its subtask {name} is not known"));
            continue;
        };
        if child.text("parent") != id || child.number("depth") != task.number("depth").map(|d| d + 1.0) {
            say(format!("its subtask {name} has another parent or depth"));
        }
        open += u32::from(child.text("state").parse().is_ok_and(|s: TaskState| !s.is_terminal()));
    }
    if task.number("open_children") != Some(f64::from(open)) {
        say(format!(
            "it has {}, and counts {}",
            count(open, "open subtask", "open subtasks"),
            task.text("open_children")
        ));
    }
    let parent = task.text("parent");
    if image.record("task", parent).is_some() {
        let times = image.list("children", parent).iter().filter(|c| *c == id).count();
        if times != 1 {
            say(format!("it is {times} times among the subtasks of {parent}"));
        }
    }
}

fn has_its_attempts(image: &Image, id: &str, task: Record<'_>, state: TaskState, say: &mut impl FnMut(String)) {
    let attempts: Vec<serde_json::Value> =
        image.list("attempts", id).iter().map(|a| serde_json::from_str(a).unwrap_or_default()).collect();
    counts_what_its_attempts_used(task, &attempts, say);
    if task.number("number") != Some(attempts.len() as f64) {
        say(format!("it has {} attempts, and counts {}", attempts.len(), task.text("number")));
    }
    let mut fence = 0.0;
    for (i, attempt) in attempts.iter().enumerate() {
        if attempt["number"].as_f64() != Some((i + 1) as f64) {
            say(format!("attempt {} has the number {}", i + 1, attempt["number"]));
        }
        // An attempt that Redis has lost has no agent, and no fence.
        if attempt["agent"] != "" {
            let text = attempt["fence"].as_str().and_then(|text| text.parse().ok());
            let its = attempt["fence"].as_f64().or(text).unwrap_or(0.0);
            if its <= fence {
                say(format!("attempt {} has fence {its}, after {fence}", i + 1));
            }
            fence = its;
        }
        let runs = i + 1 == attempts.len() && state == TaskState::Running;
        if attempt["cause"].is_null() != runs {
            say(format!("it is {state}, and attempt {} has the cause {}", i + 1, attempt["cause"]));
        }
    }
    if task.number("fence") != Some(fence) {
        say(format!("its fence is {}, that of its last attempt {fence}", task.text("fence")));
    }
}

fn has_its_questions(image: &Image, id: &str, task: Record<'_>, state: TaskState, say: &mut impl FnMut(String)) {
    let questions = image.list("questions", id).iter().map(|q| serde_json::from_str(q).unwrap_or_default());
    let open = questions.filter(|q: &serde_json::Value| q["answer"].is_null() && q["closed"].is_null()).count();
    if task.number("asks") != Some(open as f64) || image.has("asking", id) != (open > 0) {
        say(format!("it has {}, and counts {}", count(open, "open question", "open questions"), task.text("asks")));
    }
    if open > 0 && state.is_terminal() {
        say(format!("it is {state}, and has open questions"));
    }
    let mark = |name| image.record("marks", id).and_then(|marks| marks.number(name));
    if mark("read:task") > mark("count") || (state.is_terminal() && mark("read:task") < mark("count")) {
        say(format!("it is {state}, and its read messages are not those it got"));
    }
}

fn has_its_holder(image: &Image, id: &str, task: Record<'_>, say: &mut impl FnMut(String)) {
    let name = task.text("agent");
    let Some(agent) = image.record("agent", name) else {
        return say(format!("it is running, and its agent {name} is not known"));
    };
    let holds = agent.text("task") == id
        && agent.text("incarnation") == task.text("incarnation")
        && agent.text("fence") == task.text("fence");
    if !holds {
        say(format!("it is running, and its agent {name} does not hold it with fence {}", task.text("fence")));
    }
}

/// What is counted of a task is the sum of what its attempts have used; of a record that was quarantined it is lost.
fn counts_what_its_attempts_used(task: Record<'_>, attempts: &[serde_json::Value], say: &mut impl FnMut(String)) {
    if task.text("code") == EndCode::RecordDamaged.as_str() {
        return;
    }
    let usages: Vec<serde_json::Value> = attempts
        .iter()
        .filter_map(|attempt| serde_json::from_str(attempt["usage"].as_str()?).ok())
        .filter(|usage: &serde_json::Value| {
            USED.iter().all(|(name, most)| usage[name].as_f64().unwrap_or(0.0) <= *most)
        })
        .collect();
    // That of a running one is charged as its program reports it.
    let live: serde_json::Value = serde_json::from_str(task.text("live")).unwrap_or_default();
    for (name, _) in USED {
        let sum: f64 = usages.iter().chain([&live["usage"]]).filter_map(|usage| usage[name].as_f64()).sum();
        if task.number(&format!("used_{name}")) != Some(sum) {
            say(format!("its attempts have used {sum} {name}, and it counts {}", task.text(&format!("used_{name}"))));
        }
    }
}

/// What is counted, and the most of it that is believed of one report (`plausible` in lua/prelude/usage.lua).
const USED: [(&str, f64); 5] = [
    ("input_tokens", 1e12),
    ("output_tokens", 1e12),
    ("micro_usd", 1e10),
    ("estimated_micro_usd", 1e10),
    ("estimated_tokens", 1e12),
];
