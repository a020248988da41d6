//! What the end of an attempt means to others: why its program was ended, and what is reported.

use std::time::{Duration, Instant};

use crate::runner::{Agent, Leave, output::Output};
use crate::{
    drivers::Verdict,
    model::{cause::Cause, duration::human, retry::RetryPolicy, task::TaskResult},
    store::tasks::{Claimed, Report},
};

/// A rate limit whose end nobody named.
const RATE_LIMIT_DEFAULT: Duration = Duration::from_secs(60);
/// So many attempts that met a limit are looked for, one after the other: by then the delay has long stopped growing.
const LIMITED_BACK: usize = 16;

/// Why we end a program that has not ended by itself.
#[derive(Debug)]
pub(in crate::runner) enum Stop {
    Timeout,
    /// It has given its result, and does not end.
    Lingers,
    Cancelled(String),
    Interrupted,
    /// It asks for what a person alone can give it, and not while it runs.
    AsksInVain,
    Leave(Leave),
    LeaseLost,
    /// It uses more than its role may; what, how much, and the limit.
    Over(String),
}

/// What it means that it was ended for that.
pub(in crate::runner) fn stopped(stop: &Stop, claimed: &Claimed, agent: &str) -> Verdict {
    match stop {
        Stop::Timeout => {
            let limit = human(Duration::from_millis(claimed.task.timeout_ms));
            Verdict::of(Cause::Timeout, format!("it took longer than its time limit of {limit}"))
        }
        Stop::Lingers => Verdict::of(Cause::Lost, "its program gave a result, did not end, and was ended".to_owned()),
        Stop::AsksInVain => Verdict::of(Cause::NeedsPerson, "its program asks to log in".to_owned()),
        Stop::Cancelled(reason) => Verdict::of(Cause::Cancelled, reason.clone()),
        Stop::Interrupted => Verdict::of(Cause::Cancelled, format!("interrupted with Ctrl-C in the pane of {agent}")),
        Stop::Leave(leave) => Verdict::of(Cause::Lost, format!("agent {agent} ended: {}", leave.in_words())),
        Stop::LeaseLost => Verdict::of(Cause::Lost, "its lease was lost".to_owned()),
        Stop::Over(excess) => Verdict::of(Cause::Lost, excess.clone()),
    }
}

/// How long a limit is waited for. One that is still there when it should have ended was named wrongly, or clocks differ: as
/// it counts against no bound, its task would be tried again every second for ever.
fn limited(named: Option<Duration>, before: u32, policy: &RetryPolicy) -> Duration {
    let least = if before == 0 { Duration::ZERO } else { policy.plain_delay(before).min(RATE_LIMIT_DEFAULT) };
    named.map_or(RATE_LIMIT_DEFAULT, |named| named.max(least))
}

/// How many attempts just before this one met a limit. A program of the user's own knows what it asks for.
fn limited_before(agent: &Agent, claimed: &Claimed) -> u32 {
    if agent.launch.driver.program().is_none() {
        return 0;
    }
    let cause = |number| agent.home.known_end(&claimed.task.id, number).map(|end| end.cause);
    let earlier = (1..claimed.attempt).rev().take(LIMITED_BACK);
    earlier.take_while(|number| cause(*number) == Some(Cause::RateLimited)).count() as u32
}

/// What is told of an attempt.
pub(in crate::runner) fn report(
    agent: &Agent,
    claimed: &Claimed,
    verdict: Verdict,
    exit_code: Option<i32>,
    output: Option<&Output>,
    began: Instant,
) -> Report {
    let (task, policy) = (&claimed.task, &agent.launch.role.retry);
    let delay = match verdict.cause {
        Cause::Transient | Cause::Timeout => verdict.retry_after.unwrap_or_else(|| policy.delay(task.failures + 1)),
        Cause::RateLimited => limited(verdict.retry_after, limited_before(agent, claimed), policy),
        Cause::Lost => verdict.retry_after.unwrap_or_else(|| policy.lost_delay(task.lost + 1)),
        _ => Duration::ZERO,
    };
    let printed = verdict.text.is_none();
    let result = output.map(|output| TaskResult {
        text: output.redacted(verdict.text.unwrap_or_else(|| output.text())),
        exit_code,
        data: verdict.data.map(|data| output.redacted_data(data)),
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
        reason: match output {
            Some(output) => output.redacted(verdict.reason),
            None => verdict.reason,
        },
        exit_code,
        result,
        delay_ms: delay.as_millis() as u64,
        account: (verdict.cause == Cause::RateLimited).then(|| agent.launch.role.account(agent.launch.driver)),
        evidence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_does_not_end_when_it_should_is_waited_for_longer_each_time() {
        let policy = RetryPolicy::default();
        let waits = |named| [0, 1, 2, 3, 7, 20].map(|before| limited(named, before, &policy).as_secs());
        assert_eq!(waits(Some(Duration::from_secs(1))), [1, 1, 2, 4, 60, 60]);
        assert_eq!(waits(Some(Duration::from_secs(3600))), [3600; 6], "its word counts where it makes sense");
        assert_eq!(waits(None), [60; 6]);
    }
}
