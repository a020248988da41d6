//! Recovers from the disk what a Redis that lost data no longer has: ends of attempts, and tasks that were begun.

use std::{collections::HashSet, sync::Arc};

use super::background::{Jobs, on_a_thread};
use crate::{
    home::{Decision, Home},
    model::{id::TaskId, task::TaskState, text::count},
    os::failpoint,
    store::{
        Result, Store,
        epoch::{Known, Speaker, epoch_of},
        observe::Snapshot,
        tasks::Report,
    },
};

/// Tasks that are looked for in one round trip.
const AT_ONCE: usize = 500;

impl Jobs {
    /// After a loss of data, once all living agents are known again: reports to Redis what the disk still has, and lets work
    /// continue.
    pub(super) fn end_recovery(&self, reason: String, snapshot: Arc<Snapshot>) {
        let Some(hold) = self.recovering.take("") else { return };
        let (store, home, wake) = (self.store.clone(), self.home.clone(), self.wake.clone());
        tokio::spawn(on_a_thread(async move {
            if let Err(e) = end_recovery(&store, &home, &reason, &snapshot).await {
                tracing::warn!("the recovery goes on: {e}");
            }
            drop(hold);
            wake.notify_one();
        }));
    }
}

async fn end_recovery(store: &Store, home: &Home, reason: &str, snapshot: &Snapshot) -> Result<()> {
    tell_all(store, home, snapshot).await?;
    let more = match tasks(store, home).await? {
        0 => String::new(),
        found => format!("; {} found again on the disk", count(found, "task was", "tasks were")),
    };
    store.settled(&format!("{reason}{more}")).await
}

/// Tells what dead runners could not tell.
pub(super) async fn tell_all(store: &Store, home: &Home, snapshot: &Snapshot) -> Result<()> {
    let is_alive = |incarnation: &str| snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation);
    for report in home.pending_reports().into_iter().chain(home.unacknowledged(is_alive)) {
        // A living runner reports its own.
        if is_alive(&report.incarnation) {
            continue;
        }
        match tell(store, home, &report).await {
            Err(e) if e.concerns_one_record() => {
                tracing::error!(task = %report.task, "its report could not be delivered: {e}");
            }
            told => told?,
        }
    }
    Ok(())
}

/// Tells Redis a report in the place of its runner. Refused means that the attempt was ended otherwise meanwhile.
pub(super) async fn tell(store: &Store, home: &Home, report: &Report) -> Result<()> {
    let mut told = store.finish(report).await;
    if told.as_ref().is_err_and(|e| e.is_stale()) && reinstate(store, home, report).await? {
        told = store.finish(report).await;
    }
    match told {
        Ok(state) => {
            tracing::info!(task = %report.task, %state, "told in the place of {}", report.agent);
            if matches!(state, TaskState::Failed | TaskState::Cancelled)
                && let Err(e) = home.record_decision(&Decision::Over(vec![report.task.clone()]))
            {
                tracing::warn!(task = %report.task, "its end could not be recorded: {e}");
            }
        }
        Err(e) if e.refusal().is_some() => tracing::info!(task = %report.task, "a late report was refused: {e}"),
        Err(e) => return Err(e),
    }
    failpoint!("reap.told");
    if let Err(e) = home.file_report(&report.task, report.attempt) {
        tracing::warn!(task = %report.task, "its report could not be moved: {e}");
    }
    home.acknowledge(report);
    Ok(())
}

/// Records again an attempt that ended in an earlier epoch, so that its end can be reported. Returns whether there is one.
async fn reinstate(store: &Store, home: &Home, report: &Report) -> Result<bool> {
    let epoch = epoch_of(report.fence);
    if store.epoch() <= epoch {
        return Ok(false);
    }
    let Some(task) = home.begun(&report.task, report.attempt) else { return Ok(false) };
    let speaker = Speaker { agent: &report.agent, incarnation: &report.incarnation, epoch, living: None };
    let known = Known { task: &task, attempt: report.attempt, fence: Some(report.fence) };
    match store.reinstate(speaker, Some(known)).await {
        Err(e) if e.refusal().is_some() => Ok(false),
        other => other.map(|_| true),
    }
}

/// Makes tasks known again that were begun, have not ended, and are missing in Redis. How many.
pub(super) async fn tasks(store: &Store, home: &Home) -> Result<usize> {
    let mut begun = home.begun_and_not_ended();
    // A subtask comes after its parent, which counts it.
    begun.sort_by_key(|(task, _)| task.depth);
    let mut found = 0;
    for some in begun.chunks(AT_ONCE) {
        let ids: Vec<TaskId> = some.iter().map(|(task, _)| task.id.clone()).collect();
        let unknown: HashSet<TaskId> = store.unknown(&ids).await?.into_iter().collect();
        for (task, attempt) in some.iter().filter(|(task, _)| unknown.contains(&task.id)) {
            let speaker = Speaker { agent: "", incarnation: "", epoch: 0, living: None };
            match store.reinstate(speaker, Some(Known { task, attempt: *attempt, fence: None })).await {
                Ok(_) => found += 1,
                Err(e) if e.refusal().is_some() => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(found)
}
