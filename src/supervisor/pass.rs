//! One pass: observe, decide, act.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use super::{
    Supervisor,
    background::on_a_thread,
    decide::{self, Action},
    observe::Observed,
};
use crate::store::{StoreError, observe::Snapshot};

/// Without any wake-up, look again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Look again after this long, or when woken.
    Look(Duration),
    /// All has ended.
    ShutDown,
    /// Another supervisor has taken over.
    Replaced,
}

impl Supervisor {
    /// One look, one decision, its actions.
    pub(super) async fn pass(&mut self) -> Result<Pass, StoreError> {
        if let ControlFlow::Break(pass) = self.look_at_folder().await {
            return Ok(pass);
        }
        if let Some(leadership) = &mut self.leadership {
            leadership.keep(&self.store).await?;
        }
        self.request_to_leave().await?;
        let mut observed = self.observe().await?;
        self.remember_runners(observed.runners().map(|(incarnation, process)| (incarnation.to_owned(), process)));
        if self.jobs.mux.restore_socket(&mut observed.runners().map(|(_, process)| process)) {
            tracing::warn!("the socket of tmux was removed: its server makes it again");
            self.observer.look_at_tmux();
            // Before anything is opened, which would start another server.
            return Ok(Pass::Look(Duration::from_millis(50)));
        }
        let epoch = &observed.snapshot.epoch;
        if !epoch.is_known || epoch.number < self.store.epoch() {
            // Redis was emptied while it served.
            self.store.look_at_epoch().await?;
            return Ok(Pass::Look(Duration::ZERO));
        }
        if observed.snapshot.requests.stop.is_none() {
            self.leaving.is_withdrawn();
        }
        // While Redis answers but does not write, no agent can report, and a supervisor that only reads would not notice.
        if observed.is_anyone_silent(self.config.supervisor.lease / 2) {
            self.store.can_write().await?;
        }
        for damaged in &observed.snapshot.damaged {
            self.jobs.complain(damaged.clone());
        }
        for id in &observed.snapshot.broken {
            self.store.quarantine(id, "", "it ran, and does not say by whom").await?;
        }
        if self.reload(&observed.snapshot).await? {
            observed = self.observe().await?;
        }
        if self.tell_limits(&observed.snapshot).await? {
            // Roles that are suspended from now on are not in that snapshot.
            observed = self.observe().await?;
        }
        self.release(&observed.snapshot).await?;
        if observed.snapshot.notices > 0 {
            self.notifier.tell(&self.store, &self.config, &self.environment).await?;
        }
        if let Some(problem) = self.jobs.take_masters_problem() {
            self.start_has_failed(problem, &observed.snapshot).await?;
        }
        self.watches.keep(observed.runners());
        // Redis has answered, and writes: silence during this pass is an agent's own.
        self.observer.count(&mut observed);
        let actions = decide::decide(&observed.world(&self.config));
        let mut worked = false;
        for action in actions {
            if self.leadership.as_ref().is_some_and(|leadership| !leadership.is_sure()) {
                // This pass has taken too long; whether we still decide is asked first.
                return Ok(Pass::Look(Duration::ZERO));
            }
            if action == Action::ShutDown {
                return Ok(Pass::ShutDown);
            }
            tracing::debug!(?action);
            let what = format!("{action:?}");
            match self.act(action, &observed).await {
                Ok(()) => worked = true,
                // What is wrong with one thing must not hold up everything else.
                Err(e) if e.concerns_one_record() => self.jobs.complain(format!("{what}: {e}")),
                Err(e) => return Err(e),
            }
        }
        // While everything is being stopped, no `orch start` waits for a master.
        if observed.snapshot.requests.stop.is_none() {
            let session = &self.config.master.session;
            let breaker = observed.snapshot.breakers.get(session);
            let is_up = observed.is_up(session) && observed.snapshot.epoch.settling_until.is_none();
            self.announcement.master(is_up, breaker, || self.home.agent_log(session));
        }
        self.keep_house(&observed.snapshot);
        let next = observed.next_look(self.config.supervisor.lease).min(LOOK_AGAIN).min(self.observer.patience());
        // Actions change what is to be decided next, so the next look comes soon, but not immediately.
        Ok(Pass::Look(if worked { next.min(Duration::from_millis(50)) } else { next }))
    }

    pub(super) async fn observe(&mut self) -> Result<Observed, StoreError> {
        let hands = self.jobs.hands();
        if self.jobs.have_sessions_changed() {
            self.observer.look_at_tmux();
        }
        self.observer.observe(&self.store, hands).await
    }

    /// Begins the chores that are due, once those before them have ended.
    fn keep_house(&mut self, snapshot: &Arc<Snapshot>) {
        // Not in a folder that another supervisor may have made in the place of ours.
        if self.gone.is_some() || !self.chores.is_free() {
            return;
        }
        let Some(due) = self.housekeeping.due(&self.config) else { return };
        let (store, home, config) = (self.store.clone(), self.home.clone(), self.config.clone());
        let snapshot = snapshot.clone();
        self.chores.begin(on_a_thread(async move {
            if let Err(e) = due.run(&store, &home, &config, &snapshot).await {
                tracing::warn!("housekeeping: {e}");
            }
        }));
    }
}
