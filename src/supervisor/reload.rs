//! `orch reload`: reads sessions.toml again, and applies all of it or nothing.
//!
//! The supervisor's own decisions use the new configuration from the next pass on. An agent with the earlier one is
//! asked to end when it is idle: idle agents now, busy ones after their attempt ([`crate::home::PolicyWatch`]), so no
//! running attempt is disturbed. The master stays; the new configuration applies to what it delegates.

use serde_json::json;

use super::{Supervisor, background::on_a_thread, environment, notify::Notifier, startup::agents_for};
use crate::{
    config::{Config, Difference, concern_agents, refuse_fixed},
    error::Result,
    home::{Mark, Policy},
    model::{agent::AgentState, build, event::EventKind, secret::Redactor},
    os,
    store::{StoreError, observe::Snapshot, requests::Request},
};

/// What a reload came to, as its event holds it.
#[derive(Debug)]
struct Applied {
    differences: Vec<Difference>,
    replaced: u64,
    busy: u64,
}

/// What runners need to know of a configuration.
pub(super) fn policy(config: &Config) -> Policy {
    Policy { agents: config.agents_fingerprint(), config: config.without_secrets() }
}

impl Supervisor {
    /// Begins a reload that was requested, and applies one whose file was read. `false` while there is none.
    pub(super) async fn reload(&mut self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        if let Some(token) = snapshot.requests.reload.clone()
            && self.reloading.is_none()
        {
            // First: a request that comes from now on is about a file that may not have been read.
            let reason = "the supervisor reads sessions.toml";
            self.store.withdraw(&[Request::Reload(String::new())], EventKind::SupervisorReloading, reason).await?;
            let location = self.config.location().to_owned();
            self.read.begin(on_a_thread(async move { Config::load(Some(&location)) }));
            self.reloading = Some(token);
        }
        let Some(token) = self.reloading.clone() else { return Ok(false) };
        let Some(loaded) = self.read.take().await else { return Ok(false) };
        self.reloading = None;
        let applied = match loaded.and_then(|config| self.fits(config)) {
            Ok((config, differences)) => self.apply(config, differences, snapshot).await?,
            Err(e) => Err(e),
        };
        match applied {
            Ok(Applied { differences, replaced, busy }) => {
                let words: Vec<String> = differences.iter().map(Difference::in_words).collect();
                let what = if words.is_empty() { "nothing has changed".to_owned() } else { words.join("; ") };
                tracing::info!("sessions.toml was read again: {what}");
                let data = json!({"token": token, "changes": differences, "replaced": replaced, "busy": busy});
                self.store.note_with(EventKind::SupervisorReloaded, &what, &data).await?;
                Ok(true)
            }
            Err(e) => {
                tracing::warn!("sessions.toml was not applied: {e}");
                let data = json!({"token": token, "error": e});
                self.store.note_with(EventKind::SupervisorReloadRefused, &e.message, &data).await?;
                Ok(false)
            }
        }
    }

    /// The configuration as it fits this machine, and what it changes.
    fn fits(&self, mut config: Config) -> Result<(Config, Vec<Difference>)> {
        // The master lives under its name, whatever was recorded since.
        if config.master.session == config.master.usual_session() {
            config.master.session.clone_from(&self.config.master.session);
        }
        let files = os::raise_nofile_limit().unwrap_or(u64::MAX);
        config.supervisor.max_agents = agents_for(files, config.supervisor.max_agents)?;
        let differences = self.config.difference(&config);
        refuse_fixed(&differences)?;
        Ok((config, differences))
    }

    async fn apply(
        &mut self,
        config: Config,
        differences: Vec<Difference>,
        snapshot: &Snapshot,
    ) -> Result<Result<Applied>, StoreError> {
        let mark = Mark { version: build::IN_WORDS.to_owned(), config: config.fingerprint() };
        // Runners learn of it before the answer does: what is claimed after that is claimed with it.
        let policy = policy(&config);
        let recorded = self
            .home
            .write_policy(&policy)
            .and_then(|()| mark.write(&self.home).map_err(|e| crate::home::unusable(&self.home.running(), &e)));
        if let Err(e) = recorded {
            return Ok(Err(e));
        }
        let gone: Vec<String> =
            self.config.roles.keys().filter(|role| !config.roles.contains_key(*role)).cloned().collect();
        self.config = config.into();
        self.jobs.config = self.config.clone();
        self.observer.roles_of(&self.config);
        let secrets = environment::secrets(&self.config, &self.environment);
        self.notifier = Notifier::new(Redactor::new(secrets.iter().map(String::as_str)));
        if let Some(schedules) = &self.schedules {
            schedules.follow(self.config.clone(), secrets.into_iter().collect());
        }
        self.told.forget();
        tracing::debug!(?gone, "roles that are gone");
        let (mut replaced, mut busy) = (0, 0);
        if concern_agents(&differences) {
            let reason = "replaced: sessions.toml has changed (orch reload)";
            for agent in snapshot.agents.iter().map(|record| &record.agent).filter(|agent| !agent.master) {
                match agent.state {
                    AgentState::Idle => {
                        let state = self.store.stop_agent(&agent.id, &agent.incarnation, true, reason).await;
                        replaced += u64::from(state.is_ok_and(|state| state == AgentState::Stopping));
                    }
                    AgentState::Busy => busy += 1,
                    _ => {}
                }
            }
        }
        Ok(Ok(Applied { differences, replaced, busy }))
    }
}
