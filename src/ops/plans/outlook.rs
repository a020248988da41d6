//! Estimates how long a plan still takes, from the durations of earlier tasks.

use std::collections::BTreeMap;

use crate::{
    model::{
        duration::human,
        plan::Eta,
        task::{Task, TaskState},
    },
    plan::rank::{self, Draws, Durations, Path, Work},
    store::durations::Took,
};

/// How many earlier tasks are looked at.
pub(super) const HISTORY: usize = 500;
/// How many times the rest of a plan is simulated.
const SIMULATIONS: usize = 200;
/// The most tasks in all simulations together: a large plan is simulated less often.
const SIMULATED: usize = 100_000;
/// What a task takes of which nothing is known.
const UNKNOWN: u64 = 60_000;
/// How many tasks of the critical path are looked at for what would shorten it.
const HALVED: usize = 20;
/// A change that saves less than this share is not worth telling.
const WORTH: f64 = 0.05;

pub(super) struct Outlook {
    pub durations: Vec<u64>,
    pub path: Path,
    pub eta: Option<Eta>,
    pub shorten: Option<String>,
}

/// What earlier tasks of the same key and role, or of the same role, have taken.
pub(super) struct History {
    by_key: BTreeMap<(String, String), Durations>,
    by_role: BTreeMap<String, Durations>,
}

impl History {
    pub fn new(took: &[Took]) -> History {
        let (mut by_key, mut by_role) = (BTreeMap::<_, Vec<u64>>::new(), BTreeMap::<_, Vec<u64>>::new());
        for one in took {
            by_role.entry(one.role.clone()).or_default().push(one.ms);
            if let Some(key) = &one.key {
                by_key.entry((one.role.clone(), key.clone())).or_default().push(one.ms);
            }
        }
        History {
            by_key: by_key.into_iter().map(|(key, all)| (key, Durations::new(all))).collect(),
            by_role: by_role.into_iter().map(|(role, all)| (role, Durations::new(all))).collect(),
        }
    }

    /// The duration of such a task that this share stays below; `None` where nothing is known.
    pub fn quantile(&self, role: &str, key: &str, share: f64) -> Option<u64> {
        let its = self.by_key.get(&(role.to_owned(), key.to_owned())).or_else(|| self.by_role.get(role));
        its.and_then(|durations| durations.quantile(share))
    }
}

pub(super) fn outlook(
    tasks: &[(String, Task)],
    predecessors: &[Vec<usize>],
    took: &[Took],
    max: impl Fn(&str) -> u32,
) -> Outlook {
    let history = History::new(took);
    let expected = |key: &str, task: &Task| history.quantile(&task.role, key, 0.5).unwrap_or(UNKNOWN);
    let durations: Vec<u64> = tasks
        .iter()
        .map(|(key, task)| match task.state {
            TaskState::Succeeded | TaskState::Failed => task.running_ms.unwrap_or(0),
            TaskState::Cancelled | TaskState::Skipped => 0,
            TaskState::Running => expected(key, task).max(task.running_ms.unwrap_or(0)),
            _ => expected(key, task),
        })
        .collect();
    let path = rank::path(predecessors, &durations);
    let rest = Rest::new(tasks, predecessors, &path);
    let can_go_on = !rest.tasks.is_empty() && rest.tasks.iter().all(|at| tasks[*at].1.state != TaskState::Held);
    let room = Room {
        places: rest.roles.iter().map(|role| max(role).max(1)).collect(),
        at_once: tasks.iter().find_map(|(_, task)| task.max_parallel).unwrap_or(u32::MAX),
    };
    let (mut eta, mut shorten) = (None, None);
    if can_go_on {
        let mut draws = Draws::new(1);
        let times = SIMULATIONS.min(SIMULATED / rest.tasks.len()).max(1);
        let ends = (0..times).filter_map(|_| {
            let draw = |key: &str, task: &Task| {
                history.quantile(&task.role, key, draws.next().unwrap_or(0.5)).unwrap_or(UNKNOWN)
            };
            rest.simulate(tasks, draw, &room)
        });
        let ends = Durations::new(ends.collect());
        eta = ends.quantile(0.5).zip(ends.quantile(0.9)).map(|(p50_ms, p90_ms)| Eta { p50_ms, p90_ms });
        shorten = rest.shorten(tasks, expected, &room, &path.critical(predecessors));
    }
    Outlook { durations, path, eta, shorten }
}

/// How many tasks may run at the same time.
#[derive(Debug, Clone)]
struct Room {
    /// Of each role.
    places: Vec<u32>,
    /// Of the plan.
    at_once: u32,
}

/// The tasks that have yet to end.
struct Rest {
    tasks: Vec<usize>,
    roles: Vec<String>,
    predecessors: Vec<Vec<usize>>,
    rank: Vec<u64>,
}

impl Rest {
    fn new(tasks: &[(String, Task)], predecessors: &[Vec<usize>], path: &Path) -> Rest {
        let open: Vec<usize> = (0..tasks.len()).filter(|at| !tasks[*at].1.state.is_terminal()).collect();
        let mut place = vec![None; tasks.len()];
        open.iter().enumerate().for_each(|(n, at)| place[*at] = Some(n));
        let mut roles: Vec<String> = open.iter().map(|at| tasks[*at].1.role.clone()).collect();
        roles.sort();
        roles.dedup();
        Rest {
            predecessors: open
                .iter()
                .map(|at| predecessors[*at].iter().filter_map(|first| place[*first]).collect())
                .collect(),
            rank: open.iter().map(|at| path.rank[*at]).collect(),
            roles,
            tasks: open,
        }
    }

    fn simulate(
        &self,
        tasks: &[(String, Task)],
        mut takes: impl FnMut(&str, &Task) -> u64,
        room: &Room,
    ) -> Option<u64> {
        let work = |at: &usize| {
            let (key, task) = &tasks[*at];
            let runs = task.state == TaskState::Running;
            let so_far = if runs { task.running_ms.unwrap_or(0) } else { 0 };
            let role = self.roles.iter().position(|role| *role == task.role).unwrap_or(0);
            Work { role, duration: takes(key, task).saturating_sub(so_far), runs }
        };
        let work: Vec<Work> = self.tasks.iter().map(work).collect();
        rank::simulate_within(&self.predecessors, &work, &room.places, room.at_once, &self.rank)
    }

    /// What would save most, if it saves enough: one more agent of a role, or one more task at the same time; and which task
    /// on the critical path, if it took half as long.
    fn shorten(
        &self,
        tasks: &[(String, Task)],
        takes: impl Fn(&str, &Task) -> u64,
        room: &Room,
        critical: &[usize],
    ) -> Option<String> {
        let now = self.simulate(tasks, &takes, room)?;
        let saved = |end: Option<u64>| end.map_or(0, |end| now.saturating_sub(end));
        let in_words = |ms: u64| human(std::time::Duration::from_millis(ms));
        let more_agents = (0..self.roles.len()).map(|role| {
            let mut more = room.clone();
            more.places[role] += 1;
            let (name, saved) = (&self.roles[role], saved(self.simulate(tasks, &takes, &more)));
            let max = more.places[role];
            let what = format!("one more agent of {name} would save about {}", in_words(saved));
            (saved, format!("{what} (max = {max} in [roles.{name}])"))
        });
        let more_at_once = (room.at_once < u32::MAX).then(|| {
            let more = Room { at_once: room.at_once + 1, ..room.clone() };
            let saved = saved(self.simulate(tasks, &takes, &more));
            let what = format!("one more task at the same time would save about {}", in_words(saved));
            (saved, format!("{what} (max_parallel = {} of the plan)", more.at_once))
        });
        let open = critical.iter().filter(|at| !tasks[**at].1.state.is_terminal()).take(HALVED);
        let halved = open.map(|at| {
            let (key, task) = &tasks[*at];
            let half = |one: &str, of: &Task| if one == key { takes(one, of) / 2 } else { takes(one, of) };
            let saved = saved(self.simulate(tasks, half, room));
            let what = format!("if {key} took half of its {}", in_words(takes(key, task)));
            (saved, format!("{what}, the plan would end about {} earlier", in_words(saved)))
        });
        let mut best: Vec<(u64, String)> =
            more_agents.chain(more_at_once).max_by_key(|(saved, _)| *saved).into_iter().collect();
        best.extend(halved.max_by_key(|(saved, _)| *saved));
        best.retain(|(saved, _)| *saved as f64 > WORTH * now as f64);
        best.sort_by_key(|(saved, _)| std::cmp::Reverse(*saved));
        let sentences: Vec<String> = best.into_iter().map(|(_, what)| what).collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}
