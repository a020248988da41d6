//! What needs a person: one sentence and one command each, the worst first. Pure.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use super::Attention;
use crate::{
    config::Config,
    error::Error,
    model::{
        duration::human,
        id::TaskId,
        question::Question,
        task::{Task, TaskState, Usage},
        text::{count, one_line},
        time::Timestamp,
        wait::Needs,
        wait::Wait,
    },
    store::{observe::Snapshot, spend::Suspended},
};

/// What to do where no agent is started for want of memory.
pub(super) const FREE_MEMORY: &str = "end what uses it, or set min_free_memory under [supervisor] lower";

/// The supervisor goes by what it has read once; agents read it when they start.
pub(super) const OUTDATED: &str =
    "sessions.toml has changed since orch start: the supervisor and the agents of before go by what it said then";
pub(super) const RESTART: &str = "orch stop, then: orch start";

/// The supervisor has the PATH of `orch start`; that of whoever asks may be longer by now.
pub(super) const MEND_ROLE: &str = "orch doctor; where that finds all it needs: orch stop, then: orch start";

/// What `status` has seen of the store.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub snapshot: Snapshot,
    pub counts: BTreeMap<TaskState, u64>,
    /// Ready tasks whose role is not in sessions.toml.
    pub ready_of_unknown: Vec<Task>,
    /// The first held tasks.
    pub held: Vec<Task>,
    /// The first tasks with open questions, and those.
    pub asking: Vec<(TaskId, Vec<Question>)>,
    /// All that have any.
    pub all_asking: Vec<TaskId>,
    /// What was used today.
    pub usage_today: Usage,
    /// The newest dead letters.
    pub failed: Vec<Task>,
    /// Memory available on this machine, in bytes.
    pub free_memory: Option<u64>,
    /// Where another folder's supervisor is that has this namespace.
    pub supervised_from: Option<String>,
}

impl Look {
    /// How many tasks are in that state.
    pub fn count(&self, state: TaskState) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }
}

/// An error as something to attend to.
pub(super) fn of_error(error: Error) -> Attention {
    Attention { what: error.message, do_: error.hint.unwrap_or_else(|| "orch doctor".into()) }
}

/// Everything that needs a person.
pub(super) fn of(config: &Config, supervised: bool, look: &Look) -> Vec<Attention> {
    let mut out = Vec::new();
    let mut add = |what: String, do_: String| out.push(Attention { what, do_ });
    let open: u64 = look.counts.iter().filter(|(state, _)| !state.is_terminal()).map(|(_, n)| n).sum();
    if let Some(place) = look.supervised_from.as_ref().filter(|_| !supervised) {
        add(
            format!("this namespace is supervised from {place}, and not from here"),
            "orch status, there; to have it here: orch stop there, then orch start here".into(),
        );
    } else if !supervised && open > 0 {
        add(
            format!("the supervisor is not running, and {} not ended", count(open, "task has", "tasks have")),
            "orch start".into(),
        );
    } else if !supervised && !look.snapshot.agents.is_empty() {
        add("the supervisor is not running, and agents live".into(), "orch start".into());
    }
    lost_data(look, &mut add);
    if let Some(short) = config.supervisor.short_of_memory(look.free_memory).filter(|_| supervised) {
        add(format!("no new agent is started: {short}"), FREE_MEMORY.into());
    }
    questions(look, &mut add);
    asking(look, &mut add);
    held(look, &mut add);
    stuck_roles(config, look, &mut add);
    dead_letters(look, &mut add);
    requests(look, &mut add);
    for damaged in &look.snapshot.damaged {
        add(format!("{damaged}: it is left alone"), "orch doctor".into());
    }
    out
}

/// A service that does not answer for so long is no hiccup: a person may know more, or mend it.
const RETRYING_IS_NEWS: Duration = Duration::from_secs(60);
/// For so long it is said that data was lost.
const LOSS_IS_NEWS: Duration = Duration::from_secs(24 * 3600);

fn lost_data(look: &Look, add: &mut impl FnMut(String, String)) {
    let epoch = &look.snapshot.epoch;
    let (Some(at), Some(loss)) = (epoch.lost_at, &epoch.loss) else { return };
    let age = look.snapshot.now.since(at);
    if age < LOSS_IS_NEWS {
        add(format!("{loss} ({} ago); what is missing has to be delegated again", human(age)), "orch tasks".into());
    }
}

fn questions(look: &Look, add: &mut impl FnMut(String, String)) {
    for (task, questions) in &look.asking {
        for question in questions {
            let options = match question.options.is_empty() {
                true => String::new(),
                false => format!(" ({})", question.options.join(", ")),
            };
            let what = format!("task {task} asks: {}{options}", one_line(&question.question, 200));
            add(what, format!("orch answer {task} TEXT"));
        }
    }
    let more = look.all_asking.len().saturating_sub(look.asking.len());
    if more > 0 {
        let more = count(more, "more task asks", "more tasks ask");
        add(format!("{more} something"), "orch tasks --state running; orch tasks --state held".into());
    }
}

/// Whether a question of this task is shown by itself, or counted among those that are not.
fn asks(look: &Look, task: Option<&TaskId>) -> bool {
    task.is_some_and(|task| look.all_asking.contains(task))
}

fn asking(look: &Look, add: &mut impl FnMut(String, String)) {
    for agent in look.snapshot.agents.iter().map(|record| &record.agent) {
        let Some(wait) = agent.waits_for() else { continue };
        let age = agent.waits_since().map(|at| look.snapshot.now.since(at));
        let do_ = match &wait {
            Wait::Person(need) if need.what == Needs::Input && asks(look, agent.task.as_ref()) => continue,
            Wait::Person(_) => format!("orch attach {}", agent.id),
            Wait::Service(_) if age.is_none_or(|age| age < RETRYING_IS_NEWS) => continue,
            Wait::Service(_) => {
                format!("wait: it goes on by itself, or its task is tried again; orch why {}", agent.id)
            }
        };
        let task = agent.task.as_ref().map(|t| format!(" for {t}")).unwrap_or_default();
        let for_ = age.map(|age| format!(" (for {})", human(age))).unwrap_or_default();
        add(format!("agent {} waits{task}: its program {wait}{for_}", agent.id), do_);
    }
}

fn held(look: &Look, add: &mut impl FnMut(String, String)) {
    for task in look.held.iter().filter(|task| !asks(look, Some(&task.id))) {
        // Not `orch attach`: its program has ended, and its agent may be at something else, or gone.
        let do_ = format!("orch why {0}, then: orch retry {0}", task.id);
        add(format!("task {} is held: {}", task.id, reason(task, "it waits for a person")), do_);
    }
    rest(look, TaskState::Held, look.held.len(), "held", add);
}

fn dead_letters(look: &Look, add: &mut impl FnMut(String, String)) {
    let all = look.count(TaskState::Failed);
    if all > look.failed.len() as u64 {
        let newest = look.failed.first().map(|t| format!("; the newest is {}", t.id)).unwrap_or_default();
        return add(
            format!("{} failed{newest}", count(all, "task has", "tasks have")),
            "orch tasks --state failed".into(),
        );
    }
    for task in &look.failed {
        let what = format!("task {} has failed: {}", task.id, reason(task, "no reason was recorded"));
        add(what, format!("orch why {0}, then: orch retry {0}", task.id));
    }
}

fn rest(look: &Look, state: TaskState, named: usize, word: &str, add: &mut impl FnMut(String, String)) {
    let more = look.count(state).saturating_sub(named as u64);
    if more > 0 {
        let more = count(more, "more task is", "more tasks are");
        add(format!("{more} {word}"), format!("orch tasks --state {state}"));
    }
}

/// Why nothing of some roles is started.
pub(super) fn suspended(roles: &[&str], held: &Suspended, now: Timestamp) -> String {
    let (who, is_one) = (named(roles), roles.len() == 1);
    let why = one_line(&held.reason, 200);
    match held.until {
        Some(until) => {
            let start = if is_one { "starts" } else { "start" };
            format!("{who} {start} nothing for {}, until {until}: {why}", human(until.since(now)))
        }
        None => format!("{who} can't be started: {why}"),
    }
}

fn named(roles: &[&str]) -> String {
    const NAMED: usize = 3;
    match roles {
        [role] => format!("role {role}"),
        _ if roles.len() <= NAMED => format!("roles {}", roles.join(", ")),
        _ => format!("roles {} and {} more", roles[..NAMED].join(", "), roles.len() - NAMED),
    }
}

/// Roles whose ready tasks no agent will take.
fn stuck_roles(config: &Config, look: &Look, add: &mut impl FnMut(String, String)) {
    for (role, breaker) in &look.snapshot.breakers {
        if breaker.until > look.snapshot.now {
            let rest = human(breaker.until.since(look.snapshot.now));
            let why = one_line(&breaker.reason, 200);
            if *role == config.master.session {
                let what = format!("the master does not stay up ({why}); the next try is in {rest}");
                add(what, "orch doctor".into());
            } else {
                let what = format!("agents of role {role} end at once ({why}); the next try is in {rest}");
                add(what, format!("orch spawn {role}"));
            }
        }
    }
    for (roles, held) in holds(look) {
        let do_ = match (held.until, &held.account) {
            (None, _) => MEND_ROLE.into(),
            (Some(_), Some(_)) => format!("wait: it ends by itself; or lift it: orch resume {}", roles[0]),
            (Some(_), None) => "wait: it ends by itself; orch costs --by role".into(),
        };
        add(suspended(&roles, held, look.snapshot.now), do_);
    }
    for (role, load) in &look.snapshot.load {
        if load.ready > 0 && look.snapshot.requests.scale.get(role) == Some(&0) {
            let n = tasks_wait(load.ready);
            add(format!("role {role} was scaled to 0, and {n} for it"), format!("orch scale {role} 1"));
        }
    }
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for task in &look.ready_of_unknown {
        *unknown.entry(&task.role).or_default() += 1;
    }
    for (role, n) in unknown {
        let file = config.file.as_deref().map_or("sessions.toml".into(), |file| file.display().to_string());
        let n = tasks_wait(n);
        add(
            format!("there is no role {role} any more, and {n} for it"),
            format!("write [roles.{role}] into {file} and restart (orch stop; orch start), or: orch cancel TASK"),
        );
    }
}

/// What holds roles back, each with its roles: those of one account share its limit. Who has tasks waiting is named first.
/// A role that can't be started is nobody's trouble while it has nothing to do: some of the built-in ones never have.
fn holds(look: &Look) -> Vec<(Vec<&str>, &Suspended)> {
    let ready = |role: &str| look.snapshot.load.get(role).map_or(0, |load| load.ready);
    let mut out: Vec<(Vec<&str>, &Suspended)> = Vec::new();
    for (role, held) in look.snapshot.suspended.iter().filter(|(role, held)| held.until.is_some() || ready(role) > 0) {
        match out.iter_mut().find(|(_, one)| one.account.is_some() && *one == held) {
            Some((roles, _)) => roles.push(role),
            None => out.push((vec![role], held)),
        }
    }
    out.iter_mut().for_each(|(roles, _)| roles.sort_by_key(|role| Reverse(ready(role))));
    out
}

fn requests(look: &Look, add: &mut impl FnMut(String, String)) {
    let requests = &look.snapshot.requests;
    if requests.pause {
        add("everything is paused: nothing new is started".into(), "orch resume".into());
    }
    for role in &requests.paused_roles {
        add(format!("role {role} is paused: none of its tasks is started"), format!("orch resume {role}"));
    }
    if requests.drain {
        add("orch is draining: nothing new is accepted".into(), "orch resume".into());
    }
}

fn reason(task: &Task, otherwise: &str) -> String {
    task.reason.as_ref().map_or_else(|| otherwise.to_owned(), |reason| one_line(reason, 200))
}

fn tasks_wait(n: u64) -> String {
    count(n, "ready task waits", "ready tasks wait")
}

#[cfg(test)]
mod tests;
