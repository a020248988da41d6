//! Why a plan is in its state.

use std::time::Duration;

use super::{Explanation, capitalised, list, reason};
use crate::model::{
    duration::human,
    plan::{PlanDetail, PlanState, PlanSummary, PlanTask},
    task::TaskState,
    text::count,
    time::Timestamp,
};

/// Tasks that are named with a reason of their own.
const NAMED: usize = 5;

/// The explanation of a plan's state.
pub(super) fn explain(detail: &PlanDetail, now: Timestamp) -> Explanation {
    let mut out = Explanation::default();
    let plan = &detail.plan;
    match plan.state {
        PlanState::Running => running(detail, &mut out),
        PlanState::Held => {
            out.say("It waits for a person: none of its tasks can go on without one.");
            short(plan, &mut out);
            of_state(detail, TaskState::Held, &mut out);
        }
        PlanState::Succeeded => {
            let took = plan.ended_at.map(|end| format!(" in {}", human(end.since(plan.created_at))));
            out.say(format!("It succeeded{}.", took.unwrap_or_default()));
            out.hint(format!("orch result {}", plan.id));
        }
        PlanState::Failed => {
            out.say("It failed: a task failed or was cancelled, and nothing made up for it.");
            of_state(detail, TaskState::Failed, &mut out);
            of_state(detail, TaskState::Cancelled, &mut out);
            out.hint(format!("orch retry {}", plan.id));
        }
        PlanState::Cancelled => {
            out.say(format!("It was cancelled {} ago.", human(now.since(plan.since))));
            out.hint(format!("orch retry {}", plan.id));
        }
    }
    let states: Vec<String> = plan.counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let missing = plan.total.saturating_sub(plan.counts.values().sum());
    let states = states.into_iter().chain((missing > 0).then(|| format!("{missing} accepted")));
    out.say(format!("Of its {}: {}.", count(plan.total, "task", "tasks"), states.collect::<Vec<_>>().join(", ")));
    out.hint(format!("orch show {}", plan.id));
    out
}

fn running(detail: &PlanDetail, out: &mut Explanation) {
    let running: Vec<&PlanTask> = of(detail, TaskState::Running);
    match running.as_slice() {
        [] => out.say("None of its tasks is at work now."),
        some => {
            let name = |task: &&PlanTask| match &task.agent {
                Some(agent) => format!("{} ({agent})", task.key),
                None => task.key.clone(),
            };
            let (are, verb) = if some.len() == 1 { ("is", "task") } else { ("are", "tasks") };
            out.say(format!(
                "{} {verb} {are} at work: {}.",
                some.len(),
                list(some.iter().map(name).collect::<Vec<_>>().into_iter())
            ));
        }
    }
    for state in [TaskState::Held, TaskState::Delayed, TaskState::Failed] {
        of_state(detail, state, out);
    }
    short(&detail.plan, out);
    let ready = of(detail, TaskState::Ready);
    if let Some(first) = ready.first() {
        let names = list(ready.iter().map(|task| task.key.clone()).collect::<Vec<_>>().into_iter());
        out.say(format!("{} for an agent: {names}.", if ready.len() == 1 { "1 waits" } else { "Several wait" }));
        out.hint(format!("orch why {}", first.id));
    }
    let open: Vec<&PlanTask> = detail.tasks.iter().filter(|task| task.critical && !task.state.is_terminal()).collect();
    if let Some(next) = open.first() {
        out.say(format!(
            "{} decides how long it takes: {} with {} left on the longest way.",
            next.key,
            next.state,
            count(open.len() as u64, "task", "tasks")
        ));
    }
    if let Some(eta) = &detail.eta {
        let [soon, late] = [eta.p50_ms, eta.p90_ms].map(|ms| human(Duration::from_millis(ms)));
        out.say(format!("It may end in {soon} to {late}, by what earlier tasks took."));
    }
    if let Some(shorten) = &detail.shorten {
        out.say(format!("{}.", capitalised(shorten)));
    }
}

/// Its budget has no room for the next task.
fn short(plan: &PlanSummary, out: &mut Explanation) {
    let Some(why) = &plan.short else { return };
    out.say(format!("Its budget has no room for its next task: {why}."));
    out.hint(crate::model::plan::more_for(&plan.id, plan.max_cost_usd, plan.max_tokens));
}

fn of(detail: &PlanDetail, state: TaskState) -> Vec<&PlanTask> {
    detail.tasks.iter().filter(|task| task.state == state).collect()
}

/// The first tasks in a state with their reasons.
fn of_state(detail: &PlanDetail, state: TaskState, out: &mut Explanation) {
    let tasks = of(detail, state);
    for task in tasks.iter().take(NAMED) {
        out.say(format!("{} ({}) is {state}: {}.", task.key, task.id, reason(task.reason.as_ref())));
        out.hint(format!("orch why {}", task.id));
    }
    if tasks.len() > NAMED {
        out.say(format!("{} more are {state}.", tasks.len() - NAMED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        id::{PlanId, TaskId},
        task::Usage,
    };

    fn detail(state: PlanState, tasks: &[(&str, TaskState, Option<&str>)]) -> PlanDetail {
        let task = |(key, state, reason): &(&str, TaskState, Option<&str>)| PlanTask {
            key: (*key).to_owned(),
            id: TaskId::random(),
            role: "shell".into(),
            state: *state,
            agent: (*state == TaskState::Running).then(|| "shell-1".into()),
            after: Vec::new(),
            critical: true,
            slack_ms: 0,
            duration_ms: 0,
            reason: reason.map(str::to_owned),
            usage: Usage::default(),
        };
        let tasks: Vec<PlanTask> = tasks.iter().map(task).collect();
        let mut counts = std::collections::BTreeMap::new();
        tasks.iter().for_each(|task| *counts.entry(task.state).or_insert(0) += 1);
        let plan = PlanSummary {
            id: PlanId::random(),
            name: "checkout".into(),
            text: String::new(),
            state,
            since: Timestamp(0),
            created_at: Timestamp(0),
            ended_at: None,
            total: tasks.len() as u64,
            counts,
            max_cost_usd: None,
            max_tokens: None,
            short: None,
        };
        PlanDetail { plan, tasks, path: Vec::new(), eta: None, shorten: None, usage: Usage::default() }
    }

    #[test]
    fn a_plan_says_what_is_at_work_and_what_holds_it_up() {
        use TaskState::{Blocked, Failed, Held, Running};
        let tasks = [("api", Running, None), ("ui", Held, Some("which colour?")), ("end", Blocked, None)];
        let said = explain(&detail(PlanState::Running, &tasks), Timestamp(1));
        let words = said.sentences.join("\n");
        for expected in
            ["1 task is at work: api (shell-1).", "ui (t-", "which colour?", "Of its 3 tasks: 1 blocked, 1 held"]
        {
            assert!(words.contains(expected), "{expected}: {words}");
        }
        let tasks = [("api", Failed, Some("exit code 1")), ("ui", Blocked, None)];
        let said = explain(&detail(PlanState::Failed, &tasks), Timestamp(1));
        assert!(said.sentences.join("\n").contains("is failed: exit code 1."), "{said:?}");
        assert!(said.hints.iter().any(|hint| hint.starts_with("orch retry p-")), "{said:?}");
    }
}
