//! Reports to Redis how an attempt ended: recorded in the journal first, then repeated until it is acknowledged.

use std::time::Duration;

use crate::runner::{
    Agent,
    lease::heartbeat::{Heartbeat, Reply},
};
use crate::{
    model::task::TaskState,
    os::failpoint,
    store::{
        StoreError,
        tasks::{Claimed, Report},
    },
};

/// Pause between two attempts to send while Redis is unavailable.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long Redis may take to acknowledge a report before it is forced to the disk. It takes milliseconds.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(500);

/// Reports, and claims the next task in the same round trip if requested.
///
/// Returns `Err` when the supervisor has declared the agent lost in the meantime: the attempt belongs to another
/// agent, and the report was refused for good.
pub(in crate::runner) async fn deliver(
    agent: &Agent,
    claimed: &Claimed,
    report: Option<Report>,
    claim_next: bool,
    heartbeat: &mut Heartbeat,
) -> Result<Option<Claimed>, ()> {
    let Some(report) = report else { return Err(()) };
    // A full disk must not delay a result: Redis may still acknowledge it.
    if let Err(e) = agent.journal().ended(&report) {
        tracing::error!("the end of {} could not be recorded: {e}", report.task);
    }
    failpoint!("finish.written");
    let mut disk = OnDisk::Nothing;
    loop {
        let (reported, next) = {
            let answer = send(agent, &report, claim_next);
            tokio::pin!(answer);
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                () = tokio::time::sleep(ACKNOWLEDGE_WITHIN) => {
                    disk.make_safe(agent, &report);
                    answer.await
                }
            }
        };
        match reported {
            Ok(state) => {
                failpoint!("finish.acknowledged");
                agent.pane.print(&format!("── {} {state}: {}", report.task, report.reason));
                file(agent, &report, disk, Some(state));
                failpoint!("finish.filed");
                return next.or_else(|e| if gone(&e) { Err(()) } else { Ok(None) });
            }
            Err(e) if e.is_stale() && try_reinstate(agent, claimed).await => {
                tracing::warn!("the report of {} was refused by a Redis that has lost data: {e}", report.task);
                continue;
            }
            Err(e) if e.refusal().is_some() => {
                tracing::warn!("the report of {} was refused: {e}", report.task);
                file(agent, &report, disk, None);
                return next.or_else(|e| if gone(&e) { Err(()) } else { Ok(None) });
            }
            Err(e) => tracing::warn!("the report of {} was not acknowledged: {e}", report.task),
        }
        disk.make_safe(agent, &report);
        tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            beat = heartbeat.next() => if beat == Reply::AgentLost { return Err(()) },
        }
    }
}

type Answer = (Result<TaskState, StoreError>, Result<Option<Claimed>, StoreError>);

async fn send(agent: &Agent, report: &Report, claim_next: bool) -> Answer {
    if !claim_next {
        return (agent.store.finish(report).await, Ok(None));
    }
    match agent.store.finish_and_claim(report, agent.launch.lease).await {
        Ok(answers) => answers,
        Err(e) => (Err(e), Ok(None)),
    }
}

/// Returns whether the report should be sent again because Redis had only lost its data. If Redis becomes unavailable
/// meanwhile, the next attempt to send decides.
async fn try_reinstate(agent: &Agent, claimed: &Claimed) -> bool {
    match agent.registration.reinstate(Some(claimed)).await {
        Ok(known) => known,
        Err(e) => {
            tracing::warn!("the report of {}: {e}", claimed.task.id);
            tokio::time::sleep(RETRY_PAUSE).await;
            true
        }
    }
}

/// How much of a report has reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDisk {
    Nothing,
    Written,
    Synced,
}

impl OnDisk {
    fn write(&mut self, agent: &Agent, report: &Report) {
        match agent.home.write_report(report) {
            Ok(()) => *self = OnDisk::Written,
            Err(e) => tracing::error!("the report of {} could not be written: {e}", report.task),
        }
    }

    /// Advances one step, if there is one: the disk may have room again.
    fn make_safe(&mut self, agent: &Agent, report: &Report) {
        if *self == OnDisk::Nothing {
            self.write(agent, report);
        }
        if *self == OnDisk::Written {
            match agent.home.sync_report(report) {
                Ok(()) => *self = OnDisk::Synced,
                Err(e) => tracing::error!("the report of {} could not be forced to the disk: {e}", report.task),
            }
        }
    }
}

fn gone(e: &StoreError) -> bool {
    e.is_stale()
}

/// Files a report that was acknowledged, or refused for good.
fn file(agent: &Agent, report: &Report, disk: OnDisk, state: Option<TaskState>) {
    let is_kept = report.result.as_ref().is_some_and(|result| !result.path.is_empty());
    let filed = match disk {
        OnDisk::Nothing if is_kept => agent.home.keep_result(report),
        OnDisk::Nothing => Ok(()),
        OnDisk::Written | OnDisk::Synced => agent.home.file_report(&report.task, report.attempt),
    };
    if let Err(e) = filed {
        // A report that stays in place may be sent again later: the answer is the same.
        tracing::warn!("the result of {} is not in its folder: {e}", report.task);
    }
    if let Err(e) = agent.journal().acknowledged(&report.task, report.attempt, state) {
        tracing::warn!("the acknowledgement of {} could not be recorded: {e}", report.task);
    }
}
