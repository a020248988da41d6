//! The store as plain data in memory: what each call must answer, and what must be true after it. Written from the
//! design, as simply as can be: it looks at everything and remembers nothing twice.

use std::collections::{BTreeSet, HashMap, VecDeque};

use orch::model::{
    agent::AgentState,
    cause::Cause,
    edge::{Edge, Outcome},
    task::{Priority, TaskState},
};

/// Bounds that random steps reach.
pub const MAX_DEPTH: u32 = 2;
pub const MAX_CHILDREN: usize = 2;

#[derive(Debug, Clone)]
pub struct Task {
    pub role: usize,
    pub state: TaskState,
    pub priority: Priority,
    pub after: Vec<(usize, Edge)>,
    /// While it is blocked: what it waits for.
    pub waits: BTreeSet<usize>,
    pub parent: Option<usize>,
    pub depth: u32,
    pub retries: u32,
    pub lost_max: u32,
    pub failures: u32,
    pub lost: u32,
    pub attempts: u32,
    /// The lease that holds it.
    pub lease: Option<usize>,
    pub cancelling: bool,
    pub waiting: bool,
    pub due_now: bool,
    /// Cancelled because something that it waits for had ended.
    pub by_dependency: bool,
    pub key: Option<u8>,
}

#[derive(Debug, Clone)]
pub struct Agent {
    pub slot: usize,
    pub role: usize,
    pub state: AgentState,
    pub lease: Option<usize>,
    /// What ended with it.
    pub last: Option<(usize, TaskState)>,
}

/// One lease that was given.
#[derive(Debug, Clone)]
pub struct Lease {
    pub task: usize,
    /// The run of an agent that had it.
    pub run: usize,
    /// What its holder's report was answered with.
    pub answer: Option<TaskState>,
    /// How often this attempt delegated each content.
    calls: HashMap<u8, u32>,
}

#[derive(Debug, Clone)]
pub struct Submission {
    pub role: usize,
    pub priority: Priority,
    pub after: Vec<(usize, Edge)>,
    pub parent: Option<usize>,
    pub content: u8,
    pub key: Option<u8>,
    pub retries: u32,
    pub lost_max: u32,
}

#[derive(Debug, Default)]
pub struct Reference {
    /// By order of acceptance.
    pub tasks: Vec<Task>,
    /// Every run of every agent.
    pub runs: Vec<Agent>,
    pub leases: Vec<Lease>,
    keys: HashMap<u8, usize>,
    /// Tasks whose ends are being propagated.
    ended: VecDeque<usize>,
    /// Tasks that are skipped afterwards, unless they are cancelled.
    skips: VecDeque<usize>,
    /// Parent, content, which call of it.
    calls: HashMap<(usize, u8, u32), usize>,
    pub pause: bool,
    pub paused: [bool; 2],
    pub drain: bool,
    /// A stop that drains, or one at once.
    pub stop: Option<bool>,
    pub limits: [Option<usize>; 2],
}

pub type Answer<T> = Result<T, &'static str>;

impl Reference {
    pub fn holds(&self, lease: usize) -> bool {
        self.tasks[self.leases[lease].task].lease == Some(lease)
    }

    fn children(&self, parent: usize) -> Vec<usize> {
        (0..self.tasks.len()).filter(|t| self.tasks[*t].parent == Some(parent)).collect()
    }

    /// The task, and whether it is new.
    pub fn delegate(&mut self, r: &Submission) -> Answer<(usize, bool)> {
        let parent = match r.parent {
            Some(lease) if !self.holds(lease) || self.tasks[self.leases[lease].task].cancelling => return Err("stale"),
            lease => lease.map(|l| self.leases[l].task),
        };
        let mut call = None;
        if let Some(key) = r.key {
            if let Some(known) = self.keys.get(&key) {
                let found = &self.tasks[*known];
                if parent.is_some() && found.parent != parent && found.role != r.role {
                    return Err("key_taken");
                }
                return Ok((*known, false));
            }
        } else if let (Some(lease), Some(parent)) = (r.parent, parent) {
            let k = self.leases[lease].calls.get(&r.content).copied().unwrap_or(0) + 1;
            call = Some((lease, (parent, r.content, k)));
            let known = self.calls.get(&(parent, r.content, k)).copied();
            let usable = |t: &usize| {
                !matches!(self.tasks[*t].state, TaskState::Failed | TaskState::Cancelled | TaskState::Skipped)
            };
            if let Some(known) = known.filter(usable) {
                self.leases[lease].calls.insert(r.content, k);
                return Ok((known, false));
            }
        }
        let depth = parent.map_or(0, |p| self.tasks[p].depth + 1);
        match parent {
            Some(_) if depth > MAX_DEPTH => return Err("too_deep"),
            Some(p)
                if self.children(p).iter().filter(|c| !self.tasks[**c].state.is_terminal()).count() >= MAX_CHILDREN =>
            {
                return Err("too_many_children");
            }
            None if self.drain => return Err("draining"),
            _ => {}
        }
        if self.is_kept_from_starting(&r.after) {
            return Err("dependency_ended");
        }
        let id = self.tasks.len();
        self.tasks.push(Task {
            role: r.role,
            state: TaskState::Ready,
            priority: r.priority,
            after: r.after.clone(),
            waits: BTreeSet::new(),
            parent,
            depth,
            retries: r.retries,
            lost_max: r.lost_max,
            failures: 0,
            lost: 0,
            attempts: 0,
            lease: None,
            cancelling: false,
            waiting: false,
            due_now: false,
            by_dependency: false,
            key: r.key,
        });
        self.start_or_wait(id);
        if let Some(key) = r.key {
            self.keys.insert(key, id);
        }
        if let Some((lease, call)) = call {
            self.leases[lease].calls.insert(call.1, call.2);
            self.calls.insert(call, id);
        }
        Ok((id, true))
    }

    fn outcome(&self, (first, edge): &(usize, Edge)) -> Outcome {
        edge.outcome(self.tasks[*first].state)
    }

    /// Whether something that a task comes after has ended in such a way that the task does not start.
    fn is_kept_from_starting(&self, after: &[(usize, Edge)]) -> bool {
        after.iter().any(|edge| matches!(self.outcome(edge), Outcome::Cancel | Outcome::Skip))
    }

    fn is_open(&self, id: usize) -> bool {
        !self.tasks[id].state.is_terminal()
    }

    /// The task and those above it.
    fn family(&self, id: usize) -> Vec<usize> {
        std::iter::successors(Some(id), |t| self.tasks[*t].parent).collect()
    }

    /// What a task that has ended has left open.
    fn left_open(&self, id: usize, except: &[usize]) -> Vec<usize> {
        let children = self.children(id).into_iter().filter(|child| !except.contains(child));
        children.flat_map(|c| if self.is_open(c) { vec![c] } else { self.left_open(c, except) }).collect()
    }

    /// Whether one task waits for another, or for one that does.
    fn leads_to(&self, id: usize, goal: usize) -> bool {
        let (mut seen, mut asked) = (BTreeSet::new(), vec![id]);
        while let Some(one) = asked.pop() {
            for first in &self.tasks[one].waits {
                if *first == goal {
                    return true;
                }
                if seen.insert(*first) {
                    asked.push(*first);
                }
            }
        }
        false
    }

    fn not_behind(&self, id: usize, open: Vec<usize>) -> Vec<usize> {
        open.into_iter().filter(|one| *one != id && !self.leads_to(*one, id)).collect()
    }

    /// A task that is accepted, or tried again.
    fn start_or_wait(&mut self, id: usize) {
        let (mut open, mut left) = (Vec::new(), Vec::new());
        let above: Vec<usize> = self.family(id).into_iter().skip(1).collect();
        for edge in &self.tasks[id].after {
            match self.outcome(edge) {
                Outcome::Open => open.push(edge.0),
                _ if above.contains(&edge.0) => {}
                _ => left.extend(self.left_open(edge.0, &above)),
            }
        }
        open.extend(self.not_behind(id, left));
        self.tasks[id].state = if open.is_empty() { TaskState::Ready } else { TaskState::Blocked };
        self.tasks[id].waits = open.into_iter().collect();
    }

    /// What had ended is open again: what comes after it, and still waits, waits for it as well.
    fn reopened(&mut self, id: usize) {
        let ended: Vec<usize> = self
            .family(id)
            .into_iter()
            .enumerate()
            .take_while(|(n, t)| *n == 0 || !self.is_open(*t))
            .map(|(_, t)| t)
            .collect();
        for t in 0..self.tasks.len() {
            let family = self.family(t);
            let comes_after =
                self.tasks[t].after.iter().any(|(first, _)| ended.contains(first) && !family.contains(first));
            let waits = self.tasks[t].state == TaskState::Blocked && comes_after;
            if waits && !self.leads_to(id, t) {
                self.tasks[t].waits.insert(id);
            }
        }
    }

    /// The share of the slots of its role that a task belongs to: that of its topmost task, or of all without one.
    fn share(&self, id: usize) -> Option<usize> {
        self.tasks[id].parent.and_then(|_| self.family(id).last().copied())
    }

    /// How many slots the tasks of a share occupy.
    fn slots_of(&self, share: Option<usize>, role: usize) -> usize {
        let occupies = |t: &usize| {
            let task = &self.tasks[*t];
            task.role == role && task.state == TaskState::Running && !task.waiting
        };
        (0..self.tasks.len()).filter(occupies).filter(|t| self.share(*t) == share).count()
    }

    /// The lease that is given, or that the agent has. Among shares with equally many slots, the one that has used less goes
    /// first, which `claimed` knows.
    pub fn claim(&mut self, run: usize, claimed: Option<usize>) -> Answer<Option<usize>> {
        let Agent { state, role, lease, .. } = self.runs[run];
        if !state.is_live() {
            return Err("stale");
        }
        if state == AgentState::Busy {
            return Ok(lease);
        }
        if state != AgentState::Idle || self.pause || self.paused[role] || self.stop == Some(false) {
            return Ok(None);
        }
        let places = self.tasks.iter().filter(|t| t.role == role && t.state == TaskState::Running && !t.waiting);
        if self.limits[role].is_some_and(|most| places.count() >= most) {
            return Ok(None);
        }
        let may = |t: &usize| {
            let task = &self.tasks[*t];
            task.role == role && task.state == TaskState::Ready && (self.stop.is_none() || task.depth > 0)
        };
        let priority = (0..self.tasks.len()).filter(may).map(|t| self.tasks[t].priority).max();
        let mut ready: Vec<usize> =
            (0..self.tasks.len()).filter(may).filter(|t| Some(self.tasks[*t].priority) == priority).collect();
        // A stop that drains goes by the order of acceptance alone.
        if self.stop.is_none() {
            let slots: Vec<usize> = ready.iter().map(|t| self.slots_of(self.share(*t), role)).collect();
            let fewest = slots.iter().min().copied();
            let mut seen = BTreeSet::new();
            let mut slots = slots.into_iter();
            ready.retain(|t| {
                let share = self.tasks[*t].parent.map(|_| self.share(*t));
                slots.next() == fewest && seen.insert(share)
            });
        }
        let first = ready.iter().copied().find(|t| Some(*t) == claimed).or(ready.first().copied());
        let first = if self.stop.is_none() { first } else { ready.first().copied() };
        let Some(id) = first else { return Ok(None) };
        let lease = self.leases.len();
        self.leases.push(Lease { task: id, run, answer: None, calls: HashMap::new() });
        let task = &mut self.tasks[id];
        task.state = TaskState::Running;
        task.attempts += 1;
        task.lease = Some(lease);
        self.runs[run].state = AgentState::Busy;
        self.runs[run].lease = Some(lease);
        Ok(Some(lease))
    }

    pub fn finish(&mut self, lease: usize, cause: Cause, due_now: bool) -> Answer<TaskState> {
        if !self.holds(lease) {
            return self.leases[lease].answer.ok_or("stale");
        }
        let state = self.end_attempt(self.leases[lease].task, cause, due_now);
        self.leases[lease].answer = Some(state);
        let agent = &mut self.runs[self.leases[lease].run];
        agent.lease = None;
        if agent.state == AgentState::Busy {
            agent.state = AgentState::Idle;
        }
        Ok(state)
    }

    fn end_attempt(&mut self, id: usize, cause: Cause, due_now: bool) -> TaskState {
        let at_once = self.stop == Some(false);
        let task = &mut self.tasks[id];
        let cause = if task.cancelling && cause != Cause::Success { Cause::Cancelled } else { cause };
        match cause {
            Cause::Transient | Cause::Timeout | Cause::Permanent => task.failures += 1,
            Cause::Lost if !at_once => task.lost += 1,
            _ => {}
        }
        task.state = TaskState::after(cause, task.failures, task.retries, task.lost, task.lost_max);
        task.due_now = due_now;
        (task.lease, task.cancelling, task.waiting) = (None, false, false);
        let state = task.state;
        self.settle(id);
        state
    }

    /// Ends are propagated one after the other: first to all that comes after a task, then on from those. What is not needed is
    /// skipped last: what another end cancels is cancelled, in whatever order the two come.
    fn settle(&mut self, id: usize) {
        if !self.tasks[id].state.is_terminal() {
            return;
        }
        self.ended.push_back(id);
        if self.ended.len() == 1 {
            while let Some(next) = self.ended.front().copied() {
                self.propagate(next);
                // The last one stays until nothing is left to skip, so that what is skipped joins this queue.
                while self.ended.len() == 1
                    && let Some(skipped) = self.skips.pop_front()
                {
                    self.skip(skipped);
                }
                self.ended.pop_front();
            }
        }
    }

    fn propagate(&mut self, id: usize) {
        let left = self.left_open(id, &[]);
        for t in 0..self.tasks.len() {
            if self.tasks[t].state != TaskState::Blocked || !self.tasks[t].waits.contains(&id) {
                continue;
            }
            let edge = self.tasks[t].after.iter().find(|(first, _)| *first == id);
            let outcome = edge.map_or(Outcome::Met, |edge| self.outcome(edge));
            let ends_with_parent = self.tasks[id].state != TaskState::Succeeded && self.tasks[t].parent == Some(id);
            match outcome {
                _ if ends_with_parent => {
                    self.tasks[t].by_dependency = true;
                    self.give_up(t);
                }
                Outcome::Cancel => {
                    self.tasks[t].by_dependency = true;
                    self.give_up(t);
                }
                Outcome::Skip => self.skips.push_back(t),
                _ => {
                    let is_within = self.family(t).contains(&id);
                    let more = self.not_behind(t, if is_within { Vec::new() } else { left.clone() });
                    self.tasks[t].waits.remove(&id);
                    self.tasks[t].waits.extend(more);
                    if self.tasks[t].waits.is_empty() {
                        self.tasks[t].state = TaskState::Ready;
                    }
                }
            }
        }
        if self.tasks[id].state != TaskState::Succeeded {
            for child in self.children(id) {
                self.give_up(child);
            }
        }
    }

    fn skip(&mut self, t: usize) {
        if self.tasks[t].after.iter().any(|edge| self.outcome(edge) == Outcome::Cancel) {
            self.tasks[t].by_dependency = self.is_open(t) || self.tasks[t].by_dependency;
            self.give_up(t);
        } else if self.is_open(t) {
            self.tasks[t].state = TaskState::Skipped;
            self.tasks[t].waits.clear();
            self.settle(t);
        }
    }

    /// A person's word. A dead letter is removed, and nothing follows from it.
    /// Whether its key, if it has one, still stands for it: a dead letter that is removed gives it back.
    pub fn has_its_key(&self, id: usize) -> bool {
        self.tasks[id].key.is_none_or(|key| self.keys.get(&key) == Some(&id))
    }

    pub fn cancel(&mut self, id: usize) -> TaskState {
        if self.tasks[id].state == TaskState::Failed {
            self.tasks[id].state = TaskState::Cancelled;
            self.keys.retain(|_, known| *known != id);
        }
        self.give_up(id)
    }

    fn give_up(&mut self, id: usize) -> TaskState {
        let task = &mut self.tasks[id];
        match task.state {
            TaskState::Running => task.cancelling = true,
            state if state.is_terminal() => {}
            _ => {
                task.state = TaskState::Cancelled;
                task.waits.clear();
                self.settle(id);
            }
        }
        self.tasks[id].state
    }

    /// Its state before and afterwards, and what is retried with it: what was cancelled only because of it.
    pub fn retry(&mut self, id: usize) -> Answer<(TaskState, TaskState, Vec<usize>)> {
        let from = self.tasks[id].state;
        let mut others = Vec::new();
        match from {
            TaskState::Delayed => self.tasks[id].state = TaskState::Ready,
            TaskState::Failed | TaskState::Cancelled | TaskState::Skipped | TaskState::Held => {
                if self.is_kept_from_starting(&self.tasks[id].after) {
                    return Err("dependency_ended");
                }
                self.again(id);
                // A held task had not ended: nothing was cancelled because of it.
                let mut retried = if from == TaskState::Held { Vec::new() } else { vec![id] };
                while let Some(t) = (0..self.tasks.len()).find(|t| self.waits_only_for(*t, &retried)) {
                    self.again(t);
                    others.push(t);
                    retried.push(t);
                }
            }
            _ => {}
        }
        Ok((from, self.tasks[id].state, others))
    }

    /// Whether a task was cancelled because of what it waits for, some of which is retried, and none of which is ended any more.
    fn waits_only_for(&self, id: usize, retried: &[usize]) -> bool {
        let task = &self.tasks[id];
        let is_given_up = task.state == TaskState::Skipped || task.state == TaskState::Cancelled && task.by_dependency;
        is_given_up
            && task.after.iter().any(|(first, _)| retried.contains(first))
            && !self.is_kept_from_starting(&task.after)
    }

    fn again(&mut self, id: usize) {
        let had_ended = !self.is_open(id);
        self.start_or_wait(id);
        if had_ended {
            self.reopened(id);
        }
        let task = &mut self.tasks[id];
        (task.failures, task.lost, task.by_dependency) = (0, 0, false);
        if let Some(key) = task.key {
            self.keys.entry(key).or_insert(id);
        }
    }

    pub fn end_agent(&mut self, run: usize, to: AgentState, cause: Cause, due_now: bool) -> Option<(usize, TaskState)> {
        if self.runs[run].state.is_live() {
            let lease = self.runs[run].lease.take();
            self.runs[run].last = lease.map(|l| {
                let task = self.leases[l].task;
                (task, self.end_attempt(task, cause, due_now))
            });
            self.runs[run].state = to;
        }
        self.runs[run].last
    }

    pub fn stop_agent(&mut self, run: usize, only_idle: bool) -> AgentState {
        let state = &mut self.runs[run].state;
        if state.may_become(AgentState::Stopping) && !(only_idle && *state == AgentState::Busy) {
            *state = AgentState::Stopping;
        }
        *state
    }

    pub fn due(&mut self) -> u64 {
        let due = |t: &&mut Task| t.state == TaskState::Delayed && t.due_now;
        self.tasks.iter_mut().filter(due).map(|t| t.state = TaskState::Ready).count() as u64
    }

    pub fn wait(&mut self, lease: usize, on: bool) -> Answer<()> {
        if !self.holds(lease) {
            return Err("stale");
        }
        self.tasks[self.leases[lease].task].waiting = on;
        Ok(())
    }

    /// What a heartbeat with this lease is answered: leave, end the attempt, or neither.
    pub fn heartbeat(&self, lease: usize) -> Answer<&'static str> {
        let Lease { task, run, .. } = self.leases[lease];
        if !self.runs[run].state.is_live() || !self.holds(lease) {
            return Err("stale");
        }
        let stopping = self.runs[run].state == AgentState::Stopping;
        Ok(if stopping {
            "stop"
        } else if self.tasks[task].cancelling {
            "cancel"
        } else {
            "go"
        })
    }
}
