//! A node of the search: what of a namespace decides about its future, and what has happened before it.

use orch::{
    model::{agent::AgentState, task::TaskState},
    store::audit::{Content, Image},
};

/// The two tasks; the second one depends on the first, or is its subtask.
pub const TASKS: [&str; 2] = ["t-0000000001", "t-0000000002"];
/// The plan of both, in a scenario that has one.
pub const PLAN: &str = "p-0000000001";
/// The two agents' ids.
pub const AGENTS: [&str; 2] = ["shell-1", "shell-2"];

/// Two namespaces with the same state have the same future. Not in it: times, ids of incarnations, the numbers of
/// fences and attempts, what has ended, and counts that a retry sets to zero. The agents are interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub tasks: [TaskView; 2],
    pub agents: [AgentView; 2],
    /// The requests that stand.
    pub requests: Vec<(String, String)>,
    /// The plan's state, and whether it is being cancelled: in a scenario that has one.
    pub plan: (String, bool),
    /// A person has locked what the tasks write.
    pub locked: bool,
    /// The role is held back by a rate limit.
    pub suspended: bool,
    /// Markers that wake an agent of the role: only where they are searched.
    pub markers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskView {
    Never,
    Forgotten,
    Known {
        state: TaskState,
        /// Of its own, and lost ones: while it is open.
        failures: (u32, u32),
        cancelling: bool,
        waiting: bool,
        /// It has an open question.
        asks: bool,
        /// No person has approved it.
        unapproved: bool,
        /// It waits for a lock, or for a slot of its plan.
        parked: bool,
        /// Which agent has it.
        holder: Option<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentView {
    /// There is none, or it has ended.
    Gone,
    Living {
        state: AgentState,
        /// It will look for a task by itself: only where markers are searched.
        woken: bool,
    },
}

impl TaskView {
    pub fn state(self) -> Option<TaskState> {
        match self {
            TaskView::Known { state, .. } => Some(state),
            _ => None,
        }
    }
    /// Nothing more happens to it by itself.
    pub fn has_ended(self) -> bool {
        self.state().is_none_or(TaskState::is_terminal)
    }
}

/// A lease that was given and has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub task: usize,
    pub agent: usize,
    pub incarnation: String,
    pub fence: u64,
}

/// What those remember who act, beside what is stored.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// How many incarnations each agent has had.
    pub runs: [u32; 2],
    /// The leases that have ended, the latest last; older ones are late in the same way.
    pub past: Vec<Lease>,
    pub forgotten: [bool; 2],
    pub woken: [bool; 2],
}

/// How many ended leases somebody still acts on.
const LATE: usize = 2;

/// A field of a record; '' where there is none.
pub fn field<'a>(image: &'a Image, key: &str, name: &str) -> &'a str {
    match image.keys.get(key) {
        Some(Content::Fields(fields)) => fields.get(name).map_or("", String::as_str),
        _ => "",
    }
}

pub fn number(image: &Image, key: &str, name: &str) -> u64 {
    field(image, key, name).parse().unwrap_or(0)
}

pub fn task_field<'a>(image: &'a Image, task: usize, name: &str) -> &'a str {
    field(image, &format!("task:{}", TASKS[task]), name)
}

pub fn agent_field<'a>(image: &'a Image, agent: usize, name: &str) -> &'a str {
    field(image, &format!("agent:{}", AGENTS[agent]), name)
}

/// The counter of fences.
pub fn last_fence(image: &Image) -> u64 {
    match image.keys.get("fence") {
        Some(Content::Text(text)) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

/// The lease of a running task.
pub fn lease(image: &Image, task: usize) -> Option<Lease> {
    if task_field(image, task, "state") != "running" {
        return None;
    }
    let agent = AGENTS.iter().position(|a| *a == task_field(image, task, "agent"))?;
    let incarnation = task_field(image, task, "incarnation").to_owned();
    Some(Lease { task, agent, incarnation, fence: task_field(image, task, "fence").parse().ok()? })
}

impl Memory {
    /// The same after a step.
    pub fn after(&self, before: &Image, after: &Image) -> Memory {
        let mut memory = self.clone();
        for t in 0..2 {
            if let Some(ended) = lease(before, t).filter(|l| lease(after, t).as_ref() != Some(l)) {
                memory.past.push(ended);
            }
            let known = |image| !task_field(image, t, "state").is_empty();
            memory.forgotten[t] |= known(before) && !known(after);
        }
        memory.past.drain(..memory.past.len().saturating_sub(LATE));
        for a in 0..2 {
            let run = agent_field(after, a, "incarnation").rsplit_once('-').and_then(|(_, n)| n.parse().ok());
            memory.runs[a] = memory.runs[a].max(run.unwrap_or(0));
        }
        memory
    }

    /// An agent's newest incarnation, or one `back` before it.
    pub fn incarnation(&self, agent: usize, back: u32) -> Option<String> {
        let run = self.runs[agent].checked_sub(back).filter(|run| *run > 0)?;
        Some(format!("run-{agent}-{run}"))
    }
}

impl State {
    /// Of two that differ only in which agent is which, the one that comes first.
    pub fn of(image: &Image, memory: &Memory, with_markers: bool) -> State {
        let tasks = [0, 1].map(|t| task_view(image, memory, t));
        let agents = [0, 1].map(|a| agent_view(image, memory, a));
        let requests = match image.keys.get("requests") {
            Some(Content::Fields(fields)) => fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            _ => Vec::new(),
        };
        let markers = match image.keys.get("wake:role:shell") {
            Some(Content::List(list)) if with_markers => list.len(),
            _ => 0,
        };
        let locked = image.keys.contains_key("lock:l-1");
        let suspended = image.keys.contains_key("rate:role shell");
        let of_plan = |name| field(image, &format!("plan:{PLAN}"), name);
        let plan = (of_plan("state").to_owned(), !of_plan("cancelling").is_empty());
        let state = State { tasks, agents, requests, plan, locked, suspended, markers };
        let mirrored = state.mirrored();
        state.min(mirrored)
    }

    fn mirrored(&self) -> State {
        let mut mirrored = self.clone();
        mirrored.agents.reverse();
        for task in &mut mirrored.tasks {
            if let TaskView::Known { holder: Some(holder), .. } = task {
                *holder = 1 - *holder;
            }
        }
        mirrored
    }

    /// A task is ready, an agent is idle, and nobody will ever look: only where markers are searched.
    pub fn sleeps_over_work(&self) -> bool {
        let may_start = !self.requests.iter().any(|(field, _)| field == "stop" || field == "pause");
        let idle = AgentView::Living { state: AgentState::Idle, woken: false };
        // A woken one that leaves or dies instead of looking passes it on.
        let will_look = |a: &AgentView| matches!(a, AgentView::Living { woken: true, .. });
        let ready = self.tasks.iter().any(|t| t.state() == Some(TaskState::Ready));
        may_start
            && !self.suspended
            && ready
            && self.markers == 0
            && self.agents.contains(&idle)
            && !self.agents.iter().any(will_look)
    }

    /// Nothing more happens by itself.
    pub fn is_at_rest(&self) -> bool {
        let held = |t: &TaskView| t.state() == Some(TaskState::Held);
        // What waits for a held one waits for a person, too.
        let rests = |t: &TaskView| t.has_ended() || held(t) || t.state() == Some(TaskState::Blocked);
        self.tasks.iter().all(|t| t.has_ended()) || (self.tasks.iter().any(held) && self.tasks.iter().all(rests))
    }
}

fn task_view(image: &Image, memory: &Memory, t: usize) -> TaskView {
    let Ok(state) = task_field(image, t, "state").parse::<TaskState>() else {
        return if memory.forgotten[t] { TaskView::Forgotten } else { TaskView::Never };
    };
    let counts = |name| task_field(image, t, name).parse().unwrap_or(0);
    let counted = !state.is_terminal() && state != TaskState::Held;
    TaskView::Known {
        state,
        failures: if counted { (counts("failures"), counts("lost")) } else { (0, 0) },
        cancelling: !task_field(image, t, "cancelling").is_empty(),
        waiting: !task_field(image, t, "waiting_until").is_empty(),
        asks: !task_field(image, t, "asks").is_empty(),
        unapproved: !task_field(image, t, "unapproved").is_empty(),
        parked: !task_field(image, t, "parked").is_empty(),
        holder: lease(image, t).map(|l| l.agent),
    }
}

fn agent_view(image: &Image, memory: &Memory, a: usize) -> AgentView {
    match agent_field(image, a, "state").parse::<AgentState>() {
        Ok(state) if state.is_live() => AgentView::Living { state, woken: memory.woken[a] },
        _ => AgentView::Gone,
    }
}
