//! What the end of an attempt means outside of it: why its program was ended, and what is reported.

use std::time::{Duration, Instant};

use crate::runner::{Agent, Leave, attempt::resource_limits::Excess, output::Output};
use crate::{
    drivers::{APPROVE, DriverKind, Verdict},
    model::{cause::Cause, duration::human, end_code::EndCode, task::TaskResult},
    store::tasks::{Claimed, Report},
};

/// Why the runner ends a program that has not exited.
#[derive(Debug)]
pub(in crate::runner) enum Stop {
    Timeout,
    /// The task's deadline has passed.
    Deadline,
    /// It has given its result, and does not exit.
    Lingers,
    Cancelled(String),
    Interrupted,
    /// It asks for something that only a person can provide, and not while it runs.
    AsksInVain,
    Leave(Leave),
    LeaseLost,
    /// The program's question was not answered within the limit: the question, and the limit.
    Unanswered(String, Duration),
    /// It repeats itself without an end: how.
    Runaway(String),
    /// Its task has used what it may: how much.
    OverBudget(String),
    /// It uses more than its role may: what, how much, and the limit.
    Over(Excess),
}

/// Returns the verdict on an attempt that was stopped for this reason.
pub(in crate::runner) fn stopped(stop: &Stop, claimed: &Claimed, agent: &str) -> Verdict {
    match stop {
        Stop::Timeout => {
            let limit = human(Duration::from_millis(claimed.task.timeout_ms));
            Verdict::of(Cause::Timeout, EndCode::Timeout, format!("it took longer than its time limit of {limit}"))
        }
        Stop::Deadline => {
            let limit = human(Duration::from_millis(claimed.task.deadline_ms.unwrap_or(0)));
            Verdict::of(
                Cause::Deadline,
                EndCode::DeadlinePassed,
                format!("its deadline has passed: it had to end within {limit}"),
            )
        }
        Stop::Lingers => Verdict::of(
            Cause::Lost,
            EndCode::Lingered,
            "its program gave a result, did not end, and was ended".to_owned(),
        ),
        Stop::AsksInVain => {
            Verdict::of(Cause::NeedsPerson, EndCode::LoginNeeded, "its program asks to log in".to_owned())
        }
        Stop::Unanswered(asked, limit) => Verdict::of(
            Cause::NeedsPerson,
            EndCode::PersonTimeout,
            format!(
                "nobody answered within {} (person_timeout): its program {asked}; orch retry continues its conversation",
                human(*limit)
            ),
        ),
        Stop::Runaway(how) => Verdict::of(Cause::Transient, EndCode::Runaway, how.clone()),
        Stop::OverBudget(used) => Verdict::of(
            Cause::NeedsPerson,
            EndCode::OverBudget,
            format!("its program was ended, because its task has used what it may: {used}"),
        ),
        Stop::Cancelled(reason) => Verdict::of(Cause::Cancelled, EndCode::Cancelled, reason.clone()),
        Stop::Interrupted => Verdict::of(
            Cause::Cancelled,
            EndCode::Interrupted,
            format!("interrupted with Ctrl-C in the pane of {agent}"),
        ),
        Stop::Leave(leave) => {
            Verdict::of(Cause::Lost, leave.rule().into(), format!("agent {agent} ended: {}", leave.in_words()))
        }
        Stop::LeaseLost => Verdict::of(Cause::Lost, EndCode::LeaseLost, "its lease was lost".to_owned()),
        Stop::Over(excess) => Verdict::of(Cause::Lost, excess.code, excess.reason.clone()),
    }
}

/// Builds the report of an attempt.
pub(in crate::runner) fn report(
    agent: &Agent,
    claimed: &Claimed,
    verdict: Verdict,
    exit_code: Option<i32>,
    output: Option<&Output>,
    began: Instant,
) -> Report {
    let task = &claimed.task;
    let printed = verdict.text.is_none();
    let result = output.map(|output| TaskResult {
        text: agent.redactor.text(verdict.text.unwrap_or_else(|| output.text())),
        exit_code,
        data: verdict.data.map(|data| agent.redactor.data(data)),
        usage: verdict.usage,
        duration_ms: began.elapsed().as_millis() as u64,
        truncated: verdict.truncated || printed && output.is_cut(),
        path: agent.home.run(&task.id, claimed.attempt).display().to_string(),
    });
    Report {
        task: task.id.clone(),
        attempt: claimed.attempt,
        agent: agent.launch.agent.clone(),
        incarnation: agent.launch.incarnation.clone(),
        fence: claimed.fence,
        cause: verdict.cause,
        code: verdict.code,
        reason: agent.redactor.text(verdict.reason.replace(APPROVE, &APPROVE.replace("TASK", task.id.as_str()))),
        exit_code,
        result,
        retry_after_ms: verdict.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        is_exact: agent.launch.driver.program().is_none(),
        // A script would only do the same again.
        awaits: verdict.cause == Cause::Success && agent.launch.driver != DriverKind::Shell,
        continues: verdict.cause == Cause::Success && can_be_resumed(agent, output),
        account: (verdict.cause == Cause::RateLimited).then(|| agent.launch.role.account(agent.launch.driver)),
        evidence: None,
        metered: output.and_then(Output::metered),
    }
}

/// Returns whether the next attempt can resume the conversation of this one.
fn can_be_resumed(agent: &Agent, output: Option<&Output>) -> bool {
    let is_able = agent.launch.driver.manifest().is_some_and(|manifest| manifest.capabilities.conversation);
    let has_session = || output.and_then(Output::conversation).is_some_and(|reported| reported.session.is_some());
    is_able && agent.launch.role.agent.resume && has_session()
}
