//! Lists what needs a person, the most serious first. Pure.

mod locks;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    admission::{self, Gate, deadlock::Deadlock},
    config::Config,
    error::Error,
    model::{
        attention::{Attention, AttentionKind},
        duration::human,
        end_code::EndCode,
        gate::GateCode,
        id::TaskId,
        message::Message,
        plan::ShortPlan,
        question::Question,
        schedule::ScheduleRecord,
        task::{Task, TaskState, Usage},
        text::{count, one_line},
        time::Timestamp,
        wait::{Needs, Wait},
    },
    ops::{budgets::more_for, types::BudgetRow},
    store::{guard::Tampering, locks::Keeping, observe::Snapshot, passes::Passes, unread::Unheard},
};

/// The supervisor goes by what it has read once; agents read it when they start.
pub(super) const OUTDATED: &str = "sessions.toml has changed since orch start or orch reload: the supervisor and its agents still use the earlier version";
pub(super) const RELOAD: &str = "orch reload";
pub(super) const RESTART: &str = "orch restart";

/// What `status` has seen of the store.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub snapshot: Snapshot,
    pub counts: BTreeMap<TaskState, u64>,
    /// Ready tasks whose role is not in sessions.toml.
    pub ready_of_unknown: Vec<Task>,
    /// The first held tasks, each with the time since when.
    pub held: Vec<(Task, Timestamp)>,
    /// The first tasks with open questions, and those.
    pub asking: Vec<(TaskId, Vec<Question>)>,
    /// All that have any.
    pub all_asking: Vec<TaskId>,
    /// The last messages to the master that no person has read, where a person leads it; and how many come before.
    pub unread: (Vec<Message>, u64),
    /// The messages of people that were not read before their task ended.
    pub unheard: Vec<Unheard>,
    /// The locks of persons that keep tasks from starting.
    pub keeping: Vec<Keeping>,
    /// Tasks that wait for each other.
    pub deadlocks: Vec<Deadlock>,
    /// What was used today.
    pub usage_today: Usage,
    /// The budgets of the day that are limited.
    pub budgets: Vec<BudgetRow>,
    /// The newest dead letters, each with the time since when, without those for which their plan made up.
    pub failed: Vec<(Task, Timestamp)>,
    /// How many of the newest their plans made up for.
    pub made_up_for: u64,
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
    /// Plans whose budgets have no room for their next tasks.
    pub short_plans: Vec<ShortPlan>,
    /// What is recorded of the schedules.
    pub schedules: BTreeMap<String, ScheduleRecord>,
}

impl Look {
    /// What keeps roles from starting.
    fn admission(&self, config: &Config, supervised: bool) -> admission::Snapshot {
        admission_of(config, supervised, &self.snapshot, self.free_memory, self.free_disk)
    }

    /// Whether a person has read what was reported at that time ([`Ops::dismiss`](super::Ops::dismiss)).
    fn is_dismissed(&self, at: Timestamp) -> bool {
        self.snapshot.requests.dismissed.is_some_and(|until| at <= until)
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

/// Why Redis is not usable, as something to attend to.
pub(super) fn of_error(error: Error) -> Attention {
    Attention::new(AttentionKind::Redis, error.message, error.hint.unwrap_or_else(|| "orch doctor".into()))
}

/// Agents whose sessions cannot be reached.
pub(super) fn of_displaced(agents: &[String], ways_back: &str) -> Attention {
    let run = if agents.len() == 1 { "runs" } else { "run" };
    let what = format!(
        "{} {run} in a tmux server that cannot be reached: another one has taken its socket",
        agents.join(", ")
    );
    let commands = vec!["orch stop".to_owned()];
    Attention { commands, ..Attention::new(AttentionKind::Supervisor, what, ways_back) }
}

/// Why sessions.toml is not usable. The fleet does not notice until it is started or reloaded.
pub(super) fn of_wrong_file(error: &Error) -> Attention {
    let what = format!("{}: orch goes by what the supervisor has read before", error.message);
    let hint = error.hint.as_deref().unwrap_or("correct it");
    let do_ = format!("{hint}; then: {RELOAD}");
    let commands = vec![RELOAD.to_owned()];
    Attention { commands, ..Attention::new(AttentionKind::Configuration, what, do_) }
}

/// Everything that needs a person.
pub(super) fn of(config: &Config, supervised: bool, look: &Look) -> Vec<Attention> {
    let mut out = Vec::new();
    let open: u64 = look.counts.iter().filter(|(state, _)| !state.is_terminal()).map(|(_, n)| n).sum();
    if let Some(place) = look.supervised_from.as_ref().filter(|_| !supervised) {
        out.push(Attention::new(
            AttentionKind::Supervisor,
            format!("this namespace is supervised from {place}, and not from here"),
            "orch status, there; to have it here: orch stop there, then orch start here",
        ));
    } else if !supervised && open > 0 {
        let what = format!("the supervisor is not running, and {} not ended", count(open, "task has", "tasks have"));
        out.push(Attention::by(AttentionKind::Supervisor, what, "orch start"));
    } else if !supervised && !look.snapshot.agents.is_empty() {
        let what = "the supervisor is not running, and agents run";
        out.push(Attention::by(AttentionKind::Supervisor, what, "orch start"));
    }
    out.extend(tampering(look));
    out.extend(lost_data(look));
    let now = look.admission(config, supervised);
    let gates = Gates::of(&now);
    gates.add(&[GateCode::Disk, GateCode::Memory], &mut out);
    asking(look, &mut out);
    let (unread, before) = &look.unread;
    if *before > 0 {
        out.push(Attention::more(AttentionKind::Messages, *before));
    }
    out.extend(unread.iter().map(Attention::of_message));
    out.extend(look.unheard.iter().map(|one| Attention::of_unheard(&one.task, &one.text, &one.reason, one.at())));
    held(config, look, &mut out);
    stuck_roles(config, look, &gates, &mut out);
    dead_letters(look, &mut out);
    out.extend(look.deadlocks.iter().map(locks::of_deadlock));
    out.extend(look.keeping.iter().filter_map(|keeping| locks::attention(keeping, look.snapshot.now)));
    out.extend(look.schedules.iter().filter_map(failing_schedule));
    // One that keeps tasks from starting is said already.
    let is_said = |what: &str| out.iter().any(|one| one.what.contains(what));
    let near: Vec<String> =
        look.budgets.iter().filter_map(BudgetRow::nearly_used).filter(|what| !is_said(what)).collect();
    out.extend(near.into_iter().map(|what| Attention::by(AttentionKind::Budget, what, "orch budget")));
    out.extend(look.short_plans.iter().filter(|plan| !plan.is_reserved).map(Attention::of_short_plan));
    gates.add(&[GateCode::Paused, GateCode::RolePaused], &mut out);
    if look.snapshot.requests.drain {
        out.push(Attention::by(AttentionKind::Paused, "orch is draining: nothing new is accepted", "orch resume"));
    }
    for damaged in &look.snapshot.damaged {
        out.push(Attention::by(AttentionKind::Damaged, format!("{damaged}: it is left alone"), "orch doctor"));
    }
    out
}

/// What people are asked: the questions of tasks, and what agents' programs ask in their terminals.
pub(super) fn asking(look: &Look, out: &mut Vec<Attention>) {
    questions(look, out);
    waiting_agents(look, out);
}

/// A schedule whose last occurrence could not run.
fn failing_schedule((name, record): (&String, &ScheduleRecord)) -> Option<Attention> {
    let failure = record.failure.as_ref()?;
    let what = format!("schedule {name} could not run: {}", one_line(failure, 300));
    Some(Attention::by(AttentionKind::Schedule, what, format!("orch schedule why {name}")))
}

/// A service that does not answer for this long has no short disturbance: a person may know more, or fix it.
const RETRYING_IS_NEWS: Duration = Duration::from_secs(60);
/// How long a loss of data is reported.
const LOSS_IS_NEWS: Duration = Duration::from_secs(24 * 3600);

/// A program has the supervisor's password, and may do it again.
fn tampering(look: &Look) -> Option<Attention> {
    let Tampering { at, what, left } = look.tampering.as_ref()?;
    let age = look.snapshot.now.since(*at);
    if left.is_empty() && look.is_dismissed(*at) {
        return None;
    }
    let (what, do_) = match left.is_empty() {
        false => (format!("{what} ({} ago); still so: {left}", human(age)), "orch stop, then: orch start"),
        true if age < LOSS_IS_NEWS => (
            format!("{what} ({} ago)", human(age)),
            "find the program that did it: it can read the state folder; orch doctor compares again; then: orch dismiss",
        ),
        true => return None,
    };
    Some(Attention { since: Some(*at), ..Attention::new(AttentionKind::Tampering, what, do_) })
}

fn lost_data(look: &Look) -> Option<Attention> {
    let epoch = &look.snapshot.epoch;
    let (at, loss) = (epoch.lost_at.filter(|at| !look.is_dismissed(*at))?, epoch.loss.as_ref()?);
    let age = look.snapshot.now.since(at);
    let what = format!(
        "{loss} ({} ago); what is missing has to be delegated again; this line is shown for {}",
        human(age),
        human(LOSS_IS_NEWS)
    );
    let commands = ["orch tasks", "orch dismiss"].map(str::to_owned).into();
    let do_ = "orch tasks shows what is there; once you have seen it: orch dismiss";
    let lost = Attention { since: Some(at), commands, ..Attention::new(AttentionKind::DataLoss, what, do_) };
    (age < LOSS_IS_NEWS).then_some(lost)
}

fn questions(look: &Look, out: &mut Vec<Attention>) {
    for (task, questions) in &look.asking {
        let at_it = look.snapshot.agents.iter().find(|record| record.agent.task.as_ref() == Some(task));
        let agent = at_it.map(|record| record.agent.id.as_str());
        out.extend(questions.iter().map(|question| Attention::of_question(task, agent, question)));
    }
    let more = look.all_asking.len().saturating_sub(look.asking.len());
    if more > 0 {
        out.push(Attention::more(AttentionKind::Question, more as u64));
    }
}

/// Returns whether a question of this task is shown on its own, or counted among those that are not.
fn asks(look: &Look, task: Option<&TaskId>) -> bool {
    task.is_some_and(|task| look.all_asking.contains(task))
}

fn waiting_agents(look: &Look, out: &mut Vec<Attention>) {
    for agent in look.snapshot.agents.iter().map(|record| &record.agent) {
        let Some(wait) = agent.waits_for() else { continue };
        let since = agent.waits_since();
        let age = since.map(|at| look.snapshot.now.since(at));
        let task = agent.task.as_ref().map(|t| format!(" for {t}")).unwrap_or_default();
        let for_ = age.map(|age| format!(" (for {})", human(age))).unwrap_or_default();
        let what = format!("agent {} waits{task}: its program {wait}{for_}", agent.id);
        let found = match &wait {
            Wait::Person(need) if need.what == Needs::Input && asks(look, agent.task.as_ref()) => continue,
            Wait::Person(need) => {
                out.push(Attention::of_need(agent, need, look.snapshot.now));
                continue;
            }
            Wait::Service(_) if age.is_none_or(|age| age < RETRYING_IS_NEWS) => continue,
            Wait::Service(retry) => {
                let why = format!("orch why {}", agent.id);
                let do_ = format!("wait: it continues automatically, or its task is retried; {why}");
                let text = Some(retry.why.clone());
                Attention { text, commands: vec![why], ..Attention::new(AttentionKind::Service, what, do_) }
            }
        };
        out.push(Attention { task: agent.task.clone(), agent: Some(agent.id.clone()), since, ..found });
    }
}

fn held(config: &Config, look: &Look, out: &mut Vec<Attention>) {
    for (task, since) in look.held.iter().filter(|(task, _)| !asks(look, Some(&task.id))) {
        let reason = task.reason.as_deref().unwrap_or("it waits for a person");
        let held = Attention::of_held(&task.id, reason, &one_line(reason, REASON), Some(*since));
        out.push(match task.code {
            Some(EndCode::OverBudget) => held.resolved_by_more(more_for(config, task)),
            _ => held,
        });
    }
    rest(look, TaskState::Held, look.held.len() as u64, AttentionKind::Held, out);
}

fn dead_letters(look: &Look, out: &mut Vec<Attention>) {
    for (task, since) in &look.failed {
        let reason = task.reason.as_deref().unwrap_or("no reason was recorded");
        out.push(Attention::of_failed(&task.id, reason, &one_line(reason, REASON), Some(*since)));
    }
    let seen = look.failed.len() as u64 + look.made_up_for;
    rest(look, TaskState::Failed, seen, AttentionKind::Failed, out);
}

fn rest(look: &Look, state: TaskState, seen: u64, kind: AttentionKind, out: &mut Vec<Attention>) {
    let more = look.count(state).saturating_sub(seen);
    if more > 0 {
        out.push(Attention::more(kind, more));
    }
}

/// Columns of a reason.
const REASON: usize = 200;

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
    fn add(&self, codes: &[GateCode], out: &mut Vec<Attention>) {
        out.extend(self.with(codes).map(|(roles, gate)| self.attention(roles, gate, "")));
    }

    /// A gate as something to attend to; `more` is added to its sentence.
    fn attention(&self, roles: &[&str], gate: &Gate, more: &str) -> Attention {
        let kind = match gate.code() {
            GateCode::Paused | GateCode::RolePaused => AttentionKind::Paused,
            _ => AttentionKind::Suspended,
        };
        let what = format!("{}{more}", gate.sentence(roles, self.now.now));
        Attention {
            code: Some(gate.code()),
            commands: gate.commands(roles),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Attention::new(kind, what, gate.hint(roles).unwrap_or_default())
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
fn stuck_roles(config: &Config, look: &Look, gates: &Gates, out: &mut Vec<Attention>) {
    gates.add(&[GateCode::BreakerOpen], out);
    for (roles, gate) in gates.with(SUSPENSIONS) {
        // A role that can't be started needs no attention while it has nothing to do: some of the built-in ones never have.
        // One that waits for a login has a held task that says so.
        let is_quiet = matches!(gate.code(), GateCode::ProgramMissing | GateCode::LoginNeeded);
        if !is_quiet || roles.iter().any(|role| gates.ready(role) > 0) {
            out.push(gates.attention(roles, gate, ""));
        }
    }
    for (roles, gate) in gates.with(&[GateCode::ScaledToZero]) {
        let ready: u64 = roles.iter().map(|role| gates.ready(role)).sum();
        if ready > 0 {
            out.push(gates.attention(roles, gate, &format!(", and {} for it", tasks_wait(ready))));
        }
    }
    let mut unknown: BTreeMap<&str, u64> = BTreeMap::new();
    for task in &look.ready_of_unknown {
        *unknown.entry(&task.role).or_default() += 1;
    }
    for (role, n) in unknown {
        let file = config.file.as_deref().map_or("sessions.toml".into(), |file| file.display().to_string());
        let gone = gates.attention(&[role], &Gate::UnknownRole, &format!(", and {} for it", tasks_wait(n)));
        let do_ = format!("write [roles.{role}] into {file}, then: orch reload; or: orch cancel TASK");
        out.push(Attention { do_, ..gone });
    }
}

const SUSPENSIONS: &[GateCode] = &[
    GateCode::RateLimited,
    GateCode::BudgetDay,
    GateCode::BudgetTotal,
    GateCode::BudgetReserved,
    GateCode::ProgramMissing,
    GateCode::LoginNeeded,
];

fn tasks_wait(n: u64) -> String {
    count(n, "ready task waits", "ready tasks wait")
}

#[cfg(test)]
mod tests;
