//! Why a task is in its state.

use super::{
    super::attention::{FREE_MEMORY, OUTDATED, RESTART},
    Around, Explanation, TaskFacts, at_work, attempt_in_words, chain, list, living, reason, since, standing,
};
use crate::model::{
    agent::{Agent, AgentState},
    cause::Cause,
    duration::human,
    question::Question,
    task::{Attempt, Task, TaskState},
    text::count,
};

/// How many attempts are told one by one.
const ATTEMPTS: usize = 10;

/// The explanation of a task's state.
pub(super) fn explain(around: &Around, facts: &TaskFacts) -> Explanation {
    let mut out = Explanation::default();
    match facts.detail.task.state {
        TaskState::Ready => ready(around, facts, &mut out),
        TaskState::Blocked => blocked(around, facts, &mut out),
        TaskState::Delayed => delayed(around, facts, &mut out),
        TaskState::Running => running(around, facts, &mut out),
        TaskState::Held => held(facts, &mut out),
        TaskState::Failed => failed(around, facts, &mut out),
        TaskState::Cancelled => cancelled(around, facts, &mut out),
        TaskState::Succeeded => succeeded(around, facts, &mut out),
    }
    out.chain = chain::links(around, facts);
    let lost = facts.detail.attempts.iter().rev().find_map(|attempt| Some((attempt.number, attempt.evidence.clone()?)));
    (out.evidence_attempt, out.evidence) = lost.unzip();
    if let Some(parent) = &facts.parent {
        out.say(format!("It is a subtask of {}.", standing(around, parent)));
    }
    out
}

fn ready(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    obstacles(around, facts, task, out);
    let for_ = task.ready_at.map(|at| format!(" for {}", since(around, at))).unwrap_or_default();
    out.say(format!("It has been ready{for_}, and goes to the next free agent of role {}.", task.role));
    earlier(facts, out);
}

/// What keeps a ready task from an agent, the decisive first.
pub(super) fn obstacles(around: &Around, facts: &TaskFacts, task: &Task, out: &mut Explanation) {
    let seen = &around.snapshot;
    let role = task.role.as_str();
    if seen.intents.stop.is_some() {
        out.say("orch is being stopped: nothing new is started.");
        out.hint("orch start");
    } else if !around.supervised {
        out.say("The supervisor is not running: no agent is started.");
        out.hint("orch start");
    }
    if seen.intents.pause {
        out.say("Everything is paused: nothing new is started.");
        out.hint("orch resume");
    } else if !seen.intents.may_start(role) {
        out.say(format!("Role {role} is paused: none of its tasks is started."));
        out.hint(format!("orch resume {role}"));
    }
    let Some(configured) = around.config.roles.get(role) else {
        out.say(format!("There is no role {role} any more: sessions.toml does not name it."));
        out.hint(format!("write [roles.{role}] into sessions.toml, then: orch stop; orch start"));
        return out.hint(format!("orch cancel {}", task.id));
    };
    if let Some(breaker) = seen.breakers.get(role).filter(|b| b.until > seen.now) {
        let rest = human(breaker.until.since(seen.now));
        let (n, why) = (breaker.failures, reason(Some(&breaker.reason)));
        out.say(format!("Agents of role {role} end at once ({n} in a row: {why}); the next is started in {rest}."));
        out.hint(format!("orch spawn {role}"));
    }
    if let Some(held) = seen.held_back.get(role) {
        let why = reason(Some(&held.reason));
        match (held.until, &held.account) {
            (None, _) => {
                out.say(format!(
                    "Nothing of role {role} can be started: {why}. It is tried again once that is mended."
                ));
                out.hint("orch doctor");
            }
            (Some(until), account) => {
                let rest = human(until.since(seen.now));
                out.say(format!("Nothing of role {role} is started for {rest}, until {until}: {why}."));
                out.hint(match account {
                    Some(_) => format!("orch resume {role} (lifts the limit, where you know that it is over)"),
                    None => "orch costs --by role".to_owned(),
                });
            }
        }
    }
    if seen.intents.scale.get(role) == Some(&0) {
        out.say(format!("Role {role} was scaled to 0 agents."));
        out.hint(format!("orch scale {role} 1"));
    }
    places(around, facts, task, configured.max, out);
    memory(around, role, out);
    if let Some(n) = facts.ahead.get(&task.id).filter(|n| **n > 0) {
        let (one, many) = ("ready task of its role goes", "ready tasks of its role go");
        out.say(format!("{} first.", count(*n, one, many)));
    }
    if out.sentences.is_empty() {
        coming(around, role, out);
    }
}

/// Whether all places of the role, or of all roles together, are taken.
fn places(around: &Around, facts: &TaskFacts, task: &Task, max: u32, out: &mut Explanation) {
    let (seen, role) = (&around.snapshot, task.role.as_str());
    let taking: Vec<&Task> = facts.rivals.iter().filter(|t| t.role == role && !t.waiting).collect();
    let places = seen.intents.scale.get(role).map_or(max, |n| max.min(*n));
    if places > 0 && taking.len() as u64 >= u64::from(places) {
        let by = list(taking.iter().map(|t| standing(around, t)));
        let taken = match places {
            1 => format!("The one place of role {role} is taken"),
            n => format!("All {n} places of role {role} are taken"),
        };
        out.say(format!("{taken}, by {by}."));
        let waits = |task: &&&Task| {
            task.agent.as_deref().and_then(|id| living(around, id)).and_then(Agent::waits_for).is_some()
        };
        for task in taking.iter().filter(waits) {
            out.hint(format!("orch why {}", task.id));
        }
        return out.hint(format!("orch tasks --state running --role {role}"));
    }
    let (live, most) = (seen.agents.len() as u64, u64::from(around.config.supervisor.max_agents));
    if live >= most && !has_idle(around, role) {
        let live = count(live, "agent lives", "agents live");
        out.say(format!("{live}, and max_agents under [supervisor] allows {most} over all roles."));
        out.hint("orch agents");
    }
}

/// Whether the machine has no memory for the agent that would take it.
fn memory(around: &Around, role: &str, out: &mut Explanation) {
    let short = around.config.supervisor.short_of_memory(around.free_memory);
    if let Some(short) = short.filter(|_| around.supervised && !has_idle(around, role)) {
        out.say(format!("No new agent is started: {short}."));
        out.hint(FREE_MEMORY);
    }
}

fn has_idle(around: &Around, role: &str) -> bool {
    around.snapshot.agents.iter().any(|r| r.agent.role == role && r.agent.state == AgentState::Idle)
}

/// Nothing is in the way.
fn coming(around: &Around, role: &str, out: &mut Explanation) {
    let of_role = |state| {
        around.snapshot.agents.iter().map(|r| &r.agent).find(|a| a.role == role && a.state == state && !a.master)
    };
    let sentence = match (of_role(AgentState::Idle), of_role(AgentState::Starting)) {
        (Some(idle), _) => format!("{} is idle, and takes it at any moment.", idle.id),
        (None, Some(starting)) => format!("{} is starting, and takes a task when it is ready.", starting.id),
        (None, None) if around.outdated => {
            out.hint(RESTART);
            format!("No agent of role {role} is free, and it may be new to the supervisor: {OUTDATED}.")
        }
        (None, None) => format!("No agent of role {role} is free; the supervisor starts one."),
    };
    out.say(sentence);
}

fn blocked(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let waits_for: Vec<&Task> = facts.before.iter().filter(|t| t.state != TaskState::Succeeded).collect();
    let by = list(waits_for.iter().map(|t| standing(around, t)));
    out.say(match (waits_for.len(), task.after.len()) {
        (1, 1) => format!("It comes after {by}, which has not succeeded yet."),
        (n, all) => {
            let have = if n == 1 { "has" } else { "have" };
            format!("{n} of the {all} tasks it comes after {have} not succeeded yet: {by}.")
        }
    });
    if let Some(parent) = facts.links.iter().find(|t| Some(&t.id) == task.parent.as_ref()) {
        out.say(format!("{} is also its parent: if that waits for it, neither goes on.", parent.id));
        out.hint(format!("orch cancel {}", task.id));
    }
    // Where the chain begins is where something can be done.
    for root in facts.links.iter().filter(|t| t.state != TaskState::Succeeded && chain::waits_for(t).is_empty()).take(3)
    {
        out.hint(format!("orch why {}", root.id));
    }
}

fn delayed(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let (task, now) = (&facts.detail.task, around.snapshot.now);
    let next = facts.detail.attempts.last().map_or(1, |a| a.number + 1);
    match task.due_at {
        Some(due) if due > now => {
            out.say(format!("Attempt {next} may start in {}, at {}.", human(due.since(now)), due));
        }
        _ => out.say(format!("Its delay is over: attempt {next} may start.")),
    }
    if !around.supervised {
        out.say("The supervisor, which makes it ready then, is not running.");
        out.hint("orch start");
    }
    if let Some(last) = facts.detail.attempts.last() {
        out.say(attempt_in_words(last, None));
    }
    used(task, out);
    if task.cause == Some(Cause::RateLimited) {
        out.say("A rate limit counts against neither bound.");
        if around.snapshot.held_back.get(&task.role).is_some_and(|held| held.account.is_some()) {
            out.hint(format!("orch resume {} (lifts the limit, where you know that it is over)", task.role));
        }
    }
    out.hint(format!("orch retry {} (starts it now)", task.id));
    out.hint(format!("orch logs --task {}", task.id));
}

/// How much of each bound is used.
fn used(task: &Task, out: &mut Explanation) {
    if task.failures > 0 {
        let all = count(task.retries, "retry", "retries");
        out.say(format!("{} of {all} used.", task.failures.min(task.retries)));
    }
    if task.lost > 0 {
        let all = count(task.lost_max, "lost attempt", "lost attempts");
        out.say(format!("{} of {all} forgiven.", task.lost.min(task.lost_max)));
    }
}

fn running(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let agent = task.agent.as_deref().unwrap_or("an agent");
    if task.cancelling {
        let why = around.events.iter().rev().find(|e| e.kind == "task.cancelling").map(|e| reason(Some(&e.reason)));
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        out.say(format!("It is being cancelled{why}: {agent} was told to end it."));
    }
    if task.waiting {
        let open = facts.children.iter().filter(|t| !t.state.is_terminal());
        let by = list(open.map(|t| standing(around, t)).collect::<Vec<_>>().into_iter());
        out.say(format!("It waits for tasks, and takes no place of its role meanwhile; its open subtasks: {by}."));
    }
    questions(facts, out);
    if let Some(attempt) = facts.detail.attempts.last() {
        let for_ = since(around, attempt.started_at);
        out.say(format!("{agent} has been at it for {for_} (attempt {}).", attempt.number));
        let limit = std::time::Duration::from_millis(task.timeout_ms);
        let used = around.snapshot.now.since(attempt.started_at);
        match limit.checked_sub(used) {
            Some(rest) => out.say(format!("Its time limit of {} ends in {}.", human(limit), human(rest))),
            None => out.say(format!("Its time limit of {} is over: {agent} has to end it.", human(limit))),
        }
    }
    match around.snapshot.agents.iter().find(|r| Some(&r.agent.id) == task.agent.as_ref()) {
        Some(record) => at_work(around, record, out),
        None => {
            let then = if around.supervised {
                "the supervisor gives the task to another"
            } else {
                "the supervisor is not running"
            };
            out.say(format!("{agent} does not live any more: {then}."));
        }
    }
    earlier(facts, out);
    out.hint(format!("orch logs --task {} -f", task.id));
    if let Some(agent) = &task.agent {
        out.hint(format!("orch attach {agent}"));
    }
}

fn held(facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    out.say(format!("It waits for a person: {}.", reason(task.reason.as_ref())));
    if let Some(last) = facts.detail.attempts.last() {
        out.say(attempt_in_words(last, task.reason.as_deref()));
    }
    if facts.detail.questions.iter().any(Question::is_open) {
        questions(facts, out);
        out.say("The answer starts it again.");
    } else {
        out.say("Once that is settled, it has to be started anew.");
        out.hint(format!("orch logs --task {}", task.id));
    }
    out.hint(format!("orch retry {}", task.id));
    out.hint(format!("orch cancel {}", task.id));
}

fn failed(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let last = facts.detail.attempts.last();
    out.say(format!("It failed{}: {}.", ended(around, task), reason(task.reason.as_ref())));
    match task.cause {
        Some(Cause::Permanent) => out.say("That cause is permanent, and is not tried again."),
        Some(Cause::Lost) => out.say(format!(
            "It was lost {}, and {} forgiven: it may be what ends its agents.",
            count(task.lost, "time", "times"),
            count(task.lost_max, "is", "are")
        )),
        _ => out.say(match task.retries {
            0 => "No retry was allowed.".to_owned(),
            1 => "Its one retry is used.".to_owned(),
            n => format!("All {n} retries are used."),
        }),
    }
    tell_attempts(&facts.detail.attempts, task.reason.as_deref(), out);
    if let (Some(run), Some(_)) = (&facts.run, last) {
        out.say(format!("Prompt, output and result of the last attempt lie in {}.", run.display()));
    }
    out.hint(format!("orch logs --task {}", task.id));
    out.hint(format!("orch retry {}", task.id));
    out.hint(format!("orch cancel {} (removes it)", task.id));
}

fn cancelled(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    out.say(format!("It was cancelled{}: {}.", ended(around, task), reason(task.reason.as_ref())));
    tell_attempts(&facts.detail.attempts, task.reason.as_deref(), out);
    for culprit in facts.before.iter().filter(|t| matches!(t.state, TaskState::Failed | TaskState::Cancelled)) {
        out.hint(format!("orch why {}", culprit.id));
    }
    out.hint(format!("orch retry {}", task.id));
}

fn succeeded(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    match facts.detail.attempts.last() {
        Some(last) => {
            let took =
                last.ended_at.map(|end| format!(" in {}", human(end.since(last.started_at)))).unwrap_or_default();
            out.say(format!("{} did it{took}, in attempt {},{}.", last.agent, last.number, ended(around, task)));
        }
        None => out.say(format!("It succeeded{}.", ended(around, task))),
    }
    earlier(facts, out);
    out.hint(format!("orch result {}", task.id));
}

/// What it asks a person.
fn questions(facts: &TaskFacts, out: &mut Explanation) {
    for question in facts.detail.questions.iter().filter(|question| question.is_open()) {
        out.say(format!("It asks a person: {}", question.question));
        if !question.options.is_empty() {
            out.say(format!("The answers to choose from: {}.", question.options.join(", ")));
        }
        out.hint(format!("orch answer {} TEXT", facts.detail.task.id));
    }
}

/// ` 3m20s ago`
fn ended(around: &Around, task: &Task) -> String {
    task.ended_at.map(|at| format!(" {} ago", since(around, at))).unwrap_or_default()
}

/// The attempts before the one that runs or has succeeded.
fn earlier(facts: &TaskFacts, out: &mut Explanation) {
    let attempts: Vec<Attempt> =
        facts.detail.attempts.iter().filter(|a| a.cause.is_some_and(|c| c != Cause::Success)).cloned().collect();
    tell_attempts(&attempts, None, out);
}

/// The attempts, the last one without a reason that has been `told` already.
fn tell_attempts(attempts: &[Attempt], told: Option<&str>, out: &mut Explanation) {
    let first = attempts.len().saturating_sub(ATTEMPTS);
    if first > 0 {
        out.say(format!("{} not told here.", count(first, "older attempt is", "older attempts are")));
    }
    for (n, attempt) in attempts.iter().enumerate().skip(first) {
        out.say(attempt_in_words(attempt, told.filter(|_| n + 1 == attempts.len())));
    }
}
