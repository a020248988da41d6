//! What needs a person: one sentence and one command each, the worst first. Pure.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use super::Attention;
use crate::{
    config::Config,
    error::Error,
    model::{
        agent::Needs,
        duration::human,
        id::TaskId,
        question::Question,
        task::{Task, TaskState, Usage},
        text::{count, one_line},
        time::Timestamp,
        wait::Wait,
    },
    store::{observe::Snapshot, spend::HeldBack},
};

/// What to do where no agent is started for want of memory.
pub(super) const FREE_MEMORY: &str = "end what uses it, or set min_free_memory under [supervisor] lower";

/// The supervisor goes by what it has read once; agents read it when they start.
pub(super) const OUTDATED: &str =
    "sessions.toml has changed since orch start: the supervisor and the agents of before go by what it said then";
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
    if !supervised && open > 0 {
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
    wishes(look, &mut add);
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
pub(super) fn held_back(roles: &[&str], held: &HeldBack, now: Timestamp) -> String {
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
            (None, _) => "orch doctor".into(),
            (Some(_), Some(_)) => format!("wait: it ends by itself; or lift it: orch resume {}", roles[0]),
            (Some(_), None) => "wait: it ends by itself; orch costs --by role".into(),
        };
        add(held_back(&roles, held, look.snapshot.now), do_);
    }
    for (role, load) in &look.snapshot.load {
        if load.ready > 0 && look.snapshot.intents.scale.get(role) == Some(&0) {
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
fn holds(look: &Look) -> Vec<(Vec<&str>, &HeldBack)> {
    let ready = |role: &str| look.snapshot.load.get(role).map_or(0, |load| load.ready);
    let mut out: Vec<(Vec<&str>, &HeldBack)> = Vec::new();
    for (role, held) in look.snapshot.held_back.iter().filter(|(role, held)| held.until.is_some() || ready(role) > 0) {
        match out.iter_mut().find(|(_, one)| one.account.is_some() && *one == held) {
            Some((roles, _)) => roles.push(role),
            None => out.push((vec![role], held)),
        }
    }
    out.iter_mut().for_each(|(roles, _)| roles.sort_by_key(|role| Reverse(ready(role))));
    out
}

fn wishes(look: &Look, add: &mut impl FnMut(String, String)) {
    let intents = &look.snapshot.intents;
    if intents.pause {
        add("everything is paused: nothing new is started".into(), "orch resume".into());
    }
    for role in &intents.paused_roles {
        add(format!("role {role} is paused: none of its tasks is started"), format!("orch resume {role}"));
    }
    if intents.drain {
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
mod tests {
    use super::{
        super::tests::{configured, recorded, recorded_agent},
        *,
    };
    use crate::{
        model::{
            agent::{AgentState, Needs},
            wait::{Retry, Retrying},
        },
        store::observe::{Breaker, Load},
    };

    fn said(supervised: bool, look: &Look) -> Vec<(String, String)> {
        of(&configured(), supervised, look).into_iter().map(|a| (a.what, a.do_)).collect()
    }

    #[test]
    fn all_is_well_where_there_is_nothing() {
        assert_eq!(said(false, &Look::default()), []);
        let done = Look { counts: [(TaskState::Succeeded, 3)].into(), ..Look::default() };
        assert_eq!(said(false, &done), [], "ended tasks need no supervisor");
    }

    #[test]
    fn a_machine_without_memory_starts_nobody_and_says_so() {
        let look = Look { free_memory: Some(1 << 20), ..Look::default() };
        assert_eq!(said(false, &look), [], "without a supervisor nobody is started anyway");
        let what = "no new agent is started: 1 MiB of memory are free, min_free_memory is 128 MiB";
        assert_eq!(said(true, &look), [(what.to_owned(), FREE_MEMORY.to_owned())]);
    }

    #[test]
    fn each_trouble_is_one_sentence_with_one_command() {
        let mut look = Look { counts: [(TaskState::Ready, 2), (TaskState::Running, 1)].into(), ..Look::default() };
        let mut agent = recorded_agent("shell-1", AgentState::Busy);
        agent.agent.needs = Some(Needs::Login);
        let mut master = recorded_agent("opus-master", AgentState::Idle);
        (master.agent.needs, master.agent.needs_since) = (Some(Needs::Permission), Some(Timestamp(400)));
        look.snapshot.agents = vec![master, agent];
        look.snapshot.now = Timestamp(1_000);
        let breaker = |until| Breaker { failures: 3, until: Timestamp(until), reason: "exit code 127".into() };
        look.snapshot.breakers =
            [("shell".into(), breaker(9_000)), ("lead".into(), breaker(1_000)), ("opus-master".into(), breaker(9_000))]
                .into();
        look.snapshot.load = [("shell".into(), Load { ready: 1, ..Load::default() })].into();
        look.snapshot.intents.scale = [("shell".into(), 0)].into();
        look.snapshot.intents.drain = true;
        let held = |until, reason: &str| HeldBack { until, reason: reason.into(), account: None };
        look.snapshot.held_back = [
            ("lead".into(), held(Some(Timestamp(61_000)), "1.00 USD of 1.00 are used")),
            ("shell".into(), held(None, "its program sh is not on PATH")),
        ]
        .into();
        look.ready_of_unknown = vec![Task { role: "gone".into(), ..recorded(TaskState::Ready) }];
        let said = said(false, &look);
        let expected = [
            ("the supervisor is not running, and 3 tasks have not ended", "orch start"),
            ("agent opus-master waits: its program asks for permission (for 600ms)", "orch attach opus-master"),
            ("agent shell-1 waits: its program asks for login", "orch attach shell-1"),
            ("the master does not stay up (exit code 127); the next try is in 8.0s", "orch doctor"),
            ("agents of role shell end at once (exit code 127); the next try is in 8.0s", "orch spawn shell"),
            (
                "role lead starts nothing for 1m00s, until 1970-01-01T00:01:01.000Z: 1.00 USD of 1.00 are used",
                "wait: it ends by itself; orch costs",
            ),
            ("role shell can't be started: its program sh is not on PATH", "orch doctor"),
            ("role shell was scaled to 0, and 1 ready task waits for it", "orch scale shell 1"),
            ("there is no role gone any more, and 1 ready task waits for it", "write [roles.gone] into"),
            ("orch is draining: nothing new is accepted", "orch resume"),
        ];
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for ((what, do_), (expected_what, expected_do)) in said.iter().zip(expected) {
            assert_eq!(what, expected_what);
            assert!(do_.starts_with(expected_do), "{do_}");
        }
    }

    #[test]
    fn what_exactly_is_asked_is_said_and_a_service_that_is_away_for_a_moment_is_not() {
        let mut asking = recorded_agent("shell-1", AgentState::Busy);
        (asking.agent.needs, asking.agent.needs_for) = (Some(Needs::Permission), Some("run Bash: npm publish".into()));
        let mut retrying = recorded_agent("shell-2", AgentState::Busy);
        let retry = Retry { attempt: Some(7), of: Some(10), why: "overloaded (529)".into() };
        retrying.agent.retrying = Some(Retrying { retry, since: Timestamp(1_000) });
        let mut look = Look::default();
        look.snapshot.agents = vec![asking, retrying];
        look.snapshot.now = Timestamp(60_999);
        let asks = "agent shell-1 waits: its program asks to run Bash: npm publish";
        assert_eq!(said(true, &look), [(asks.to_owned(), "orch attach shell-1".to_owned())]);
        look.snapshot.now = Timestamp(61_000);
        let tries = "agent shell-2 waits: its program tries again 7 of 10: overloaded (529) (for 1m00s)";
        let said = said(true, &look);
        assert!(said.len() == 2 && said[1].0 == tries && said[1].1.contains("orch why shell-2"), "{said:?}");
    }

    #[test]
    fn a_question_that_is_only_counted_is_not_said_again_of_its_agent() {
        let task = recorded(TaskState::Running).id;
        let mut agent = recorded_agent("shell-1", AgentState::Busy);
        (agent.agent.needs, agent.agent.task) = (Some(Needs::Input), Some(task.clone()));
        let mut look = Look { all_asking: vec![task], ..Look::default() };
        look.snapshot.agents = vec![agent];
        let said = said(true, &look);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].0.contains("ask"), "{said:?}");
    }

    #[test]
    fn a_limit_that_roles_share_is_told_once() {
        let held = |account: &str| HeldBack {
            until: Some(Timestamp(61_000)),
            reason: "claude: a limit is reached".into(),
            account: Some(account.into()),
        };
        let mut look = Look::default();
        look.snapshot.now = Timestamp(1_000);
        look.snapshot.held_back = ["a", "b", "c", "d", "sonnet"].map(|role| (role.to_owned(), held("claude x"))).into();
        look.snapshot.held_back.insert("other".into(), held("codex x"));
        look.snapshot.load = [("sonnet".into(), Load { ready: 3, ..Load::default() })].into();
        let said = said(true, &look);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].0.starts_with("roles sonnet, a, b and 2 more start nothing for 1m00s, until 1970-"),
            "{said:?}"
        );
        assert!(said[0].1.ends_with("orch resume sonnet"), "{said:?}");
        assert!(said[1].0.starts_with("role other starts nothing for 1m00s"), "{said:?}");
    }

    #[test]
    fn few_dead_letters_are_named_and_many_are_counted() {
        let failed: Vec<Task> = (0..3).map(|_| recorded(TaskState::Failed)).collect();
        let look = |all| Look { counts: [(TaskState::Failed, all)].into(), failed: failed.clone(), ..Look::default() };
        assert_eq!(said(true, &look(3)).len(), 3);
        let many = said(true, &look(40));
        assert_eq!(many.len(), 1);
        assert!(many[0].0.starts_with("40 tasks have failed") && many[0].1 == "orch tasks --state failed", "{many:?}");
    }

    #[test]
    fn a_held_task_is_looked_into_and_retried_wherever_its_agent_is() {
        let task = Task { reason: Some("log in".into()), ..recorded(TaskState::Held) };
        let id = task.id.clone();
        let mut look = Look { counts: [(TaskState::Held, 5)].into(), held: vec![task], ..Look::default() };
        for agents in [vec![], vec![recorded_agent("shell-1", AgentState::Busy)]] {
            look.snapshot.agents = agents;
            let said = said(true, &look);
            let expected = (format!("task {id} is held: log in"), format!("orch why {id}, then: orch retry {id}"));
            assert_eq!(said[0], expected);
            assert_eq!(said[1], ("4 more tasks are held".into(), "orch tasks --state held".into()));
        }
        look.counts = [(TaskState::Held, 2)].into();
        assert_eq!(said(true, &look)[1].0, "1 more task is held");
    }
}
