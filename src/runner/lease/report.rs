//! Telling Redis how an attempt ended: on disk first, then until it has been heard.

use std::time::Duration;

use crate::runner::{
    Agent,
    lease::heartbeat::{Beat, Beats},
};
use crate::{
    os::failpoint,
    store::{
        StoreError,
        tasks::{Claimed, Report},
    },
};

/// Between two tries while Redis is away.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells, and claims the next task in the same round trip if requested.
///
/// `Err` when the agent was given up meanwhile: the attempt is another's, and the report was refused for good.
pub(in crate::runner) async fn tell(
    agent: &Agent,
    claimed: &Claimed,
    report: Option<Report>,
    claim_next: bool,
    beats: &mut Beats,
) -> Result<Option<Claimed>, ()> {
    let Some(report) = report else { return Err(()) };
    // A full disk must not keep a result back: Redis may still hear it.
    let mut disk = OnDisk::Nothing;
    disk.write(agent, &report);
    failpoint!("finish.written");
    loop {
        let (told, next) = if claim_next {
            match agent.store.finish_and_claim(&report, agent.launch.lease).await {
                Ok((told, next)) => (told, next),
                Err(e) => (Err(e), Ok(None)),
            }
        } else {
            (agent.store.finish(&report).await, Ok(None))
        };
        match told {
            Ok(state) => {
                failpoint!("finish.told");
                agent.pane.say(&format!("── {} {state}: {}", report.task, report.reason));
                file(agent, &report);
                failpoint!("finish.filed");
                return next.or_else(|e| if gone(&e) { Err(()) } else { Ok(None) });
            }
            Err(e) if e.is_stale() && may_be_known_again(agent, claimed).await => {
                tracing::warn!("the report of {} was refused by a Redis that has lost data: {e}", report.task);
                continue;
            }
            Err(e) if e.refusal().is_some() => {
                tracing::warn!("the report of {} was refused: {e}", report.task);
                file(agent, &report);
                return next.or_else(|e| if gone(&e) { Err(()) } else { Ok(None) });
            }
            Err(e) => tracing::warn!("the report of {} was not heard: {e}", report.task),
        }
        disk.make_safe(agent, &report);
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            beat = beats.next() => if beat == Beat::Gone { return Err(()) },
        }
    }
}

/// Whether Redis had only forgotten us. Where it goes away again meanwhile, the next try finds out.
async fn may_be_known_again(agent: &Agent, claimed: &Claimed) -> bool {
    match agent.standing.reinstate(Some(claimed)).await {
        Ok(known) => known,
        Err(e) => {
            tracing::warn!("the report of {}: {e}", claimed.task.id);
            tokio::time::sleep(AGAIN).await;
            true
        }
    }
}

/// What of a report has reached the disk.
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

    /// One step further, if there is one: the disk may have room again.
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

fn file(agent: &Agent, report: &Report) {
    if let Err(e) = agent.home.file_report(&report.task, report.attempt) {
        // It stays where it is; telling it again later gives the same answer and does no harm.
        tracing::warn!("the report of {} could not be moved: {e}", report.task);
    }
}
