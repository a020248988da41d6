//! What the disk knows better than a Redis that has lost data: ends of attempts, and tasks that were begun.

use crate::{
    home::Home,
    model::{cause::Cause, id::TaskId, task::Task},
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

/// Tells what dead runners could not tell.
pub(super) async fn tell_all(store: &Store, home: &Home, snapshot: &Snapshot) -> Result<()> {
    for report in home.unheard_reports() {
        // A living runner tells its own.
        if snapshot.agents.iter().any(|r| r.agent.incarnation == report.incarnation) {
            continue;
        }
        match tell(store, home, &report).await {
            Err(e) if e.concerns_one_record() => {
                tracing::error!(task = %report.task, "its report could not be told: {e}");
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
        Ok(state) => tracing::info!(task = %report.task, %state, "told in the place of {}", report.agent),
        Err(e) if e.refusal().is_some() => tracing::info!(task = %report.task, "a late report was refused: {e}"),
        Err(e) => return Err(e),
    }
    failpoint!("reap.told");
    if let Err(e) = home.file_report(&report.task, report.attempt) {
        tracing::warn!(task = %report.task, "its report could not be moved: {e}");
    }
    Ok(())
}

/// Makes an attempt known again that ended in an earlier epoch, so that its end can be told. Whether there is one.
async fn reinstate(store: &Store, home: &Home, report: &Report) -> Result<bool> {
    let epoch = epoch_of(report.fence);
    if store.epoch() <= epoch {
        return Ok(false);
    }
    let Some(task) = home.context(&report.task, report.attempt) else { return Ok(false) };
    let speaker = Speaker { agent: &report.agent, incarnation: &report.incarnation, epoch, living: None };
    let known = Known { task: &task, attempt: report.attempt, fence: Some(report.fence) };
    match store.reinstate(speaker, Some(known)).await {
        Err(e) if e.refusal().is_some() => Ok(false),
        other => other.map(|_| true),
    }
}

/// Makes tasks known again of which only their folders are left, and which have not ended. How many.
pub(super) async fn tasks(store: &Store, home: &Home) -> Result<usize> {
    let mut begun = Vec::new();
    for ids in home.tasks_with_runs().chunks(AT_ONCE) {
        begun.extend(store.unknown(ids).await?.iter().filter_map(|id| begun_and_not_ended(home, id)));
    }
    // Who was delegated from within another comes after it, and is counted there.
    begun.sort_by_key(|(task, _)| task.depth);
    let mut found = 0;
    for (task, attempt) in &begun {
        let speaker = Speaker { agent: "", incarnation: "", epoch: 0, living: None };
        match store.reinstate(speaker, Some(Known { task, attempt: *attempt, fence: None })).await {
            Ok(_) => found += 1,
            Err(e) if e.refusal().is_some() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// A task and its last attempt. One that has ended is left alone: whoever wanted its answer has it, or finds it where
/// it lies.
fn begun_and_not_ended(home: &Home, id: &TaskId) -> Option<(Task, u32)> {
    let attempt = home.last_attempt(id)?;
    let end = home.known_end(id, attempt);
    if end.is_some_and(|end| matches!(end.cause, Cause::Success | Cause::Permanent | Cause::Cancelled)) {
        return None;
    }
    Some((home.context(id, attempt)?, attempt))
}
