//! What needs a person: one sentence and one command each, the worst first. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Attention;
use crate::{
    admission::{self, Gate},
    config::Config,
    error::Error,
    model::{
        duration::human,
        gate::GateCode,
        id::TaskId,
        question::{Question, QuestionRef},
        task::{Task, TaskState, Usage},
        text::{count, one_line},
        wait::Needs,
        wait::Wait,
    },
    store::{guard::Tampering, observe::Snapshot, passes::Passes},
};

/// The supervisor goes by what it has read once; agents read it when they start.
pub(super) const OUTDATED: &str = "sessions.toml has changed since orch start or orch reload: the supervisor and its agents still use the earlier version";
pub(super) const RELOAD: &str = "orch reload";
pub(super) const RESTART: &str = "orch stop, then: orch start";

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
    /// Free space on the state folder's disk, in bytes.
    pub free_disk: Option<u64>,
    /// Where another folder's supervisor is that has this namespace.
    pub supervised_from: Option<String>,
    /// What the supervisor's passes have taken.
    pub passes: Passes,
    /// How the private Redis was last changed from outside.
    pub tampering: Option<Tampering>,
}

impl Look {
    /// What keeps roles from starting.
    fn admission(&self, config: &Config, supervised: bool) -> admission::Snapshot {
        admission_of(config, supervised, &self.snapshot, self.free_memory, self.free_disk)
    }

    /// How many tasks are in that state.
    pub fn count(&self, state: TaskState) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }
}

/// What keeps tasks and roles from starting, as far as it is recorded, configured, or seen on this machine.
pub(super) fn admission_of(
    config: &Config,
    supervised: bool,
    snapshot: &Snapshot,
    free_memory: Option<u64>,
    free_disk: Option<u64>,
) -> admission::Snapshot {
    let mut now = snapshot.admission(&config.master.session, &BTreeSet::new());
    now.configure(config.roles.values().map(|role| (role.name.as_str(), role.max)), config.supervisor.max_agents);
    now.supervised = supervised;
    // Without a supervisor none is started anyway.
    now.short_of_memory = config.supervisor.short_of_memory(free_memory).filter(|_| supervised);
    now.short_of_disk = config.supervisor.short_of_disk(free_disk).filter(|_| supervised);
    now
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
    tampering(look, &mut add);
    lost_data(look, &mut add);
    let now = look.admission(config, supervised);
    let gates = Gates::of(&now);
    gates.add(&[GateCode::Disk, GateCode::Memory], &mut add);
    questions(look, &mut add);
    asking(look, &mut add);
    held(look, &mut add);
    stuck_roles(config, look, &gates, &mut add);
    dead_letters(look, &mut add);
    gates.add(&[GateCode::Paused, GateCode::RolePaused], &mut add);
    if look.snapshot.requests.drain {
        add("orch is draining: nothing new is accepted".into(), "orch resume".into());
    }
    for damaged in &look.snapshot.damaged {
        add(format!("{damaged}: it is left alone"), "orch doctor".into());
    }
    out
}

/// A service that does not answer for so long is no hiccup: a person may know more, or mend it.
const RETRYING_IS_NEWS: Duration = Duration::from_secs(60);
/// For so long it is said that data was lost.
const LOSS_IS_NEWS: Duration = Duration::from_secs(24 * 3600);

/// A program has the supervisor's password, and may do it again.
fn tampering(look: &Look, add: &mut impl FnMut(String, String)) {
    let Some(Tampering { at, what, left }) = &look.tampering else { return };
    let age = look.snapshot.now.since(*at);
    if !left.is_empty() {
        add(format!("{what} ({} ago); still so: {left}", human(age)), "orch stop, then: orch start".into());
    } else if age < LOSS_IS_NEWS {
        let do_ = "find the program that did it: it can read the state folder; orch doctor compares again";
        add(format!("{what} ({} ago)", human(age)), do_.into());
    }
}

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
            let named = QuestionRef::new(task, question.number);
            add(format!("task {named} asks: {}{options}", question.question.trim_end()), question.command(task));
        }
    }
    let more = look.all_asking.len().saturating_sub(look.asking.len());
    if more > 0 {
        let more = count(more, "more task asks", "more tasks ask");
        add(format!("{more} something"), "orch tasks --state running; orch tasks --state held".into());
    }
}

/// Returns whether a question of this task is shown on its own, or counted among those that are not.
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

/// What keeps roles from starting anything: each thing once, with the roles that it concerns, those first that have tasks
/// waiting.
struct Gates<'a> {
    now: &'a admission::Snapshot,
    found: Vec<(Vec<&'a str>, Gate)>,
}

impl<'a> Gates<'a> {
    fn of(now: &'a admission::Snapshot) -> Self {
        let mut found: Vec<(Vec<&str>, Gate)> = Vec::new();
        for role in now.roles.keys() {
            for gate in admission::gates(None, role, now) {
                match found.iter_mut().find(|(_, one)| *one == gate && is_shared(&gate)) {
                    Some((roles, _)) => roles.push(role),
                    None => found.push((vec![role], gate)),
                }
            }
        }
        let ready = |role: &str| now.roles.get(role).map_or(0, |state| state.ready);
        found.iter_mut().for_each(|(roles, _)| roles.sort_by_key(|role| Reverse(ready(role))));
        found.splice(0..0, admission::master_gates(now).into_iter().map(|gate| (Vec::new(), gate)));
        Gates { now, found }
    }

    /// Those with one of these codes, in the order of the codes.
    fn with<'g>(&'g self, codes: &'g [GateCode]) -> impl Iterator<Item = (&'g [&'a str], &'g Gate)> {
        let of = move |code: &'g GateCode| self.found.iter().filter(move |(_, gate)| gate.code() == *code);
        codes.iter().flat_map(of).map(|(roles, gate)| (roles.as_slice(), gate))
    }

    /// Adds these as they are.
    fn add(&self, codes: &[GateCode], add: &mut impl FnMut(String, String)) {
        for (roles, gate) in self.with(codes) {
            add(gate.sentence(roles, self.now.now), gate.hint(roles).unwrap_or_default());
        }
    }

    fn ready(&self, role: &str) -> u64 {
        self.now.roles.get(role).map_or(0, |state| state.ready)
    }
}

/// Whether it is one thing for all roles that have it: the roles of one account share its limit.
fn is_shared(gate: &Gate) -> bool {
    match gate {
        Gate::Suspended(suspension) => suspension.account.is_some(),
        Gate::RolePaused
        | Gate::UnknownRole
        | Gate::BreakerOpen { .. }
        | Gate::ScaledToZero
        | Gate::RoleSlots { .. } => false,
        _ => true,
    }
}

/// Roles whose ready tasks no agent will take.
fn stuck_roles(config: &Config, look: &Look, gates: &Gates, add: &mut impl FnMut(String, String)) {
    gates.add(&[GateCode::BreakerOpen], add);
    for (roles, gate) in gates.with(SUSPENSIONS) {
        // A role that can't be started needs no attention while it has nothing to do: some of the built-in ones never have.
        if gate.code() != GateCode::ProgramMissing || roles.iter().any(|role| gates.ready(role) > 0) {
            add(gate.sentence(roles, gates.now.now), gate.hint(roles).unwrap_or_default());
        }
    }
    for (roles, gate) in gates.with(&[GateCode::ScaledToZero]) {
        let ready: u64 = roles.iter().map(|role| gates.ready(role)).sum();
        if ready > 0 {
            let what = format!("{}, and {} for it", gate.sentence(roles, gates.now.now), tasks_wait(ready));
            add(what, gate.hint(roles).unwrap_or_default());
        }
    }
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for task in &look.ready_of_unknown {
        *unknown.entry(&task.role).or_default() += 1;
    }
    for (role, n) in unknown {
        let file = config.file.as_deref().map_or("sessions.toml".into(), |file| file.display().to_string());
        let gone = Gate::UnknownRole.sentence(&[role], gates.now.now);
        add(
            format!("{gone}, and {} for it", tasks_wait(n)),
            format!("write [roles.{role}] into {file} and restart (orch stop; orch start), or: orch cancel TASK"),
        );
    }
}

const SUSPENSIONS: &[GateCode] =
    &[GateCode::RateLimited, GateCode::BudgetDay, GateCode::BudgetTotal, GateCode::ProgramMissing];

fn reason(task: &Task, otherwise: &str) -> String {
    task.reason.as_ref().map_or_else(|| otherwise.to_owned(), |reason| one_line(reason, 200))
}

fn tasks_wait(n: u64) -> String {
    count(n, "ready task waits", "ready tasks wait")
}

#[cfg(test)]
mod tests;
