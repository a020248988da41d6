//! Why a task is in its state.

use super::{
    super::budgets::more_for, Around, Explanation, TaskFacts, at_work, attempt_in_words, chain, list,
    obstacles::obstacles, reason, since, standing,
};
use crate::{
    admission,
    model::{
        cause::Cause,
        duration::human,
        end_code::EndCode,
        event::EventKind,
        gate::GateCode,
        question::{Approval, Question, QuestionKind},
        task::{Attempt, Task, TaskState},
        text::count,
    },
};

/// How many attempts are listed one by one.
const ATTEMPTS: usize = 10;

/// The explanation of a task's state.
pub(super) fn explain(around: &Around, facts: &TaskFacts) -> Explanation {
    let mut out = Explanation::default();
    match facts.detail.task.state {
        TaskState::Ready => ready(around, facts, &mut out),
        TaskState::Blocked => blocked(around, facts, &mut out),
        TaskState::Delayed => delayed(around, facts, &mut out),
        TaskState::Running => running(around, facts, &mut out),
        TaskState::Held => held(around, facts, &mut out),
        TaskState::Failed => failed(around, facts, &mut out),
        TaskState::Cancelled | TaskState::Skipped => cancelled(around, facts, &mut out),
        TaskState::Succeeded => succeeded(around, facts, &mut out),
    }
    if let Some(deadlock) = &facts.deadlock {
        out.say(format!("It can't go on: {}.", deadlock.sentence()));
        deadlock.commands().into_iter().for_each(|command| out.hint(command));
    }
    deadline(around, facts, &mut out);
    out.chain = chain::links(around, facts);
    let lost = facts.detail.attempts.iter().rev().find_map(|attempt| Some((attempt.number, attempt.evidence.clone()?)));
    (out.evidence_attempt, out.evidence) = lost.unzip();
    if let Some(parent) = &facts.parent {
        out.say(format!("It is a subtask of {}.", standing(around, parent)));
    }
    routing(&facts.detail.task, &mut out);
    out
}

/// How a task that was delegated to `auto` found its role, and where it goes if that fails.
fn routing(task: &Task, out: &mut Explanation) {
    let Some(routing) = &task.routing else { return };
    out.say(routing.sentence());
    if routing.role != task.role {
        out.say(format!("It failed there, and went on to role {}.", task.role));
    }
    if let Some(next) = task.tiers.first().filter(|_| !task.state.is_terminal()) {
        out.say(format!("If it fails by the fault of role {}, it goes on to role {next} (escalate_to).", task.role));
    }
    out.routing = Some(routing.clone());
}

/// By when an open task must have ended.
fn deadline(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let Some(at) = task.deadline_at.filter(|_| !task.state.is_terminal()) else { return };
    let now = around.snapshot.now;
    out.say(match at > now {
        true => format!("It must have ended in {}, at {at}: then it fails (--deadline).", human(at.since(now))),
        false => "Its deadline has passed: it fails now (--deadline).".to_owned(),
    });
}

fn ready(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    obstacles(around, facts, task, out);
    let for_ = task.ready_at.map(|at| format!(" for {}", since(around, at))).unwrap_or_default();
    out.say(format!(
        "It has been ready{for_}; the next free agent of role {} takes it once nothing keeps it.",
        task.role
    ));
    if let Some(shared) = &facts.shared {
        out.say(shared.clone());
    }
    earlier(facts, out);
}

fn blocked(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    if task.waiting {
        let open: Vec<&Task> = facts.children.iter().filter(|t| !t.state.is_terminal() && !t.detached).collect();
        let by = list(open.iter().map(|t| standing(around, t)));
        out.say(format!(
            "Its program has ended its turn; it waits for its open subtasks, takes no slot of its role meanwhile, and goes on \
             with their results: {by}."
        ));
        earlier(facts, out);
        open.iter().take(3).for_each(|t| out.hint(format!("orch why {}", t.id)));
        return;
    }
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
        out.say(format!("{} is also its parent: if that waits for it, neither can continue.", parent.id));
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
        out.say("A rate limit does not count as a failure or a lost attempt.");
        let gates = admission::gates(None, &task.role, &around.admission());
        if gates.iter().any(|gate| gate.code() == GateCode::RateLimited) {
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
        let why =
            around.events.iter().rev().find(|e| e.kind == EventKind::TaskCancelling).map(|e| reason(Some(&e.reason)));
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        out.say(format!("It is being cancelled{why}: {agent} was asked to end it."));
    }
    if task.waiting {
        let open = facts.children.iter().filter(|t| !t.state.is_terminal());
        let by = list(open.map(|t| standing(around, t)).collect::<Vec<_>>().into_iter());
        out.say(format!("It waits for tasks, and takes no slot of its role meanwhile; its open subtasks: {by}."));
    }
    questions(facts, out);
    if let Some(attempt) = facts.detail.attempts.last() {
        let for_ = since(around, attempt.started_at);
        out.say(format!("{agent} has worked on it for {for_} (attempt {}).", attempt.number));
        let limit = std::time::Duration::from_millis(task.timeout_ms);
        let used = around.snapshot.now.since(attempt.started_at);
        let holder = around.snapshot.agents.iter().find(|r| Some(&r.agent.id) == task.agent.as_ref());
        // Deferred by the time for which the program has waited for a person.
        let deadline = holder.and_then(|record| record.deadline);
        let rest = match deadline {
            Some(deadline) => Some(deadline.since(around.snapshot.now)).filter(|rest| !rest.is_zero()),
            None => limit.checked_sub(used),
        };
        match rest {
            _ if holder.is_some_and(|record| record.agent.needs.is_some()) => {
                let bound = around.config.roles.get(&task.role).and_then(|role| role.person_timeout);
                let bound = bound.map_or_else(
                    || "person_timeout sets no bound to that".to_owned(),
                    |bound| format!("after {} of it the task is held (person_timeout)", human(bound)),
                );
                out.say(format!(
                    "Its time limit of {} stands still while its program waits for a person; {bound}.",
                    human(limit)
                ));
            }
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
            out.say(format!("{agent} no longer exists: {then}."));
        }
    }
    earlier(facts, out);
    out.hint(format!("orch logs --task {} -f", task.id));
    if let Some(agent) = &task.agent {
        out.hint(format!("orch attach {agent}"));
    }
}

fn held(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let open = facts.detail.questions.iter().filter(|question| question.is_open()).count();
    match open {
        0 => out.say(format!("It waits for a person: {}.", reason(task.reason.as_ref()))),
        // Each question follows, whole.
        1 => out.say("It waits for a person's answer."),
        n => out.say(format!("It waits for a person's answers to {n} questions.")),
    }
    if let Some(last) = facts.detail.attempts.last() {
        out.say(attempt_in_words(last, task.reason.as_deref()));
    }
    if open > 0 {
        questions(facts, out);
        let is_acceptance = |one: &Question| one.is_open() && one.kind == QuestionKind::Acceptance;
        match task.code == Some(EndCode::ApprovalNeeded) {
            true if facts.detail.questions.iter().any(is_acceptance) => {
                out.say("Accepted, it has succeeded; denied, it runs again and is told why.");
            }
            true => out.say("It does not run before it is approved."),
            false if open > 1 => out.say("The last answer starts it again."),
            false => out.say("The answer starts it again."),
        }
    } else if task.code == Some(EndCode::OverBudget) {
        out.say("It goes on when a person allows it more; a retry allows the same again.");
        out.hint(more_for(around.config, task));
        out.hint("orch budget");
    } else {
        out.say("Retry it once that is resolved.");
        out.hint(format!("orch logs --task {}", task.id));
    }
    if task.code != Some(EndCode::ApprovalNeeded) {
        out.hint(format!("orch retry {}", task.id));
    }
    out.hint(format!("orch cancel {}", task.id));
}

fn failed(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let last = facts.detail.attempts.last();
    out.say(format!("It failed{}: {}.", ended(around, task), reason(task.reason.as_ref())));
    match task.cause {
        Some(Cause::Deadline) => {
            let limit = human(std::time::Duration::from_millis(task.deadline_ms.unwrap_or(0)));
            out.say(format!(
                "It had to end within {limit} of its acceptance or last retry; a retry allows that time again."
            ));
        }
        Some(Cause::Permanent) => out.say("A permanent failure is not retried."),
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
        out.say(format!("Prompt, output and result of the last attempt are in {}.", run.display()));
    }
    out.hint(format!("orch logs --task {}", task.id));
    out.hint(format!("orch retry {}", task.id));
    out.hint(format!("orch cancel {} (removes it)", task.id));
}

fn cancelled(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    let how = if task.state == TaskState::Skipped { "skipped" } else { "cancelled" };
    out.say(format!("It was {how}{}: {}.", ended(around, task), reason(task.reason.as_ref())));
    tell_attempts(&facts.detail.attempts, task.reason.as_deref(), out);
    for culprit in facts.before.iter().filter(|t| matches!(t.state, TaskState::Failed | TaskState::Cancelled)) {
        out.hint(format!("orch why {}", culprit.id));
    }
    let is_approval = |question: &&Question| question.kind == QuestionKind::Escalation;
    let approval = facts.detail.questions.iter().find(is_approval);
    // What was never approved can't be retried.
    if approval.is_none_or(|question| question.approval == Some(Approval::Approved)) {
        out.hint(format!("orch retry {}", task.id));
    }
}

fn succeeded(around: &Around, facts: &TaskFacts, out: &mut Explanation) {
    let task = &facts.detail.task;
    match facts.detail.attempts.last() {
        Some(last) => {
            let took =
                last.ended_at.map(|end| format!(" in {}", human(end.since(last.started_at)))).unwrap_or_default();
            out.say(format!("{} completed it{took}, in attempt {},{}.", last.agent, last.number, ended(around, task)));
        }
        None => out.say(format!("It succeeded{}.", ended(around, task))),
    }
    if let Some(why) = facts.detail.unreadable_result() {
        out.say(format!("Its result is not complete: {why}."));
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
    }
    for question in facts.detail.questions.iter().filter(|question| question.is_open()) {
        for command in question.commands(&facts.detail.task.id) {
            out.hint(command);
        }
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
        out.say(format!("{} not shown here.", count(first, "older attempt is", "older attempts are")));
    }
    for (n, attempt) in attempts.iter().enumerate().skip(first) {
        out.say(attempt_in_words(attempt, told.filter(|_| n + 1 == attempts.len())));
    }
}
