//! Acts: record first, then the effect.

use std::{collections::BTreeSet, ffi::OsStr, path::Path, sync::Arc, time::Duration};

use super::{Supervisor, decide::Action, environment, observe::Observed, salvage, spawn::MARKER};
use crate::{
    drivers,
    home::output,
    model::{
        agent::AgentState,
        cause::Cause,
        evidence::{Evidence, LastOutput},
        id::{Place, Process},
        task::Usage,
        text::count,
    },
    mux::{Mux, MuxError, Tags},
    os::{self, failpoint},
    store::{
        StoreError,
        agents::{Ending, Record, Remains},
        observe::{Intents, Snapshot},
        spend::{Allowance, Budget},
    },
};

/// An ended agent's processes get this long to end in order; the agent itself had its own grace.
const GRACE: Duration = Duration::from_millis(100);
/// Beyond it they are looked for again later.
const LIMIT: Duration = Duration::from_secs(5);
/// When something could not be ended, or Redis could not be told.
const AGAIN: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Carries out one action. What is stale by now is refused by the store, and does no harm.
    pub(super) async fn act(&mut self, action: Action, observed: &Observed) -> Result<(), StoreError> {
        let done = match action {
            Action::ReleaseDue => self.store.release_due().await.map(drop),
            Action::Reap { incarnation, to, reason, evidence, .. } => {
                match observed.snapshot.agents.iter().find(|r| r.agent.incarnation == incarnation) {
                    Some(record) => self.reap(record, to, &reason, *evidence).await,
                    None => Ok(()),
                }
            }
            Action::Expire { task, fence, lost, reason } => {
                self.store.expire(&task, fence, &reason, self.config.retry.lost_delay(lost + 1)).await
            }
            Action::EndRemains { incarnation, remains } => {
                self.end_remains(incarnation, remains);
                Ok(())
            }
            Action::CloseSession { session, agent, incarnation, pid } => {
                tracing::warn!(session, agent, "a session of ours without an agent");
                let process = pid.and_then(os::ProcessId::of).map_or_else(Process::default, here);
                self.end_remains(incarnation, Remains { agent, session, process });
                Ok(())
            }
            Action::Stop { agent, incarnation, only_idle, reason } => {
                let told = self.store.stop_agent(&agent, &incarnation, only_idle, &reason).await.map(drop);
                failpoint!("stop.agent_told");
                told
            }
            Action::Spawn { agent, role, master, wish, reason } => {
                self.spawn(&agent, &role, master, wish.as_deref(), &reason, &observed.snapshot).await
            }
            Action::DropWish { field, role, reason } => self.store.drop_wish(&field, &role, &reason).await,
            Action::Settle { reason } => self.settle(&reason, &observed.snapshot).await,
            Action::Recovered { role, reason } => self.store.recovered(&role, &reason).await,
            Action::ShutDown => Ok(()),
        };
        match done {
            Err(StoreError::Refused { code, detail }) => {
                tracing::info!(code, detail, "refused: somebody was quicker");
                Ok(())
            }
            other => other,
        }
    }

    /// Tells what the agent could not tell, records its end, and ends what is left of it.
    async fn reap(
        &mut self,
        record: &Record,
        to: AgentState,
        reason: &str,
        mut evidence: Evidence,
    ) -> Result<(), StoreError> {
        let agent = &record.agent;
        let over_memory = self.killed_for_memory(record, reason);
        let attempt_reason = over_memory.clone().unwrap_or_else(|| format!("agent {} {reason}", agent.id));
        let reason = over_memory.as_deref().unwrap_or(reason);
        tracing::warn!(agent = agent.id, %to, "{reason}");
        // By its reports and not by its record: it may have claimed a task, and ended it, since that was read.
        let mut reports = self.home.unheard_reports();
        // Redis may have heard of its end, and lost that again.
        let last = agent.task.as_ref().zip(agent.attempt);
        reports.extend(last.and_then(|(task, attempt)| self.home.known_end(task, attempt)));
        reports.retain(|r| r.incarnation == agent.incarnation);
        evidence.report_on_disk = Some(!reports.is_empty());
        for report in &reports {
            super::housekeeping::tell(&self.store, &self.home, report).await?;
        }
        let lost = match &agent.task {
            Some(task) => match self.store.tasks(std::slice::from_ref(task)).await {
                Err(e) if !e.concerns_one_record() => return Err(e),
                tasks => tasks.ok().and_then(|tasks| Some(tasks.first()?.lost)).unwrap_or(0),
            },
            None => 0,
        };
        if let Some((task, attempt)) = agent.task.as_ref().zip(agent.attempt) {
            evidence.lease_ends_at = match self.store.lease_end(task, agent.fence).await {
                Err(e) if !e.concerns_one_record() => return Err(e),
                end => end.ok().flatten(),
            };
            evidence.last_output = last_output(&self.home.run(task, attempt));
        }
        let retry = self.config.roles.get(&agent.role).map_or(&self.config.retry, |r| &r.retry);
        let remains =
            Remains { agent: agent.id.clone(), session: agent.session.clone(), process: agent.process.clone() };
        let ending = Ending {
            to,
            reason,
            cause: Cause::Lost,
            attempt_reason: &attempt_reason,
            delay: retry.lost_delay(lost + 1),
            remains: Some(&remains),
            evidence: Some(&evidence),
        };
        self.store.end_agent(&agent.id, &agent.incarnation, &ending).await?;
        failpoint!("reap.recorded");
        self.end_remains(agent.incarnation.clone(), remains);
        Ok(())
    }

    /// Where the kernel holds the memory of an agent, its runner may be what it kills, though it is the smallest of all.
    fn killed_for_memory(&self, record: &Record, reason: &str) -> Option<String> {
        let enclosures = self.home.enclosures_of(&record.agent.incarnation);
        let killed: u64 = enclosures.iter().map(|enclosure| enclosure.refused().memory).sum();
        let is_likely = killed > 0 && reason.starts_with("crashed: ");
        is_likely
            .then(|| format!("over-memory: the kernel killed {killed} of its processes (memory_max), and it {reason}"))
    }

    /// After a loss, once all who live are known again: what the disk knows better is told, and work goes on.
    async fn settle(&self, reason: &str, snapshot: &Snapshot) -> Result<(), StoreError> {
        super::housekeeping::tell_all(&self.store, &self.home, snapshot).await?;
        let found = salvage::tasks(&self.store, &self.home).await?;
        let more = match found {
            0 => String::new(),
            _ => format!("; {} found again on the disk", count(found, "task was", "tasks were")),
        };
        self.store.settled(&format!("{reason}{more}")).await
    }

    /// Ends an ended agent's processes and its session, beside the loop; forgets them once nothing is left.
    fn end_remains(&self, incarnation: String, remains: Remains) {
        let ending: Arc<_> = self.ending.clone();
        if !ending.lock().unwrap_or_else(|e| e.into_inner()).insert(incarnation.clone()) {
            return;
        }
        let (store, mux, wake, slots) =
            (self.store.clone(), self.mux.clone(), self.wake.clone(), self.ending_slots.clone());
        let tags = self.tags(&remains.agent, &incarnation);
        // Its runner may have died before it took it, and there are secrets in it.
        let _ = std::fs::remove_file(self.home.launch(&incarnation));
        let home = self.home.clone();
        tokio::spawn(async move {
            let slot = slots.acquire().await;
            let enclosures = home.enclosures_of(&incarnation);
            let ended = end_processes(&incarnation, &remains, enclosures).await;
            failpoint!("reap.ended");
            let clean = ended && close(&*mux, &remains.session, &tags).await;
            failpoint!("reap.closed");
            drop(slot);
            let forgotten = clean && store.forget_remains(&incarnation).await.is_ok();
            failpoint!("reap.forgotten");
            if !forgotten {
                tokio::time::sleep(AGAIN).await;
            }
            ending.lock().unwrap_or_else(|e| e.into_inner()).remove(&incarnation);
            wake.notify_one();
        });
    }

    /// Tells the store how many agents of each role may run at once, when that has changed.
    /// Notes what may run, and what can't. Whether what may be used has changed, or what can be started.
    pub(super) async fn tell_limits(&mut self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        let limits = limits(&self.config.roles, &snapshot.intents);
        if limits != self.limits_told {
            self.store.set_limits(&limits).await?;
            self.limits_told = limits;
        }
        let path = environment::search_path(&self.environment);
        let budgets = budgets(&self.config, Some(OsStr::new(path)));
        if budgets == self.budgets_told {
            return Ok(false);
        }
        for budget in &budgets {
            self.store.set_budget(budget).await?;
        }
        self.budgets_told = budgets;
        Ok(true)
    }

    /// Wakes the agents of roles that are held back no more. A supervisor that was not there when that began has nobody to
    /// wake: idle agents look by themselves now and then.
    pub(super) async fn release(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let released: Vec<String> =
            self.held_back.iter().filter(|role| !snapshot.held_back.contains_key(*role)).cloned().collect();
        for role in released {
            self.store.released(&role).await?;
            self.held_back.remove(&role);
        }
        self.held_back.extend(snapshot.held_back.keys().cloned());
        Ok(())
    }
}

/// What each role may use, and what all together (the empty name).
fn budgets(config: &crate::config::Config, path: Option<&OsStr>) -> Vec<Budget> {
    let order = &config.agents.order;
    let allowance = |budget: &crate::config::Budget| Allowance {
        micro_usd: budget.cost_usd.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd()),
        tokens: budget.tokens,
    };
    let of_role = |role: &crate::config::Role| Budget {
        role: role.name.clone(),
        account: role.account(drivers::settle(role.driver, order, path)),
        day: allowance(&role.day_budget),
        task: allowance(&role.task_budget),
        unfit: drivers::unfit(role, order, path).map(|unfit| format!("{}: {}", unfit.why, unfit.mend)),
    };
    let all = Budget { day: allowance(&config.day_budget), ..Budget::default() };
    std::iter::once(all).chain(config.roles.values().map(of_role)).collect()
}

/// The last that the program of an attempt printed, as far as it reads.
fn last_output(run: &Path) -> Option<LastOutput> {
    let (at, text) = output::last_lines(run).ok()??;
    Some(LastOutput { at, text })
}

fn limits(roles: &std::collections::BTreeMap<String, crate::config::Role>, intents: &Intents) -> Vec<(String, u32)> {
    roles.values().map(|r| (r.name.clone(), intents.scale.get(&r.name).copied().unwrap_or(r.max))).collect()
}

/// A process of this machine and this boot.
pub(super) fn here(p: os::ProcessId) -> Process {
    Process { host: os::hostname(), boot_id: os::boot_id(), pid: p.pid, start_time: p.start_time }
}

/// Whether nothing is left of an incarnation's processes on this machine.
async fn end_processes(incarnation: &str, remains: &Remains, enclosures: Vec<os::Enclosure>) -> bool {
    let known = &remains.process;
    let place = known.place(&os::hostname(), &os::boot_id());
    if known.pid != 0 && place == Place::Elsewhere {
        // Another machine's supervisor looks after its own.
        return true;
    }
    let marker = Some(format!("{MARKER}={incarnation}"));
    let mut tree = os::Tree { marker, enclosures: enclosures.clone(), ..os::Tree::default() };
    if known.pid != 0 && place == Place::ThisBoot {
        let runner = os::ProcessId { pid: known.pid, start_time: known.start_time };
        tree.roots.push(runner);
        tree.sessions.push(runner);
    }
    match tokio::task::spawn_blocking(move || os::end_tree(&tree, &[], GRACE, LIMIT)).await {
        Ok(Ok(report)) if report.complete && report.survivors.is_empty() => {
            tracing::info!(agent = remains.agent, ended = report.ended, took = ?report.took, "nothing is left");
            enclosures.iter().for_each(remove);
            true
        }
        Ok(Ok(report)) => {
            let survivors: BTreeSet<String> = report.survivors.iter().map(ToString::to_string).collect();
            tracing::error!(agent = remains.agent, ?survivors, "could not be ended; looked for again");
            false
        }
        Ok(Err(e)) => {
            tracing::error!(agent = remains.agent, "its processes could not be looked for: {e}");
            false
        }
        Err(e) => {
            tracing::error!(agent = remains.agent, "its processes could not be looked for: {e}");
            false
        }
    }
}

/// Removes an enclosure in which nobody is left.
pub(super) fn remove(enclosure: &os::Enclosure) {
    if let Err(e) = enclosure.remove() {
        // The next start or the stop removes it.
        tracing::warn!("{} could not be removed: {e}", enclosure.path().display());
    }
}

async fn close(mux: &dyn Mux, session: &str, tags: &Tags) -> bool {
    match mux.close(session, tags).await {
        Ok(_) => true,
        // Its processes have ended, so tmux has closed it by itself.
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

    /// A laptop gets another name with another network; its processes are still its own.
    #[tokio::test]
    async fn what_is_left_is_ended_also_after_the_machine_was_renamed() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process { host: "an-older-name".into(), ..here(os::ProcessId::of(child.id()).unwrap()) };
        let remains = Remains { agent: "shell-1".into(), session: "shell-1".into(), process };
        let reaper = std::thread::spawn(move || child.wait());
        assert!(end_processes("nobody-carries-this", &remains, Vec::new()).await);
        assert!(!reaper.join().unwrap().unwrap().success());
    }
}
