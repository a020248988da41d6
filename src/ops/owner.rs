//! Checks the owner of the state folder before a verb acts: a project that was moved or renamed, a supervisor that
//! cannot be seen.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::Ops;
use crate::{
    config::{Config, Env, Located, Owner},
    error::{Error, Kind, Result},
    home::{self, Home},
    os::LockOwner,
};

/// A supervisor whose lock was removed locks it again within one pass, and one that is just starting writes its pid.
const BECOMES_VISIBLE: Duration = Duration::from_secs(5);

/// The configuration of a project.
pub(super) struct Loaded {
    pub config: Config,
    /// Why sessions.toml cannot be used: then the configuration is the one that the supervisor has loaded last.
    pub wrong: Option<Error>,
}

/// Loads the configuration of the project. A mistake in the sessions.toml of a project that was started does not keep a
/// verb from working: what the supervisor has loaded is used then. `note` receives that the project was moved.
///
/// # Errors
/// Those of [`Config::load`].
pub(super) fn load(file: Option<&Path>, note: fn(&str)) -> Result<Loaded> {
    match load_file(file, note) {
        Ok(config) => Ok(Loaded { config, wrong: None }),
        Err(wrong) if wrong.kind == Kind::Configuration => match as_loaded_last(&Env::of_process()?, file) {
            Some(config) => Ok(Loaded { config, wrong: Some(wrong) }),
            None => Err(wrong),
        },
        Err(e) => Err(e),
    }
}

/// The note of a verb that works in spite of a mistake in sessions.toml.
pub(super) fn works_without(wrong: &Error) -> String {
    format!(
        "{}; until that is corrected, orch uses the configuration that the supervisor has read",
        wrong.message.lines().next().unwrap_or_default()
    )
}

/// Returns what the supervisor of this project has loaded last; `None` if that is not clear.
pub(super) fn as_loaded_last(env: &Env, file: Option<&Path>) -> Option<Config> {
    let located = Located::of(env, file)?;
    let runs = |home: &&PathBuf| Home::new(*home).supervisor() != LockOwner::Nobody;
    let home = match located.homes.as_slice() {
        [home] => home,
        // It had another name before.
        several => several.iter().find(runs)?,
    };
    Home::new(home).check_safety().ok()?;
    let mut config = Home::new(home).policy()?.config;
    if let Some(address) = &config.redis.url {
        config.redis.url = Some(located.login_of(address)?);
    }
    Some(Config { home: home.clone(), file: Some(located.file), ..config })
}

/// Loads sessions.toml. A project whose folder was moved gets the state folder that it had; `note` says so.
fn load_file(file: Option<&Path>, note: fn(&str)) -> Result<Config> {
    let config = Config::load(file)?;
    let Some(from) = config.follow_move().map_err(|e| home::unusable(&config.home, &e))? else { return Ok(config) };
    let moved = Config::load(file)?;
    note(&format!(
        "this project was moved here from {}: it continues as '{}', with its state in {}",
        from.display(),
        moved.namespace,
        moved.home.display()
    ));
    Ok(moved)
}

impl Ops {
    /// The same, for a project whose sessions.toml cannot be used ([`Loaded::wrong`]).
    pub(super) fn with_wrong_file(self, wrong: Error) -> Ops {
        Ops { wrong_file: Some(wrong), ..self }
    }

    /// Makes the state folder this project's, if it is another's and nothing keeps this one from starting. Returns the record of
    /// whose it was.
    ///
    /// # Errors
    /// Conflict: a supervisor uses the folder. What keeps orch from starting: then the folder stays the other's.
    pub(super) async fn adopt(&self) -> Result<Option<Owner>> {
        let before = self.home.owner().filter(|_| self.home.check_owner(&self.config).is_err());
        if before.is_some() {
            self.home.refuse_used_by_another()?;
            self.may_start().await?;
            self.home.adopt(&self.config)?;
        }
        Ok(before)
    }

    /// The start has failed: the state folder is again whose it was. One that has started late keeps it.
    pub(super) fn give_back(&self, before: &Owner) {
        if self.home.supervisor() == LockOwner::Nobody
            && let Err(e) = self.home.record(before)
        {
            tracing::warn!("the record of whose the state folder is could not be restored: {e}");
        }
    }

    /// Waits until the process of a supervisor that has the lock is known.
    ///
    /// # Errors
    /// Conflict: it stays unknown. It runs in another pid namespace, where its agents are, too.
    pub(super) async fn await_visible_supervisor(&self) -> Result<()> {
        let began = Instant::now();
        while self.home.supervisor() == LockOwner::Unseen {
            if began.elapsed() > BECOMES_VISIBLE {
                return Err(self.home.unseen());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// This project may run under another name: that of sessions.toml was changed.
    ///
    /// # Errors
    /// Conflict: it does.
    pub(super) fn refuse_other_name(&self) -> Result<()> {
        self.running_under_another_name().map_or(Ok(()), Err)
    }

    /// The error of a project that runs under another name.
    pub(super) fn running_under_another_name(&self) -> Option<Error> {
        let runs = |home: &Path| Home::new(home).supervisor() != LockOwner::Nobody;
        let other = self.config.other_homes().into_iter().find(|owner| runs(&owner.home))?;
        let (name, file) =
            (&self.config.namespace, other.file.as_ref().map(|file| file.to_string_lossy().into_owned()));
        let old = other.home.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(Error::conflict(format!("this project runs as '{old}', and its name is '{name}' now")).hint(format!(
            "set name = \"{old}\" in {} again; to change it, orch stop with that name first",
            file.unwrap_or_else(|| "a sessions.toml".into())
        )))
    }
}
