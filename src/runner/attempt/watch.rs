//! The time while the program of an attempt runs: what it says is forwarded, time limits and directives are enforced,
//! and it is asked to end where they say so.

use std::{
    io,
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal as Sig;

use super::{
    CAPABILITY,
    outcome::Stop,
    person_clock::PersonClock,
    program::launcher,
    resource_limits::{Excess, Meter},
    start::Running,
};
use crate::{
    drivers::Conversation,
    model::end_code::EndCode,
    runner::{
        Leave,
        interactive::session,
        lease::{
            blocked_on::BlockedOn,
            heartbeat::{Heartbeat, Reply},
        },
        signals::{Signal, Signals},
    },
    store::{agents::Directive, tasks::Claimed},
};

/// A program that has given its result, stays, and is silent for this long is ended; earlier where its role would
/// consider it hung and lose the result.
const LINGER: Duration = Duration::from_secs(60);
/// A program on a terminal never exits on its own. It has this long to continue: with a prompt that was typed
/// meanwhile, or because another hook requests it.
const SETTLED: Duration = Duration::from_secs(1);

impl Running<'_> {
    /// Records the conversation, once its name is known. A user may begin another one.
    pub(super) fn record_session(&mut self) {
        let Some(session) = self.output.conversation().and_then(|reported| reported.session.as_ref()) else { return };
        if self.session.as_ref() != Some(session) {
            let marker = format!("{CAPABILITY}={}", self.capability);
            session::write(&self.workspace.dir, self.agent.launch.driver, session, marker);
            self.session = Some(session.clone());
        }
    }

    /// Records what the program reports of the windows of its subscription, beside the attempt.
    pub(super) fn record_windows(&mut self) {
        let Some(reported) = self.output.conversation().filter(|reported| reported.windows != self.windows) else {
            return;
        };
        self.windows.clone_from(&reported.windows);
        let (store, role) = (self.agent.store.clone(), self.agent.launch.role.name.clone());
        let windows = self.windows.clone();
        tokio::spawn(async move {
            if let Err(e) = store.record_windows(&role, &windows).await {
                tracing::debug!("the windows of its account could not be recorded: {e}");
            }
        });
    }

    /// Forwards what the program reports to wait for. A program that reports nothing may be observed in another way.
    fn forward_wait(&mut self, blocked_on: &BlockedOn) {
        let Some(waits_for) = self.output.conversation().map(Conversation::waits_for) else { return };
        if self.waits_for != waits_for {
            blocked_on.set(waits_for.clone());
            self.waits_for = waits_for;
        }
    }

    /// Runs until the program has ended, or was ended by us.
    pub(super) async fn watch(
        &mut self,
        claimed: &Claimed,
        heartbeat: &mut Heartbeat,
        signals: &mut Signals,
        meter: &mut Meter<'_>,
        began: Instant,
    ) -> (io::Result<ExitStatus>, Option<Stop>) {
        let (progress, blocked_on) = (heartbeat.progress(), heartbeat.blocked_on());
        let timeout = tokio::time::sleep(Duration::from_millis(claimed.task.timeout_ms));
        tokio::pin!(timeout);
        let deadline = tokio::time::sleep(claimed.time_left.unwrap_or(Duration::MAX).saturating_sub(began.elapsed()));
        tokio::pin!(deadline);
        let kill = tokio::time::sleep(Duration::MAX);
        tokio::pin!(kill);
        let mut is_over = false;
        let linger = tokio::time::sleep(Duration::MAX);
        tokio::pin!(linger);
        let mut person = PersonClock::new(heartbeat, self.agent.launch.role.person_timeout);
        let on_terminal = self.terminal.is_some();
        let retry_for = if on_terminal { SETTLED } else { LINGER.min(self.agent.launch.role.stall_timeout / 2) };
        let mut stop: Option<Stop> = None;
        let mut reminded = false;
        loop {
            if let Some(waited) = person.waited() {
                let deadline = timeout.deadline();
                timeout.as_mut().reset(deadline.checked_add(waited).unwrap_or(deadline));
            }
            let request = tokio::select! {
                // In this order: a program that has ended was not stopped, and a flood of output delays nothing.
                biased;
                status = self.child.wait() => {
                    return (status.and_then(|status| launcher(&self.agent.launch).status(status)), stop);
                }
                () = &mut kill, if stop.is_some() => {
                    self.signal(Sig::SIGKILL);
                    kill.as_mut().reset(tokio::time::Instant::now() + Duration::from_secs(1));
                    continue;
                }
                () = &mut timeout, if stop.is_none() && !person.is_needed() => Stop::Timeout,
                () = &mut deadline, if stop.is_none() => Stop::Deadline,
                unanswered = person.next(), if stop.is_none() => match unanswered {
                    Some((asked, limit)) => Stop::Unanswered(asked, limit),
                    None => continue,
                },
                () = &mut linger, if is_over && stop.is_none() => {
                    if self.output.goes_on().await {
                        linger.as_mut().reset(tokio::time::Instant::now() + retry_for);
                        continue;
                    }
                    Stop::Lingers
                }
                beat = heartbeat.next() => match beat {
                    Reply::Directive(_, Directive::Cancel(reason)) => Stop::Cancelled(reason),
                    Reply::Directive(_, Directive::OverBudget(reason)) => Stop::OverBudget(reason),
                    Reply::Directive(_, Directive::Stop(reason)) => Stop::Leave(Leave::Requested(reason)),
                    Reply::Directive(_, Directive::Go | Directive::Asks(_)) => continue,
                    Reply::LeaseLost(_) | Reply::AgentLost => Stop::LeaseLost,
                },
                signal = signals.next() => match signal {
                    // The program receives it as well, and handles it.
                    Signal::Interrupt if on_terminal => continue,
                    // A program that waits for an answer is not cancelled by a single key.
                    Signal::Interrupt if !reminded && self.agent.asking.remind() => {
                        reminded = true;
                        continue;
                    }
                    Signal::Interrupt => Stop::Interrupted,
                    Signal::Hangup => Stop::Leave(Leave::SessionClosed),
                    Signal::Terminate => Stop::Leave(Leave::Terminated),
                },
                excess = meter.exceeded(), if stop.is_none() => Stop::Over(excess),
                () = self.output.pump() => {
                    progress.touch();
                    self.record_session();
                    self.record_windows();
                    self.forward_wait(&blocked_on);
                    progress.set_runs_tool(self.output.conversation().is_some_and(Conversation::runs_tool));
                    progress.set_used(self.output.used());
                    let reported = self.output.conversation();
                    is_over = reported.is_some_and(|reported| reported.is_done() || on_terminal && reported.has_ended());
                    linger.as_mut().reset(tokio::time::Instant::now() + retry_for);
                    let asks_in_vain = self.output.conversation().is_some_and(Conversation::asks_in_vain);
                    match self.output.excess() {
                        _ if stop.is_some() => continue,
                        Some(reason) => Stop::Over(Excess { code: EndCode::OverOutput, reason }),
                        None if asks_in_vain => Stop::AsksInVain,
                        None => match self.output.repeats() {
                            Some(how) => Stop::Runaway(how),
                            None => continue,
                        },
                    }
                }
            };
            // A lost lease means that another agent may already be working on the task, and a program over a limit
            // affects all others: no grace period.
            let grace = match request {
                Stop::LeaseLost | Stop::Over(_) => Duration::ZERO,
                _ => self.agent.launch.kill_grace,
            };
            if stop.is_none() {
                if on_terminal && !grace.is_zero() {
                    self.output.keep_screen().await;
                }
                self.signal(if matches!(request, Stop::Interrupted) { Sig::SIGINT } else { Sig::SIGTERM });
                // A stopped process (Ctrl-Z, SIGSTOP) only reacts to this.
                self.signal(Sig::SIGCONT);
                kill.as_mut().reset(tokio::time::Instant::now() + grace);
                stop = Some(request);
            } else if matches!(request, Stop::LeaseLost | Stop::Leave(_)) {
                // A stronger reason while the program is already ending; a second Ctrl-C or TERM changes nothing.
                stop = Some(request);
            }
        }
    }

    /// Signals the program's process group. On a terminal that is our own group, so only the program is signalled.
    fn signal(&self, signal: Sig) {
        if let Some(pid) = self.child.id() {
            launcher(&self.agent.launch).signal(pid, signal, self.terminal.is_some());
        }
    }
}
