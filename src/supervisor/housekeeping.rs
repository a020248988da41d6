//! Housekeeping, done in the background: delivers the reports of dead runners, and removes records that are no longer
//! needed.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::salvage::tell_all;
use crate::{
    config::Config,
    home::Home,
    model::task::TaskState,
    os,
    store::{Result, Store, observe::Snapshot},
};

/// What changed since would not be missed, were Redis to lose it.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// What a pass over many agents and tasks needs is freed with it; freed is not given back.
const PAGES_EVERY: Duration = Duration::from_secs(60);
const REPORTS_EVERY: Duration = Duration::from_secs(10);
/// A report that has been half-written for this long has no writer any more.
const UNFINISHED: Duration = Duration::from_secs(60);
/// Or ten times in the time for which tasks are kept, where that is short.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Ready and delayed tasks are looked at when their turn comes; those that wait for something else, so often.
const DAMAGED_EVERY: Duration = Duration::from_secs(600);
const DAMAGED_AT_ONCE: usize = 1000;
/// What attempts have written takes time to add up.
const RUNS_EVERY: Duration = Duration::from_secs(600);
/// A folder of a task that Redis does not know is removed after so long without a change.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// Tasks that are forgotten before their folders are removed.
const PRUNE_AT_ONCE: usize = 500;

/// When each chore was last started; `None` before the first time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    memory: Option<Instant>,
    pages: Option<Instant>,
    reports: Option<Instant>,
    prune: Option<Instant>,
    damaged: Option<Instant>,
    runs: Option<Instant>,
}

/// What is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    memory: bool,
    pages: bool,
    reports: bool,
    prune: bool,
    damaged: bool,
    runs: bool,
}

fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() > every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Schedule {
    /// Returns the chores that are due now, if any, and counts them as done.
    pub fn due(&mut self, config: &Config) -> Option<Due> {
        let due = Due {
            memory: is_due(&mut self.memory, MEMORY_EVERY),
            pages: is_due(&mut self.pages, PAGES_EVERY),
            reports: is_due(&mut self.reports, REPORTS_EVERY),
            damaged: is_due(&mut self.damaged, DAMAGED_EVERY),
            runs: is_due(&mut self.runs, RUNS_EVERY),
            prune: is_due(
                &mut self.prune,
                PRUNE_EVERY.min(config.supervisor.keep.min(config.supervisor.keep_failed) / 10),
            ),
        };
        (due != Due::default()).then_some(due)
    }
}

impl Due {
    /// Does it.
    pub async fn run(self, store: &Store, home: &Home, config: &Config, snapshot: &Snapshot) -> Result<()> {
        if self.memory
            && let Err(e) = store.remember(snapshot)
        {
            tracing::warn!("what Redis has come to could not be remembered: {e}");
        }
        if self.pages {
            os::give_memory_back();
        }
        if self.reports {
            home.remove_forgotten_launches(UNFINISHED, |incarnation| {
                snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation)
            });
            home.remove_unfinished_reports(UNFINISHED);
            // Those whose processes are still to be ended are needed for an emergency stop.
            home.remove_ended_runners(|incarnation| {
                snapshot.orphans.contains_key(incarnation)
                    || snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation)
            });
            tell_all(store, home, snapshot).await?;
            // A caller may have ended before all tasks of its plan were made.
            while store.grow_plan(None).await? > 0 {}
            store.offer_short().await?;
        }
        if self.damaged {
            for state in [TaskState::Blocked, TaskState::Held] {
                let ids = store.first_ids(state, DAMAGED_AT_ONCE).await?;
                if store.quarantine_damaged(&ids).await? > 0 {
                    tracing::error!("{state} tasks whose records are damaged were quarantined: orch status names them");
                }
            }
        }
        if self.runs {
            tidy_runs(store, home, config, snapshot).await?;
        }
        if self.prune {
            home.remove_old_journals(config.supervisor.keep, |incarnation| {
                snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation)
            });
            let (keep, keep_failed) = (config.supervisor.keep, config.supervisor.keep_failed);
            for (state, keep) in [
                (TaskState::Succeeded, keep),
                (TaskState::Cancelled, keep),
                (TaskState::Skipped, keep),
                (TaskState::Failed, keep_failed),
            ] {
                loop {
                    let gone = store.prune_state(state, keep, PRUNE_AT_ONCE, false).await?;
                    for task in &gone {
                        let _ = std::fs::remove_dir_all(home.task_runs(task));
                    }
                    if gone.len() < PRUNE_AT_ONCE {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Removes the folders of tasks that Redis does not know, and the oldest folders beyond `max_runs_disk`.
async fn tidy_runs(store: &Store, home: &Home, config: &Config, snapshot: &Snapshot) -> Result<()> {
    if !snapshot.epoch.is_known || snapshot.epoch.is_settling(snapshot.now) {
        // What Redis has lost is recovered from these folders.
        return Ok(());
    }
    for ids in home.tasks_with_old_folders(FORGOTTEN).unwrap_or_default().chunks(PRUNE_AT_ONCE) {
        for task in store.unknown(ids).await? {
            tracing::info!(%task, "its folder is removed: Redis does not know the task");
            let _ = std::fs::remove_dir_all(home.task_runs(&task));
        }
    }
    let most = config.supervisor.max_runs_disk;
    if most > 0 {
        let mut open = HashSet::new();
        for state in TaskState::ALL.iter().copied().filter(|state| !state.is_terminal()) {
            open.extend(store.task_ids(Some(state)).await?);
        }
        let (removed, bytes) = home.trim_runs(most, &open);
        if removed > 0 {
            tracing::warn!(removed, bytes, "the folders of the oldest attempts were removed (max_runs_disk)");
        }
    }
    Ok(())
}
