//! One attempt: starts the program, follows it to its end, ends its whole process tree, and decides the outcome.

mod brief;
pub(in crate::runner) mod cgroup;
mod draft;
pub(in crate::runner) mod earlier_ends;
pub(in crate::runner) mod evidence;
mod inputs;
mod kept;
pub(in crate::runner) mod outcome;
mod person_clock;
pub(in crate::runner) mod program;
pub(in crate::runner) mod resource_limits;
mod results;
pub(in crate::runner) mod scratch;
pub(in crate::runner) mod start;
pub(in crate::runner) mod usage;
mod watch;
mod withheld;
pub(in crate::runner) mod workspace;

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use crate::runner::{
    Agent, Leave,
    attempt::outcome::{Stop, report, stopped},
    attempt::program::{CAPABILITY, launcher, on_disk},
    attempt::resource_limits::Meter,
    attempt::start::{NotBegun, Running, begin},
    attempt::usage::used,
    interactive::{hooks, session},
    lease::heartbeat::Heartbeat,
    signals::Signals,
};
use crate::{
    config::Mode,
    drivers::{Conversation, Driver, End, Verdict},
    home::Home,
    model::{cause::Cause, end_code::EndCode, evidence::Rule, task::Usage, text::one_line, time::Timestamp},
    os::failpoint,
    store::tasks::{Claimed, Report},
};

/// Processes that the program has left behind get this long to end cleanly.
const STRAGGLERS_GRACE: Duration = Duration::from_millis(200);
/// How long reading the program's own records may take.
const READING: Duration = Duration::from_secs(5);
/// After this time, what is left cannot be ended by the runner (it is stuck in the kernel); the supervisor takes care
/// of it.
const STRAGGLERS_LIMIT: Duration = Duration::from_secs(5);

/// The outcome of an attempt.
pub(in crate::runner) struct Ended {
    /// What to report; `None` when the lease belongs to another agent.
    pub report: Option<Report>,
    /// Whether the runner leaves after it, and why.
    pub leave: Option<Leave>,
}

/// Runs an attempt to its end.
pub(in crate::runner) async fn run(
    agent: &Agent,
    driver: &'static dyn Driver,
    claimed: &Arc<Claimed>,
    heartbeat: &mut Heartbeat,
    signals: &mut Signals,
) -> Ended {
    if let Some(report) = known_end(agent, claimed) {
        return Ended { report: Some(report), leave: None };
    }
    heartbeat.hold(Some(claimed.clone()));
    let task = &claimed.task;
    agent.pane.print(&format!("── {} attempt {}: {}", task.id, claimed.attempt, one_line(&task.description, 100)));
    let began = Instant::now();
    // A program that does not report its conversation has none to resume, so none is looked up.
    let options = &agent.launch.role.agent;
    let may_resume = options.resume && driver.transcript(options).is_some();
    let mut earlier = may_resume.then(|| session::earlier(&agent.home, claimed, agent.launch.driver)).flatten();
    let gathered = async { Ok((inputs::of(agent, claimed).await?, results::with_results(agent, claimed).await?)) };
    let (inputs, claimed) = match gathered.await {
        Ok((inputs, filled)) => (inputs, &filled.clone()),
        Err(reason) => {
            let verdict = Verdict::of(Cause::Lost, EndCode::SpawnFailed, reason);
            return Ended { report: Some(report(agent, claimed, verdict, None, None, began)), leave: None };
        }
    };
    let is_on_terminal = agent.launch.role.agent.mode == Mode::Interactive;
    loop {
        let terminal = if is_on_terminal { Some(agent.pane.lend().await) } else { None };
        let running = match begin(agent, driver, claimed, &inputs, earlier.as_ref(), terminal, heartbeat.blocked_on()) {
            Ok(running) => running,
            Err(not_begun) => {
                let NotBegun { verdict, leave } = *not_begun;
                let mut report = report(agent, claimed, verdict, None, None, began);
                report.evidence = leave.as_ref().map(|leave| agent.evidence(leave.rule(), &report.reason, None));
                return Ended { report: Some(report), leave };
            }
        };
        if let Some(ended) = running.finish(driver, claimed, heartbeat, signals, began).await {
            return ended;
        }
        agent.pane.print("orch: that conversation does not exist any more; a new one is started");
        earlier = None;
    }
}

/// Returns the recorded end of this attempt. Redis may have lost that this very attempt was made: its end is on disk,
/// and nothing is done twice.
fn known_end(agent: &Agent, claimed: &Claimed) -> Option<Report> {
    let mut known = agent.earlier_ends.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.of(&agent.home, agent.store.epoch(), claimed)?;
    let (task, launch) = (&claimed.task.id, &agent.launch);
    agent.pane.print(&format!("── {task} attempt {}: its end is known from before Redis lost data", claimed.attempt));
    let (agent, incarnation) = (launch.agent.clone(), launch.incarnation.clone());
    Some(Report { agent, incarnation, fence: claimed.fence, ..known })
}

impl Running<'_> {
    /// Returns `None` if the conversation to resume does not exist, and nothing was done.
    async fn finish(
        mut self,
        driver: &'static dyn Driver,
        claimed: &Claimed,
        heartbeat: &mut Heartbeat,
        signals: &mut Signals,
        began: Instant,
    ) -> Option<Ended> {
        let agent = self.agent;
        let mut meter = Meter::start(&agent.launch.role.limits, agent.cgroup.as_ref());
        let (status, mut stop) = self.watch(claimed, heartbeat, signals, &mut meter, began).await;
        // The exit code of a program that we have signalled proves nothing.
        let told_to_end = stop.is_some();
        if stop.is_none() && !status.as_ref().is_ok_and(ExitStatus::success) {
            stop = meter.refused().map(Stop::Over);
        }
        // The screen of a killed program shows only what it was doing.
        let has_failed = status.as_ref().is_ok_and(|status| status.code().is_some_and(|code| code != 0));
        if stop.is_none() && has_failed && !self.output.conversation().is_some_and(Conversation::is_done) {
            self.output.read_screen().await;
        }
        let is_over = matches!(stop, Some(Stop::Over(_)));
        let grace = if is_over { Duration::ZERO } else { STRAGGLERS_GRACE };
        self.end_stragglers(grace).await;
        agent.socket.close();
        if let Some(scratch) = self.scratch.take() {
            scratch.end().await;
        }
        self.proxy = None;
        self.output.drain().await;
        // Another attempt may continue in its place.
        heartbeat.blocked_on().set(None);
        if agent.launch.driver.program().is_some() {
            if self.terminal.is_none() {
                self.output.answered_before(&hooks::kept_answers(&Home::hooks(&self.workspace.dir)));
            }
            // The hooks' reports were read, and are kept without secrets.
            let _ = std::fs::remove_file(Home::hooks(&self.workspace.dir));
        }
        self.record_session();
        self.record_windows();
        failpoint!("finish.ended");
        let mut verdict = match (&stop, &status) {
            // Takes precedence over a stop: it was done before.
            (
                Some(Stop::Timeout | Stop::Deadline | Stop::Interrupted | Stop::OverBudget(_) | Stop::Leave(_)),
                Ok(status),
            ) if self.is_done(stop.as_ref(), status) => self.read(driver, status),
            // Its driver decides what it asks for and what to do, or how it has failed.
            (Some(Stop::AsksInVain | Stop::Lingers), Ok(status)) => self.read(driver, status),
            (Some(stop), _) => stopped(stop, claimed, &self.agent.launch.agent),
            (None, Ok(status)) => self.read(driver, status),
            (None, Err(e)) => {
                Verdict::of(Cause::Lost, EndCode::ExitUnknown, format!("how its program ended is unknown: {e}"))
            }
        };
        if agent.launch.driver.program().is_some() {
            withheld::explain(&mut verdict, &agent.launch.withheld, &agent.launch.role.name);
        }
        if claimed.task.drafts_plan {
            draft::check(agent, claimed, &mut verdict, &self.output.text());
        }
        // A stopped attempt reports its usage as well.
        if verdict.usage.is_none() {
            let reported = self.output.conversation().and_then(|reported| reported.usage.clone());
            verdict.usage = match reported {
                Some(usage) => Some(usage),
                None => self.used(driver, began).await,
            };
        }
        self.terminal = None;
        self.output.show_screen(&self.workspace.dir);
        if let Some(Stop::LeaseLost) = stop {
            self.agent.pane.print(&format!("── {} was given to another agent: nothing is reported", claimed.task.id));
            return Some(Ended { report: None, leave: Some(Leave::DeclaredLost) });
        }
        if verdict.start_anew && self.resumed {
            return None;
        }
        let exit_code = status.ok().filter(|s| s.success() || !told_to_end).and_then(|s| s.code());
        if let Err(e) = kept::redact(&self.workspace.result, &self.agent.redactor) {
            tracing::warn!("the result file of {} is not kept: {e}", claimed.task.id);
        }
        let is_kept = self.workspace.keep(self.output.is_logged());
        let mut report = report(self.agent, claimed, verdict, exit_code, Some(&self.output), began);
        if let Some(result) = report.result.as_mut().filter(|_| !is_kept) {
            result.path.clear();
        }
        let leave = match stop {
            Some(Stop::Leave(leave)) => Some(leave),
            _ => None,
        };
        if report.cause == Cause::Lost {
            let of_program = if is_over { Rule::OverLimit } else { Rule::ProgramKilled };
            let rule = leave.as_ref().map_or(of_program, Leave::rule);
            report.evidence = Some(self.agent.evidence(rule, &report.reason, Some(claimed)));
        }
        Some(Ended { report: Some(report), leave })
    }

    /// Returns whether the program had done its task when it was stopped. A program that reports its result has
    /// reported it; for another the exit code decides, except when the runner leaves: some programs exit with 0
    /// whenever they are asked to end.
    fn is_done(&self, stop: Option<&Stop>, status: &ExitStatus) -> bool {
        match self.output.conversation() {
            Some(reported) => reported.is_done(),
            None => status.success() && !matches!(stop, Some(Stop::Leave(_))),
        }
    }

    /// Ends the processes that the program has started and left behind. Usually there are none, which costs one call.
    async fn end_stragglers(&self, grace: Duration) {
        let launcher = launcher(&self.agent.launch);
        if !launcher.is_alive() {
            return;
        }
        let ended = tokio::task::spawn_blocking(move || launcher.end(&[], grace, STRAGGLERS_LIMIT)).await;
        match ended {
            Ok(Ok(report)) => tracing::info!(ended = report.ended, survivors = ?report.survivors, "stragglers"),
            Ok(Err(e)) => tracing::error!("stragglers: {e}"),
            Err(e) => tracing::error!("stragglers: {e}"),
        }
    }

    fn read(&self, driver: &dyn Driver, status: &ExitStatus) -> Verdict {
        use std::os::unix::process::ExitStatusExt;
        let (file, complaint) = match self.workspace.read_result() {
            Ok(file) => (file, None),
            Err(why) => (None, Some(why)),
        };
        let (stdout, stderr) = (self.output.text(), self.output.errors());
        let end = End {
            exit_code: status.code(),
            signal: status.signal(),
            stdout: &stdout,
            stderr: &stderr,
            file,
            conversation: self.output.conversation(),
            on_a_terminal: self.terminal.is_some(),
            was_asking: self.output.was_asking(),
            hold_denied: self.agent.launch.role.agent.hold_denied,
            now: Timestamp::now(),
        };
        let mut verdict = driver.read(end);
        if let Some(why) = complaint {
            verdict.reason = format!("{}; {why}", verdict.reason);
            if verdict.cause == Cause::Success {
                verdict.code = EndCode::ResultUnreadable;
            }
        }
        verdict
    }

    /// Returns its usage according to its own records, where it has not reported it.
    async fn used(&self, driver: &'static dyn Driver, began: Instant) -> Option<Usage> {
        let since = Timestamp(Timestamp::now().0.saturating_sub(began.elapsed().as_millis() as u64));
        let named = &self.output.conversation()?.records;
        let place = |path: &String| on_disk(&self.agent.launch, &self.kept, Path::new(path));
        let records: Vec<PathBuf> = named.iter().filter_map(place).collect();
        let read = move || {
            let read = |path: &PathBuf| used(driver, path, since);
            records.iter().filter_map(read).reduce(|a, b| a.and(&b))
        };
        // The program has named these files, and may have named anything: not in this loop, and not for long.
        tokio::time::timeout(READING, tokio::task::spawn_blocking(read)).await.ok()?.ok()?
    }
}
