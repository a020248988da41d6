//! What has time: reports that dead runners could not tell, and records that nobody needs any more.

use std::time::{Duration, Instant};

use super::{act::remove, salvage};
use crate::{
    config::Config,
    home::Home,
    model::task::TaskState,
    os::{self, failpoint},
    store::{Result, Store, observe::Snapshot, tasks::Report},
};

/// What changed since would not be missed, were Redis to lose it.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// What a pass over many agents and tasks needs is freed with it; freed is not given back.
const PAGES_EVERY: Duration = Duration::from_secs(60);
const REPORTS_EVERY: Duration = Duration::from_secs(10);
/// A report that has been half-written for so long has no writer any more.
const UNFINISHED: Duration = Duration::from_secs(60);
/// Or ten times in the time for which tasks are kept, where that is short.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Ready and delayed tasks are looked at when their turn comes; those that wait for something else, so often.
const DAMAGED_EVERY: Duration = Duration::from_secs(600);
const DAMAGED_AT_ONCE: usize = 1000;
/// Records forgotten in one call: a longer one would hold up everybody else.
const PRUNE_AT_ONCE: u32 = 500;

/// Beyond it whoever is still enclosed can't be ended by us.
const LIMIT: Duration = Duration::from_secs(5);

/// When each was done last; never, at the start.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    memory: Option<Instant>,
    pages: Option<Instant>,
    reports: Option<Instant>,
    prune: Option<Instant>,
    damaged: Option<Instant>,
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
        if is_due(&mut self.pages, PAGES_EVERY) {
            os::give_memory_back();
        }
        if is_due(&mut self.reports, REPORTS_EVERY) {
            home.remove_forgotten_launches(UNFINISHED, |incarnation| {
                snapshot.agents.iter().any(|r| r.agent.incarnation == incarnation)
            });
            home.remove_unfinished_reports(UNFINISHED);
            tell_all(store, home, snapshot).await?;
        }
        if is_due(&mut self.damaged, DAMAGED_EVERY) {
            for state in [TaskState::Blocked, TaskState::Held] {
                let ids = store.first_ids(state, DAMAGED_AT_ONCE).await?;
                if store.set_damaged_aside(&ids).await? > 0 {
                    tracing::error!("{state} tasks whose records are damaged were set aside: orch status names them");
                }
            }
        }
        let prune_every = PRUNE_EVERY.min(config.supervisor.keep / 10);
        if is_due(&mut self.prune, prune_every) {
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

/// At the start: we leave the enclosure of an agent that has started us, and what is left of ended agents' goes.
pub(super) fn tidy_enclosures(home: &Home) {
    for group in home.enclosure_groups() {
        if let Err(e) = group.leave() {
            tracing::warn!("still within {}: {e}", group.path().display());
        }
        for enclosure in group.children() {
            // Somebody is inside most: living agents, or what is left of one and will be ended.
            let _ = enclosure.remove();
        }
    }
    // A folder that was removed takes with it what is written there about its groups.
    Home::abandoned_enclosures().iter().for_each(remove);
}

/// At the end, when no agent lives any more: whoever is still enclosed belongs to none, and ends with all of it.
pub(super) async fn end_enclosures(home: &Home) {
    let groups = home.enclosure_groups();
    let is_empty = |group: &os::Enclosure| group.members().is_ok_and(|members| members.is_empty());
    if !groups.iter().all(is_empty) {
        let tree = os::Tree { enclosures: groups.clone(), ..os::Tree::default() };
        let ended = tokio::task::spawn_blocking(move || os::end_tree(&tree, &[], Duration::ZERO, LIMIT)).await;
        match ended {
            Ok(Ok(report)) => tracing::warn!(?report, "somebody was still enclosed"),
            Ok(Err(e)) => tracing::error!("who is enclosed could not be looked for: {e}"),
            Err(e) => tracing::error!("who is enclosed could not be looked for: {e}"),
        }
    }
    groups.iter().for_each(remove);
    if !groups.iter().any(os::Enclosure::exists) {
        home.forget_enclosures();
    }
}

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
