//! What anybody may do at a node: whoever is there, and whoever was and does not know better.

use orch::{
    model::{cause::Cause, edge::Edge},
    store::audit::Image,
};
use serde_json::{Value, json};

use super::{
    Scenario, Shape,
    state::{AGENTS, Lease, Memory, PLAN, State, TASKS, agent_field, field, lease, task_field},
};
use crate::fixture::ROLE;

/// Why it is taken, which says what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody does his work.
    Work,
    /// A person requests it, or delegates.
    Person,
    /// Somebody is late, or says again what was heard: it must touch nothing.
    Late,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub kind: Kind,
    pub script: &'static str,
    pub args: Vec<String>,
    /// What is done to the records before it: the passing of time, in Redis's words.
    pub edits: Vec<Vec<String>>,
    /// The attempt that it ends, if it is heard.
    pub ends: Option<(usize, Cause)>,
    /// What it must be answered with.
    pub answer: Option<Vec<String>>,
    /// The agent that will look for a task after it, or has looked.
    pub woken: Option<(usize, bool)>,
}

const LEASE_MS: &str = "30000";
const DELAY_MS: &str = "3600000";

struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, kind: Kind, name: String, script: &'static str, args: &[&str]) -> &mut Step {
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        self.0.push(Step { name, kind, script, args, edits: Vec::new(), ends: None, answer: None, woken: None });
        self.0.last_mut().unwrap()
    }
}

/// Every step from here.
pub fn steps(scenario: &Scenario, image: &Image, memory: &Memory, state: &State) -> Vec<Step> {
    let mut s = Steps(Vec::new());
    delegate(&mut s, scenario, image, memory);
    for t in 0..2 {
        of_a_task(&mut s, scenario, image, t);
    }
    if scenario.locks {
        of_a_person(&mut s, state);
    }
    if state.suspended {
        let over = s.add(Kind::Work, "the rate limit is over".to_owned(), "role/wake", &[ROLE, "a test"]);
        over.edits = vec![vec!["DEL".into(), "rate:role shell".into()]];
    }
    // What one of two equal agents does leads to the mirror image of what the other does.
    let equal = state.agents[0] == state.agents[1] && (0..2).all(|t| lease(image, t).is_none());
    for a in 0..2 {
        let mut its = Steps(Vec::new());
        of_an_agent(&mut its, scenario, image, memory, a);
        its.0.retain(|step| step.kind == Kind::Late || a == 0 || !equal);
        s.0.append(&mut its.0);
        of_an_earlier_run(&mut s, memory, a);
    }
    for l in &memory.past {
        late(&mut s, l);
    }
    for ended in ["succeeded", "cancelled"] {
        s.add(Kind::Person, format!("prune {ended}"), "task/prune", &["0", "10", ended, "0", ""]);
    }
    for (field, value) in scenario.requests {
        let stands = state.requests.iter().any(|(f, v)| f == field && v == value);
        // Nobody counts on it that a request stands for ever.
        let (kind, value) = if stands { (Kind::Work, "") } else { (Kind::Person, *value) };
        s.add(
            kind,
            format!("request {field}='{value}'"),
            "supervisor/request",
            &["test.request", "a test", value, field],
        );
    }
    if scenario.locks {
        // What else a late one may try is searched without locks.
        s.0.retain(|step| step.kind != Kind::Late || step.script.starts_with("lock/"));
    }
    if scenario.markers {
        // Who is late wakes nobody; it is searched without markers.
        s.0.retain(|step| step.kind != Kind::Late);
    }
    s.0
}

/// Both tasks as a plan.
fn plan(s: &mut Steps, scenario: &Scenario, edge: Option<Edge>, slots: Option<u32>, image: &Image, memory: &Memory) {
    let state = field(image, &format!("plan:{PLAN}"), "state");
    let terms =
        json!({"name": "x", "text": "", "total": 2, "max_queued": 9, "max_depth": 3, "max_children": 5}).to_string();
    if !state.is_empty() {
        let again = s.add(Kind::Late, "submit again".into(), "plan/submit", &[PLAN, &terms, "a test"]);
        again.answer = Some([state, "0", "0", PLAN].map(str::to_owned).to_vec());
        s.add(Kind::Late, "grow".into(), "plan/grow", &[PLAN]).answer = Some(vec!["0".into()]);
        s.add(Kind::Person, "cancel the plan".into(), "plan/cancel", &[PLAN, "a test"]);
        return;
    }
    // Its id is never given again.
    if memory.forgotten.contains(&true) {
        return;
    }
    let submit = s.add(Kind::Person, "submit".into(), "plan/submit", &[PLAN, &terms, "a test"]);
    let mut staged = vec!["HSET".to_owned(), format!("staged:{PLAN}")];
    for (t, id) in TASKS.into_iter().enumerate() {
        let mut spec = json!({
            "role": ROLE, "priority": "normal", "after": [], "labels": {}, "artifacts": [], "timeout_ms": "1",
            "retries": scenario.retries, "lost_max": scenario.lost, "plan": PLAN, "plan_key": format!("k{t}"),
            "max_parallel": slots,
        });
        if let Some(edge) = edge.filter(|_| t == 1) {
            spec["after"] = json!([TASKS[0]]);
            spec["edges"] = json!(json!({TASKS[0]: edge}).to_string());
        }
        spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        staged.extend([
            (t + 1).to_string(),
            json!({"id": id, "key": format!("k{t}"), "spec": spec, "text": "x"}).to_string(),
        ]);
    }
    submit.edits = vec![staged];
}

fn delegate(s: &mut Steps, scenario: &Scenario, image: &Image, memory: &Memory) {
    if let Shape::Plan { edge, slots } = scenario.shape {
        return plan(s, scenario, edge, slots, image, memory);
    }
    for (t, id) in TASKS.into_iter().enumerate() {
        // An id is never given again.
        if memory.forgotten[t] {
            continue;
        }
        let mut spec = json!({
            "role": ROLE, "priority": "normal", "after": [], "labels": {}, "artifacts": [], "timeout_ms": "1",
            "retries": scenario.retries, "lost_max": scenario.lost, "max_depth": 3, "max_children": 5,
            "key": format!("key {t}"),
        });
        if scenario.locks {
            spec["writes"] = json!(["[\"a\"]", "[\"a/*\"]"][t]);
        }
        match (t, scenario.shape, lease(image, 0)) {
            (1, Shape::Dependency, _) => spec["after"] = json!([TASKS[0]]),
            (1, Shape::Subtask, Some(l)) => {
                spec["parent"] = json!(TASKS[0]);
                spec["attempt_fence"] = json!(l.fence.to_string());
                spec["incarnation"] = json!(l.incarnation);
            }
            (1, Shape::Subtask, None) => continue,
            _ => {}
        }
        if t == 0 && scenario.acceptance {
            spec["approval"] = json!("after");
            spec["approval_timeout_ms"] = json!(DELAY_MS);
        }
        if t == 1 && scenario.approval {
            spec["escalation"] = json!({"question": "May it?", "reason": "it may more", "rights": ["more"]});
            spec["approval_timeout_ms"] = json!(DELAY_MS);
        }
        let may_not_ask = spec.get("parent").is_some() && !task_field(image, 0, "cancelling").is_empty();
        let (state, spec) = (task_field(image, t, "state"), spec.to_string());
        let kind = if state.is_empty() { Kind::Person } else { Kind::Late };
        let again = |made: &str| Some([id, state, made].map(str::to_owned).to_vec()).filter(|_| kind == Kind::Late);
        s.add(kind, format!("delegate {t}"), "task/delegate", &[id, &spec, "x", "", "a test"]).answer = again("1");
        // A dead letter that was removed has given its key back: the same words ask for new work.
        let is_removed = state == "cancelled" && task_field(image, t, "reason").contains("; it had failed: ");
        if kind == Kind::Late && !is_removed {
            let name = format!("delegate {t} by its key");
            let step = s.add(kind, name, "task/delegate", &["t-000000000k", &spec, "x", "", "a test"]);
            // An attempt that is to end may not ask any more.
            step.answer = again("0").filter(|_| !may_not_ask);
        }
    }
}

/// Locks what the tasks write. Nobody counts on it that a lock stands for ever.
fn of_a_person(s: &mut Steps, state: &State) {
    match state.locked {
        true => s.add(Kind::Work, "unlock".to_owned(), "lock/release", &["l-1", "", "", "a test"]),
        false => {
            let args = ["l-1", "", "", "w", "[\"a/b\"]", "", "", "a test", "a person"];
            s.add(Kind::Person, "lock".to_owned(), "lock/take", &args)
        }
    };
}

/// The number of a task's open question, and whether it asks for approval.
fn open_question(image: &Image, id: &str) -> Option<(u64, bool)> {
    let questions = image.list("questions", id).iter().filter_map(|q| serde_json::from_str::<Value>(q).ok());
    let mut open = questions.filter(|q| q["answer"].is_null() && q["closed"].is_null());
    open.find_map(|q| Some((q["number"].as_u64()?, q["kind"] == "escalation" || q["kind"] == "acceptance")))
}

fn of_a_task(s: &mut Steps, scenario: &Scenario, image: &Image, t: usize) {
    let (id, state) = (TASKS[t], task_field(image, t, "state"));
    if state.is_empty() {
        return;
    }
    s.add(Kind::Person, format!("cancel {t}"), "task/cancel", &["a test", id]);
    s.add(Kind::Person, format!("retry {t}"), "task/retry", &[id, "a test"]);
    if state == "delayed" {
        let due = s.add(Kind::Work, format!("due {t}"), "task/release_due", &["10"]);
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        due.edits =
            vec![words(&["ZADD", "state:delayed", "1", id]), words(&["HSET", &format!("task:{id}"), "due_at", "1"])];
    }
    let asks = !task_field(image, t, "asks").is_empty();
    if let Some((number, escalates)) = open_question(image, id) {
        let token = format!("token {number}");
        let mut answer = |kind, name: &str, verdict, number: &str| {
            let args = [id, &token, "yes", verdict, "a test", number];
            s.add(kind, format!("{name} {t}"), "question/answer", &args);
        };
        let number = number.to_string();
        answer(if escalates { Kind::Late } else { Kind::Person }, "answer", "", &number);
        answer(Kind::Late, "answer another question of", "approved", "99");
        if escalates {
            answer(Kind::Person, "approve", "approved", &number);
            answer(Kind::Person, "deny", "denied", &number);
            let over = s.add(Kind::Person, format!("nobody approves {t}"), "question/expire", &["10"]);
            over.edits = vec![["ZADD", "approval_ends", "1", id].map(str::to_owned).to_vec()];
        }
    }
    let Some(l) = lease(image, t) else { return };
    if scenario.asks && !asks {
        let args = [id, &l.fence.to_string(), &l.incarnation, "a token", "May I?", "", LEASE_MS];
        s.add(Kind::Work, format!("{t} asks"), "question/ask", &args);
    }
    if scenario.limited {
        let step = finish(s, Kind::Work, &l, Cause::RateLimited);
        step.args.truncate(9);
        step.args.extend(["", "", "role shell", "", "rate_limited"].map(str::to_owned));
        step.name.push_str(" of its account");
        step.ends = Some((t, Cause::RateLimited));
        step.woken = Some((l.agent, true));
    }
    for cause in Cause::ALL {
        let step = finish(s, Kind::Work, &l, *cause);
        step.ends = Some((t, *cause));
        // Who has ended an attempt looks for the next task by himself, and so does who has just come.
        step.woken = Some((l.agent, true));
    }
    // The supervisor gives up only whose agent is gone, and here it never is.
    s.add(Kind::Late, format!("expire {t}"), "task/expire", &[id, &l.fence.to_string(), "a test"]);
    // Somebody who guesses.
    let (other, ahead) = (Lease { agent: 1 - l.agent, ..l.clone() }, Lease { fence: l.fence + 1, ..l.clone() });
    late_reports(s, &other);
    late(s, &ahead);
}

fn finish<'a>(s: &'a mut Steps, kind: Kind, l: &Lease, cause: Cause) -> &'a mut Step {
    let name = format!("finish {} as {cause} by {} with {}", l.task, l.agent, l.fence);
    let (fence, result) = (l.fence.to_string(), if cause == Cause::Success { "{\"text\":\"done\"}" } else { "" });
    let (task, agent, i) = (TASKS[l.task], AGENTS[l.agent], &l.incarnation);
    let args = [task, agent, i, &fence, cause.as_str(), "a test", "1", result, DELAY_MS, "", "", "", "", "exit_code"];
    s.add(kind, name, "task/finish", &args)
}

/// The holder of a lease that is not the current one.
fn late(s: &mut Steps, l: &Lease) {
    late_reports(s, l);
    let args = [TASKS[l.task], &l.fence.to_string(), &l.incarnation, LEASE_MS];
    s.add(Kind::Late, format!("late waiting of {}", l.task), "task/mark_waiting", &args);
    let (task, fence, i) = (TASKS[l.task], l.fence.to_string(), l.incarnation.as_str());
    s.add(Kind::Late, format!("late unlock of {}", l.task), "lock/release", &[task, i, &fence, "a test"]);
    let args = [task, i, &fence, "w", "[\"b\"]", "", "", "a test", "a test"];
    s.add(Kind::Late, format!("late lock of {}", l.task), "lock/take", &args);
}

fn late_reports(s: &mut Steps, l: &Lease) {
    for cause in [Cause::Success, Cause::Transient] {
        finish(s, Kind::Late, l, cause);
    }
    let fence = l.fence.to_string();
    let args = [AGENTS[l.agent], &l.incarnation, LEASE_MS, TASKS[l.task], &fence, "", "", "", "", ""];
    s.add(Kind::Late, format!("late heartbeat of {} for {}", l.agent, l.task), "agent/heartbeat", &args);
}

fn of_an_agent(s: &mut Steps, scenario: &Scenario, image: &Image, memory: &Memory, a: usize) {
    let id = AGENTS[a];
    let state = agent_field(image, a, "state");
    let living = !matches!(state, "" | "failed" | "stopped");
    let next = format!("run-{a}-{}", memory.runs[a] + 1);
    let spawn = if living { Kind::Late } else { Kind::Work };
    s.add(spawn, format!("spawn {a}"), "agent/spawn", &[id, ROLE, id, &next, "0", "a test", ""]);
    let Some(incarnation) = memory.incarnation(a, 0) else { return };
    let i = incarnation.as_str();
    s.add(Kind::Late, format!("spawn {a} again"), "agent/spawn", &[id, ROLE, id, i, "0", "a test", ""]);
    if !living {
        return by_a_run(s, Kind::Late, a, i);
    }
    by_a_run(s, Kind::Work, a, i);
    let held = (0..2).filter_map(|t| lease(image, t)).find(|l| l.agent == a);
    if let Some(l) = held {
        let (task, fence) = (TASKS[l.task], l.fence.to_string());
        s.add(
            Kind::Work,
            format!("heartbeat of {a}"),
            "agent/heartbeat",
            &[id, i, LEASE_MS, task, &fence, "", "0", "", "", ""],
        );
        for (name, ms) in [("waits", LEASE_MS), ("goes on", "0")].into_iter().filter(|_| scenario.waits) {
            s.add(Kind::Work, format!("{} {name}", l.task), "task/mark_waiting", &[task, &fence, i, ms]);
        }
    }
    if scenario.markers && state == "idle" && !memory.woken[a] {
        // A blocking pop takes the marker; the script beside it finds nothing to do.
        let step = s.add(Kind::Work, format!("{a} is woken"), "role/close_breaker", &["nobody", "a test"]);
        step.edits = vec![vec!["LPOP".into(), "wake:role:shell".into()]];
        step.woken = Some((a, true));
    }
}

/// What a run of an agent does, and what is done to it.
fn by_a_run(s: &mut Steps, kind: Kind, a: usize, i: &str) {
    let id = AGENTS[a];
    s.add(kind, format!("hello of {a}"), "agent/register", &[id, i, "h", "b", "1", "1"]).woken = Some((a, true));
    s.add(kind, format!("claim by {a}"), "task/claim", &[id, i, LEASE_MS]).woken = Some((a, false));
    s.add(kind, format!("{a} is told to stop if idle"), "agent/stop", &[id, i, "idle", "a test"]);
    s.add(kind, format!("{a} is told to stop"), "agent/stop", &[id, i, "any", "a test"]);
    for to in ["failed", "stopped"] {
        let args = [id, i, to, "a test", "lost", "a test", "", "", "runner_gone"];
        s.add(kind, format!("{a} ends as {to}"), "agent/end", &args).woken = Some((a, false));
    }
}

/// A run that was given up, and does not know.
fn of_an_earlier_run(s: &mut Steps, memory: &Memory, a: usize) {
    if let Some(i) = memory.incarnation(a, 1) {
        by_a_run(s, Kind::Late, a, &i);
        s.add(
            Kind::Late,
            format!("late heartbeat of {a}"),
            "agent/heartbeat",
            &[AGENTS[a], &i, LEASE_MS, "", "", "", "", "", "", ""],
        );
    }
}
