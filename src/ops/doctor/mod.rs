//! `orch doctor`: checks whether this machine has what orch needs, and suggests fixes.
//!
//! It changes nothing. The checks are independent, so a failed one hides no other.

mod fleet;
mod inherited;
mod machine;
mod programs;
mod roles;

use std::{path::Path, time::Duration};

use self::{machine::cgroups, programs::agent_programs, roles::check_role};
use super::{Check, Ops};
use crate::{
    error::{Error, Kind},
    model::text::count,
    redis_server::{Access, ServerSpec, User, check_version, find_program},
    store::Store,
};

impl Ops {
    /// Every check with its result.
    pub async fn doctor(&self) -> Vec<Check> {
        let path = std::env::var_os("PATH");
        let mut checks = vec![self.tmux().await, self.redis_program().await];
        checks.extend([self.folder(), self.room(), self.socket(), self.configuration()]);
        let (order, path) = (&self.config.agents.order, path.as_deref());
        let programs = agent_programs(order, path).await;
        checks
            .extend(self.config.roles.values().map(|role| check_role(order, role, path, &programs, &self.config.home)));
        checks.extend(programs);
        checks.extend(self.environment(path));
        checks.push(self.rights());
        checks.extend(self.schedule_files().await);
        checks.extend([self.open_files(), cgroups()]);
        checks.extend(self.inherited().await);
        checks.extend(self.redis_configuration().await);
        checks.push(self.supervision().await);
        checks.extend(self.lost().await);
        checks.push(self.leftovers().await);
        checks.extend(self.records().await);
        checks
    }

    async fn tmux(&self) -> Check {
        let mux = self.mux();
        let tried = async {
            let version = mux.check().await?;
            mux.try_session(Path::new("/")).await?;
            Ok::<_, crate::mux::MuxError>(version)
        };
        match tried.await {
            Ok(version) => ok("tmux", format!("version {}; a session was opened and closed", version.text)),
            Err(e) => {
                let e = Error::from(e);
                // Its own hint leads here.
                let hint = e.hint.filter(|hint| !hint.contains("orch doctor"));
                let hint = hint.unwrap_or_else(|| {
                    "try: tmux new-session -d; if that fails too, look at tmux.conf and TMUX_TMPDIR".to_owned()
                });
                error("tmux", Error::new(e.kind, e.message).hint(hint))
            }
        }
    }

    async fn redis_program(&self) -> Check {
        if self.config.redis.url.is_some() {
            return match self.store().info().await.map_err(Error::from).and_then(|info| check_version(&info)) {
                Ok(version) => ok("redis", format!("version {version} at {}", self.store().address())),
                Err(e) => error("redis", e),
            };
        }
        match find_program() {
            Ok(program) => ok("redis", format!("{}, for a private server", program.in_words())),
            Err(e) => error("redis", e),
        }
    }

    /// Whether the private server is configured as intended. `None` while it does not answer.
    async fn redis_configuration(&self) -> Option<Check> {
        const NAME: &str = "redis configuration";
        if self.config.redis.url.is_some() {
            return None;
        }
        let compare = async || {
            let (home, namespace) = (&self.config.home, &self.config.namespace);
            let spec = ServerSpec::of_home(home, namespace)?.with_max_memory(self.config.redis.max_memory);
            let store = Store::private(home, namespace, User::Supervisor, Duration::ZERO)?;
            let Some(access) = Access::of_home(home)? else {
                store.info().await?;
                return Err(
                    Error::config("it was started by an earlier release, and has no passwords").hint("orch start")
                );
            };
            Ok::<_, Error>(store.compare(&spec.settings(), &access.rules(namespace)).await?)
        };
        match compare().await {
            Err(e) if e.kind == Kind::NotRunning => None,
            Err(e) => Some(error(NAME, e)),
            Ok(found) if found.differences.is_empty() => {
                Some(ok(NAME, "as intended: no port, synced at each write, three users with passwords".into()))
            }
            Ok(found) => {
                let what: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
                let fix = "a supervisor puts it back within seconds; if this persists: orch stop, then orch start";
                Some(warn_or_error(NAME, "error", what.join("; "), fix.into()))
            }
        }
    }

    /// Whether the plans that schedules run can be submitted, where there are any.
    async fn schedule_files(&self) -> Option<Check> {
        let mut wrong = Vec::new();
        for schedule in self.config.schedules.values() {
            wrong.extend(self.scheduled_plan_is_wrong(schedule).await.map(|why| format!("{}: {why}", schedule.name)));
        }
        let schedules = self.config.schedules.len();
        match wrong.is_empty() {
            true if schedules == 0 => None,
            true => Some(ok(
                "schedules",
                format!("{}; orch schedule list", count(schedules as u64, "schedule", "schedules")),
            )),
            false => {
                let fix = "correct these plans; orch plan check FILE names every mistake".to_owned();
                Some(warn_or_error("schedules", "error", wrong.join("; "), fix))
            }
        }
    }

    fn configuration(&self) -> Check {
        if let Some(wrong) = &self.wrong_file {
            return error("configuration", wrong.clone());
        }
        let name = &self.config.namespace;
        match &self.config.file {
            Some(file) => ok("configuration", format!("{} is valid; namespace {name}", file.display())),
            None => ok("configuration", format!("no sessions.toml: defaults (orch init writes one); namespace {name}")),
        }
    }
}

fn ok(name: &str, found: String) -> Check {
    Check { name: name.to_owned(), state: "ok", found, fix: None }
}

fn error(name: &str, e: Error) -> Check {
    Check { name: name.to_owned(), state: "error", found: e.message, fix: e.hint }
}

fn warn_or_error(name: &str, state: &'static str, found: String, fix: String) -> Check {
    Check { name: name.to_owned(), state, found, fix: Some(fix) }
}
