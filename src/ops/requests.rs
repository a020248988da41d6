//! `orch pause`, `orch drain`, `orch resume`, `orch scale`, `orch dismiss`: requests that apply until they are withdrawn.

use super::Ops;
use crate::{
    error::{Error, Result},
    model::{event::EventKind, text::count},
    store::requests::Request,
};

impl Ops {
    /// Starts no further tasks of one role or of all. Returns whether that changed anything.
    ///
    /// # Errors
    /// NotFound: no such role. Failed: the caller is in an attempt. NotRunning: there is no Redis.
    pub async fn pause(&self, role: Option<&str>) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt("pause")?;
        let what = match role {
            Some(role) => format!("role {}", self.config.role(role)?.name),
            None => "everything".to_owned(),
        };
        let reason = format!("{what} was paused by {}", self.caller.in_words());
        let request = Request::Pause(role.map(str::to_owned));
        self.ask(|s| s.request(&request, EventKind::RequestPause, &reason)).await
    }

    /// Accepts no further tasks, except subtasks of running ones. Returns whether that changed anything.
    ///
    /// # Errors
    /// Failed: the caller is in an attempt. NotRunning: there is no Redis.
    pub async fn drain(&self) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt("drain")?;
        let reason = format!("draining was asked for by {}", self.caller.in_words());
        self.ask(|s| s.request(&Request::Drain, EventKind::RequestDrain, &reason)).await
    }

    /// Takes back that `status` says that Redis has lost data, or that its configuration was changed; what happens later is
    /// shown again. Returns whether there was anything.
    ///
    /// # Errors
    /// Failed: the caller is in an attempt. NotRunning: there is no Redis.
    pub async fn dismiss(&self) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt("dismiss")?;
        let snapshot = self.ask(|s| s.observe(&[])).await?;
        let tampering = self.ask(|s| s.tampering()).await?;
        let newest = snapshot.epoch.lost_at.max(tampering.map(|tampering| tampering.at));
        let Some(newest) = newest.filter(|at| snapshot.requests.dismissed.is_none_or(|until| until < *at)) else {
            return Ok(false);
        };
        let reason = format!("what was reported about Redis was dismissed by {}", self.caller.in_words());
        let request = Request::Dismiss(newest);
        self.ask(|s| s.request(&request, EventKind::WarningsDismissed, &reason)).await
    }

    /// Withdraws `pause` and `drain`; with a role, the pause of that role alone, and the rate limit of its account. Returns
    /// whether that changed anything.
    ///
    /// # Errors
    /// NotFound: no such role, and none of that name is paused. Failed: the caller is in an attempt. NotRunning: there is no
    /// Redis.
    pub async fn resume(&self, role: Option<&str>) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt("resume")?;
        let standing = self.ask(|s| s.requests()).await?;
        let (what, requests) = match role {
            Some(role) => {
                // A role may have left sessions.toml since it was paused.
                if !standing.paused_roles.iter().any(|paused| paused == role) {
                    self.config.role(role)?;
                }
                (format!("role {role}"), vec![Request::Pause(Some(role.to_owned()))])
            }
            None => {
                let roles = standing.paused_roles.into_iter().map(|role| Request::Pause(Some(role)));
                ("everything".to_owned(), [Request::Pause(None), Request::Drain].into_iter().chain(roles).collect())
            }
        };
        let who = self.caller.in_words();
        let reason = format!("{what} was resumed by {who}");
        let resumed = self.ask(|s| s.withdraw(&requests, EventKind::RequestResume, &reason)).await?;
        match role {
            // Never for all roles: a person who lifts a rate limit should know which account it is.
            Some(role) => Ok(self.ask(|s| s.lift_limit(role, &who)).await? || resumed),
            None => Ok(resumed),
        }
    }

    /// Requests this many agents of a role, neither more nor fewer; `None`: as many as sessions.toml says. Returns whether
    /// that changed anything.
    ///
    /// # Errors
    /// NotFound: no such role. Usage: more than sessions.toml allows, or a role that takes no tasks. Failed: the caller is in
    /// an attempt. NotRunning: there is no Redis.
    pub async fn scale(&self, role: &str, n: Option<u32>) -> Result<bool> {
        self.caller.must_not_be_in_an_attempt("scale")?;
        let role = self.config.role(role)?;
        let who = self.caller.in_words();
        let Some(n) = n else {
            let requests = [Request::Scale(role.name.clone(), 0)];
            let reason = format!("role {} was given back its size of sessions.toml by {who}", role.name);
            return self.ask(|s| s.withdraw(&requests, EventKind::RequestScale, &reason)).await;
        };
        super::delegate::takes_tasks(&self.config, role)?;
        let all = self.config.supervisor.max_agents;
        if n > role.max {
            return Err(Error::usage(format!(
                "role {} has at most {}, not {n}",
                role.name,
                count(role.max, "agent", "agents")
            ))
            .hint(format!("raise max under [roles.{}] in sessions.toml, then: orch reload", role.name)));
        }
        if n > all {
            return Err(Error::usage(format!(
                "there can be at most {} over all roles, not {n}",
                count(all, "agent", "agents")
            ))
            .hint("raise max_agents under [supervisor] in sessions.toml, then: orch reload"));
        }
        let request = Request::Scale(role.name.clone(), n);
        let reason = format!("role {} was scaled to {n} by {who}", role.name);
        self.ask(|s| s.request(&request, EventKind::RequestScale, &reason)).await
    }
}
