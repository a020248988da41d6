//! Reaps an agent that has ended: its undelivered reports, its record, its processes, its session.

use std::{collections::BTreeSet, path::Path, time::Duration};

use super::{
    background::{Jobs, on_a_thread},
    cgroups, salvage,
};
use crate::{
    home::{self, Home, marker, output},
    model::{
        agent::AgentState,
        cause::Cause,
        end_code::EndCode,
        evidence::{Evidence, LastOutput, Rule},
        id::Place,
    },
    mux::{Mux, MuxError, Tags},
    os::{self, failpoint},
    store::{
        StoreError,
        agents::{Ending, Orphans, Record},
    },
};

/// How long the processes of an ended agent get to exit cleanly; the agent itself had its own grace.
const GRACE: Duration = Duration::from_millis(100);
/// After this long, they are looked for again later.
const LIMIT: Duration = Duration::from_secs(5);
/// Pause after something could not be ended, or Redis did not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// Pause after an end could not be recorded.
const TRY_AGAIN: Duration = Duration::from_millis(100);

impl Jobs {
    /// Delivers the reports that the agent could not, records its end, and ends what is left of it, in the background.
    pub(super) fn reap(&self, record: Record, to: AgentState, reason: String, evidence: Evidence) {
        let Some(hold) = self.reaping.take(&record.agent.incarnation) else { return };
        let jobs = self.clone();
        tokio::spawn(async move {
            let slot = jobs.reaping_slots.acquire().await;
            let (inner, id) = (jobs.clone(), record.agent.id.clone());
            let reaped = on_a_thread(async move { inner.record_end(&record, to, &reason, evidence).await }).await;
            drop(slot);
            match reaped {
                Ok(()) => {}
                Err(StoreError::Refused { code, detail }) => {
                    tracing::info!(%code, detail, "refused: another caller was faster");
                }
                Err(e) => {
                    jobs.complain(format!("the end of {id} could not be recorded: {e}"));
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
            drop(hold);
            jobs.wake.notify_one();
        });
    }

    pub(super) async fn record_end(
        &self,
        record: &Record,
        to: AgentState,
        reason: &str,
        mut evidence: Evidence,
    ) -> Result<(), StoreError> {
        let agent = &record.agent;
        let over_memory = self.killed_for_memory(record, reason, evidence.rule);
        let code = if over_memory.is_some() { EndCode::OverMemory } else { evidence.rule.into() };
        let attempt_reason = over_memory.clone().unwrap_or_else(|| format!("agent {} {reason}", agent.id));
        let reason = over_memory.as_deref().unwrap_or(reason);
        tracing::warn!(agent = agent.id, %to, "{reason}");
        // By its reports and not by its record: it may have claimed a task, and ended it, since that was read.
        let mut reports = self.home.pending_reports();
        reports.extend(self.home.unacknowledged_of(&agent.incarnation));
        // Redis may have recorded its end, and lost that again.
        let last = agent.task.as_ref().zip(agent.attempt);
        reports.extend(last.and_then(|(task, attempt)| self.home.known_end(task, attempt)));
        reports.retain(|r| r.incarnation == agent.incarnation);
        evidence.report_on_disk = Some(!reports.is_empty());
        for report in &reports {
            salvage::tell(&self.store, &self.home, report).await?;
        }
        if let Some((task, attempt)) = agent.task.as_ref().zip(agent.attempt) {
            evidence.lease_ends_at = match self.store.lease_end(task, agent.fence).await {
                Err(e) if !e.concerns_one_record() => return Err(e),
                end => end.ok().flatten(),
            };
            evidence.last_output = last_output(&self.home.run(task, attempt));
        }
        let orphans =
            Orphans { agent: agent.id.clone(), session: agent.session.clone(), process: agent.process.clone() };
        let ending = Ending {
            to,
            reason,
            // What ran for too long would do so again: it counts as if its runner had ended it.
            cause: if evidence.rule == Rule::TaskTimeout { Cause::Timeout } else { Cause::Lost },
            code,
            attempt_reason: &attempt_reason,
            orphans: Some(&orphans),
            evidence: Some(&evidence),
        };
        self.store.end_agent(&agent.id, &agent.incarnation, &ending).await?;
        failpoint!("reap.recorded");
        if let Some((task, attempt)) = last.filter(|_| reports.is_empty()) {
            // Its runner would have removed them: nothing reads them any more, and they may hold secrets.
            let run = self.home.run(task, attempt);
            for stale in [Home::hooks(&run), run.join(home::RESULT)] {
                let _ = std::fs::remove_file(stale);
            }
        }
        self.end_orphans(agent.incarnation.clone(), orphans);
        Ok(())
    }

    /// Where the kernel holds the memory of an agent, its runner may be what it kills, though it is the smallest of all.
    fn killed_for_memory(&self, record: &Record, reason: &str, rule: Rule) -> Option<String> {
        let cgroups = self.home.counters_of(&record.agent.incarnation);
        let killed: u64 = cgroups.iter().map(|cgroup| cgroup.refused().memory).sum();
        let is_likely = killed > 0 && rule == Rule::ProcessGone && record.agent.state != AgentState::Stopping;
        is_likely
            .then(|| format!("over-memory: the kernel killed {killed} of its processes (memory_max), and it {reason}"))
    }

    /// Ends an ended agent's processes and its session in the background, and forgets them once nothing is left.
    pub(super) fn end_orphans(&self, incarnation: String, orphans: Orphans) {
        let Some(hold) = self.ending.take(&incarnation) else { return };
        let jobs = self.clone();
        let tags = self.tags(&orphans.agent, &incarnation);
        tokio::spawn(async move {
            let slot = jobs.ending_slots.acquire().await;
            let ended = end_processes(&jobs.home, &incarnation, &orphans).await;
            failpoint!("reap.ended");
            let clean = ended && close(&*jobs.mux, &orphans.session, &tags).await;
            failpoint!("reap.closed");
            drop(slot);
            let forgotten = clean && jobs.store.forget_orphans(&incarnation).await.is_ok();
            failpoint!("reap.forgotten");
            if !forgotten {
                tokio::time::sleep(AGAIN).await;
            }
            jobs.change_sessions();
            drop(hold);
            jobs.wake.notify_one();
        });
    }
}

/// The last that the program of an attempt printed, as far as it reads.
fn last_output(run: &Path) -> Option<LastOutput> {
    let (at, text) = output::last_lines(run).ok()??;
    Some(LastOutput { at, text })
}

/// Whether nothing is left of an incarnation's processes on this machine.
async fn end_processes(home: &Home, incarnation: &str, orphans: &Orphans) -> bool {
    let known = &orphans.process;
    let place = known.place(&os::hostname(), &os::boot_id());
    if known.pid != 0 && place == Place::Elsewhere {
        // Another machine's supervisor looks after its own.
        return true;
    }
    let mut tree = os::Tree { markers: vec![marker(incarnation)], ..os::Tree::default() };
    if known.pid != 0 && place == Place::ThisBoot {
        let runner = os::ProcessId { pid: known.pid, start_time: known.start_time };
        tree.roots.push(runner);
        tree.sessions.push(runner);
    }
    let (home, incarnation) = (home.clone(), incarnation.to_owned());
    let end = move || {
        // Its runner may have died before it took it, and there are secrets in it.
        let _ = std::fs::remove_file(home.launch(&incarnation));
        tree.cgroups = home.cgroups_of(&incarnation);
        // A runner's own environment, with the marker, can be read by root alone.
        for runner in home.living_runners()?.into_iter().filter(|runner| runner.incarnation == incarnation) {
            tree.roots.push(runner.process);
            tree.sessions.push(runner.process);
        }
        let report = os::end_tree(&tree, &[], GRACE, LIMIT)?;
        if report.complete && report.survivors.is_empty() {
            tree.cgroups.iter().for_each(cgroups::remove);
            // Its programs may have been at work in it.
            let _ = std::fs::remove_dir_all(home.scratch(&incarnation));
            home.remove_ended_runners(|other| other != incarnation);
        }
        Ok::<_, std::io::Error>(report)
    };
    match tokio::task::spawn_blocking(end).await {
        Ok(Ok(report)) if report.complete && report.survivors.is_empty() => {
            tracing::info!(agent = orphans.agent, ended = report.ended, took = ?report.took, "nothing is left");
            true
        }
        Ok(Ok(report)) => {
            let survivors: BTreeSet<String> = report.survivors.iter().map(ToString::to_string).collect();
            tracing::error!(agent = orphans.agent, ?survivors, "could not be ended; looked for again");
            false
        }
        Ok(Err(e)) => {
            tracing::error!(agent = orphans.agent, "its processes could not be looked for: {e}");
            false
        }
        Err(e) => {
            tracing::error!(agent = orphans.agent, "its processes could not be looked for: {e}");
            false
        }
    }
}

async fn close(mux: &dyn Mux, session: &str, tags: &Tags) -> bool {
    match mux.close(session, tags).await {
        Ok(_) => true,
        // Its processes have ended, so tmux has closed it.
        Err(e @ MuxError::Missing { .. }) => {
            tracing::warn!(session, "not looked for: {e}");
            true
        }
        Err(e) => {
            tracing::warn!(session, "not closed: {e}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::id::Process, supervisor::spawn::here};

    /// A laptop gets another name with another network; its processes are still its own.
    #[tokio::test]
    async fn what_is_left_is_ended_also_after_the_machine_was_renamed() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process { host: "an-older-name".into(), ..here(os::ProcessId::of(child.id()).unwrap()) };
        let orphans = Orphans { agent: "shell-1".into(), session: "shell-1".into(), process };
        let reaper = std::thread::spawn(move || child.wait());
        let folder = tempfile::tempdir().unwrap();
        assert!(end_processes(&Home::new(folder.path()), "nobody-carries-this", &orphans).await);
        assert!(!reaper.join().unwrap().unwrap().success());
    }
}
