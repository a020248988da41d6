//! `orch reload`: asks the supervisor to read sessions.toml again, and returns what that changes.

use std::time::Duration;

use super::{Ops, Reloaded};
use crate::{
    config::{Difference, refuse_fixed},
    error::{Error, Kind, Result},
    model::{event::Event, event::EventKind},
    store::requests::Request,
};

/// How long the supervisor may take: it reads a few files and looks for programs.
const READS: Duration = Duration::from_secs(30);

impl Ops {
    /// Lets the supervisor apply sessions.toml as it is now, to everything that starts from now on; with `dry_run`, only
    /// returns what that would change.
    ///
    /// # Errors
    /// NotRunning: no supervisor runs. Conflict: everything is being stopped, or what has changed needs a restart.
    /// Configuration: the file is wrong; the supervisor keeps the earlier one. TimedOut: the supervisor does not answer.
    pub async fn reload(&self, dry_run: bool) -> Result<Reloaded> {
        if !self.is_supervised() {
            self.refuse_other_name()?;
            return Err(Error::not_running("no supervisor runs, so there is nothing to reload")
                .hint("orch start reads sessions.toml"));
        }
        let changes = self.changes();
        refuse_fixed(&changes)?;
        if dry_run {
            return Ok(Reloaded { applied: false, changes, replaced: 0, busy: 0, master: None });
        }
        if self.ask(|s| s.requests()).await?.stop.is_some() {
            return Err(Error::conflict("everything is being stopped; the next orch start reads sessions.toml"));
        }
        let data = self.reloaded().await?;
        let read = |name: &str| data[name].as_u64().unwrap_or_default();
        let changes: Vec<Difference> = serde_json::from_value(data["changes"].clone()).unwrap_or_default();
        let of_master = format!("roles.{}", self.config.master.role);
        let concerns_master = crate::config::concern_agents(
            &changes.iter().filter(|one| one.key.starts_with(&of_master)).cloned().collect::<Vec<_>>(),
        );
        let master = concerns_master.then(|| self.config.master.session.clone());
        Ok(Reloaded { applied: true, changes, replaced: read("replaced"), busy: read("busy"), master })
    }

    /// Refuses changes of sessions.toml that living agents could not follow.
    ///
    /// # Errors
    /// Conflict: what has changed needs a stop and a start.
    pub(super) fn refuse_fixed_changes(&self) -> Result<()> {
        refuse_fixed(&self.changes())
    }

    /// What sessions.toml changes of what the supervisor has loaded. Values that may be secrets are in neither.
    fn changes(&self) -> Vec<Difference> {
        let loaded = self.home.policy().map(|policy| policy.config);
        let loaded = loaded.map(|config| config.difference(&self.config.without_secrets()));
        // What open files allow (max_agents) is the supervisor's to say.
        loaded.unwrap_or_default()
    }

    /// Asks, and waits for the answer.
    async fn reloaded(&self) -> Result<serde_json::Value> {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let reason = format!("a reload was asked for by {}", self.caller.in_words());
        let request = Request::Reload(token.clone());
        let mut after = self.last_event().await?;
        loop {
            self.ask(|s| s.request(&request, EventKind::SupervisorReloading, &reason)).await?;
            let is_answer = |event: &Event| {
                [EventKind::SupervisorReloaded, EventKind::SupervisorReloadRefused].contains(&event.kind)
            };
            let Some(answer) = self.event_within(after.clone(), READS, is_answer).await? else {
                return Err(Error::timed_out("the supervisor has not read sessions.toml yet")
                    .hint(format!("it does so when it can; look at {}", self.home.supervisor_log().display())));
            };
            let data = answer.data.unwrap_or_default();
            // The answer to another caller may be about an earlier state of the file.
            if data["token"] != token.as_str() {
                after = answer.id;
                continue;
            }
            return match answer.kind {
                EventKind::SupervisorReloaded => Ok(data),
                _ => Err(serde_json::from_value(data["error"].clone())
                    .unwrap_or_else(|_| Error { kind: Kind::Configuration, ..Error::config(answer.reason) })),
            };
        }
    }

    /// Whether the running supervisor does not know a role that sessions.toml has by now.
    pub(super) fn is_unknown_to_supervisor(&self, role: &str) -> bool {
        self.caller.attempt().is_none()
            && self.supervisor_is_outdated()
            && self.is_supervised()
            && self.home.policy().is_some_and(|policy| !policy.config.roles.contains_key(role))
    }
}
