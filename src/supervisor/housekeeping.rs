//! What has time: reports that dead runners could not tell, and records that nobody needs any more.

use std::time::{Duration, Instant};

use super::salvage;
use crate::{
    config::Config,
    home::Home,
    os::failpoint,
    store::{Result, Store, observe::Snapshot, tasks::Report},
};

/// What changed since would not be missed, were Redis to lose it.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
const REPORTS_EVERY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Records forgotten in one call: a longer one would hold up everybody else.
const PRUNE_AT_ONCE: u32 = 500;

/// When each was done last; never, at the start.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    memory: Option<Instant>,
    reports: Option<Instant>,
    prune: Option<Instant>,
}

fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() > every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Schedule {
    /// Does what is due.
    pub async fn run(&mut self, store: &Store, home: &Home, config: &Config, snapshot: &Snapshot) -> Result<()> {
        if is_due(&mut self.memory, MEMORY_EVERY)
            && let Err(e) = store.remember(snapshot)
        {
            tracing::warn!("what Redis has come to could not be remembered: {e}");
        }
        if is_due(&mut self.reports, REPORTS_EVERY) {
            home.remove_leftovers(|incarnation| snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation));
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
        }
        if is_due(&mut self.prune, PRUNE_EVERY) {
            loop {
                let gone = store.prune(config.supervisor.keep, PRUNE_AT_ONCE).await?;
                for task in &gone {
                    let _ = std::fs::remove_dir_all(home.task_runs(task));
                }
                if gone.len() < PRUNE_AT_ONCE as usize {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Tells Redis a report in the place of its runner. Refused means that the attempt was ended otherwise meanwhile.
pub(super) async fn tell(store: &Store, home: &Home, report: &Report) -> Result<()> {
    let mut told = store.finish(report).await;
    if told.as_ref().is_err_and(|e| e.refusal() == Some("stale")) && salvage::reinstate(store, home, report).await? {
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
