//! The other projects of this user on this machine: `orch status --all`, and a name for the master's session that none of
//! them has.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use tokio::time::timeout;

use super::{Caller, Identity, MachineProject, Ops, lifecycle::masters_name, owner};
use crate::{
    config::{Config, Env, state_folders},
    error::{Error, Result},
    home::{self, Home},
    model::task::TaskState,
    mux::Mux,
    os,
};

/// How long one project may take to answer. A hung one must not hide the others.
const ANSWERS: Duration = Duration::from_secs(3);

/// A state folder, and the project that it belongs to.
struct Place {
    home: Home,
    /// The sessions.toml or the folder that its supervisor was started with, else the recorded folder.
    location: PathBuf,
}

impl Ops {
    /// Every project of this user on this machine that has a state folder in the usual place, or runs: the running ones
    /// first. Nothing is started, and nothing is changed.
    ///
    /// # Errors
    /// Configuration: the environment of this process has no current folder.
    pub async fn projects(&self) -> Result<Vec<MachineProject>> {
        let places = self.places()?;
        let all = places.iter().map(|place| self.look_at_project(place));
        let mut found: Vec<MachineProject> = futures_util::future::join_all(all).await;
        found.sort_by(|a, b| (a.state != "running", &a.namespace).cmp(&(b.state != "running", &b.namespace)));
        Ok(found)
    }

    /// The other projects that run and would have called their master's session as this one does, in sentences for `orch
    /// start`: a person who looks for the one may meet the other.
    pub(super) fn masters_of_other_projects(&self) -> Vec<String> {
        let own = self.config.home.canonicalize().ok();
        let (usual, session) = (self.config.master.usual_session(), &self.config.master.session);
        let places = self.places().unwrap_or_default();
        let others = places.iter().filter(|place| place.home.path().canonicalize().ok() != own && place.is_running());
        let sentence = |place: &Place| {
            let (config, root) = (place.config().ok()?, place.location.display());
            // In another tmux server, both may have it.
            let is_beside = config.master.usual_session() == usual && config.tmux.socket == self.config.tmux.socket;
            if !is_beside || (*session == usual) == (config.master.session == usual) {
                return None;
            }
            Some(format!("{} has its master in the session {} ({root})", config.namespace, config.master.session))
        };
        others.filter_map(sentence).collect()
    }

    /// Chooses and records another name for the master's session, where the usual one is that of another project. Returns
    /// whether it did: the configuration has to be read again.
    ///
    /// # Errors
    /// Configuration: tmux cannot be asked, or the name cannot be recorded.
    pub async fn name_master(&self) -> Result<bool> {
        // Before the first call of tmux, which needs them as well.
        self.check_environment()?;
        let master = &self.config.master;
        if master.session != master.usual_session() || self.supervisor().is_some() {
            return Ok(false);
        }
        let sessions = self.mux().sessions().await?;
        let is_of_another = |name: &str| {
            sessions.iter().any(|session| session.name == name && session.tags.is_some() && !self.is_ours(session))
        };
        let name = masters_name(&self.config.namespace);
        if !is_of_another(&master.session) || name == master.session || sessions.iter().any(|s| s.name == name) {
            return Ok(false);
        }
        self.home.create()?;
        let path = self.home.master_session();
        home::write_atomically(&path, format!("{name}\n").as_bytes()).map_err(|e| home::unusable(&path, &e))?;
        Ok(true)
    }

    fn places(&self) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        let usual = state_folders(&Env::of_process()?);
        let folders = usual.and_then(|all| std::fs::read_dir(all).ok()).into_iter().flatten().flatten();
        // A link in there may lead to a folder of another user.
        let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let running = os::arguments_of_all().into_iter().filter_map(|arguments| of_supervisor(&arguments));
        places.extend(running.map(|(home, location)| Place { home: Home::new(home), location }));
        for home in folders.map(|entry| Home::new(entry.path())).chain([self.home.clone()]) {
            let is_own = home == self.home;
            let root = home.project().or_else(|| is_own.then(|| self.config.location().to_owned()));
            places.extend(root.map(|location| Place { home, location }));
        }
        let mut seen = BTreeSet::new();
        let real = |place: &Place| place.home.path().canonicalize().unwrap_or_else(|_| place.home.path().to_owned());
        // The first one of a folder is the supervisor's, which knows the name of its file.
        places.retain(|place| place.home.check_safety().is_ok() && seen.insert(real(place)));
        Ok(places)
    }

    async fn look_at_project(&self, place: &Place) -> MachineProject {
        let supervisor = os::read_lock_holder(&place.home.supervisor_lock());
        let mut project = MachineProject {
            namespace: String::new(),
            folder: place.location.clone(),
            home: place.home.path().to_owned(),
            state: if supervisor.is_some() { "running" } else { "stopped" }.into(),
            pid: supervisor.map(|supervisor| supervisor.pid),
            master: None,
            agents: None,
            tasks: Default::default(),
            needs_person: None,
            is_this: place.home == self.home,
            problem: None,
        };
        let config = match place.config() {
            Ok(config) => config,
            Err(e) if let Some(config) = place.loaded_config().filter(|_| supervisor.is_some()) => {
                project.problem = Some(e.message);
                config
            }
            Err(e) => {
                let name = place.home.path().file_name().unwrap_or_default();
                project.namespace = name.to_string_lossy().into_owned();
                project.problem = Some(e.message);
                return project;
            }
        };
        project.namespace.clone_from(&config.namespace);
        project.master = Some(config.master.session.clone());
        if supervisor.is_none() {
            return project;
        }
        match timeout(ANSWERS, status_of(config)).await {
            Ok(Ok(status)) => {
                project.agents = Some(status.agents.len() as u64);
                let open = |state: &str| state.parse().is_ok_and(|state: TaskState| !state.is_terminal());
                project.tasks = status.tasks.into_iter().filter(|(state, n)| *n > 0 && open(state)).collect();
                project.needs_person = Some(status.attention.len() as u64);
            }
            Ok(Err(e)) => project.problem = Some(e.message),
            Err(_) => project.problem = Some(format!("it has not answered for {} s", ANSWERS.as_secs())),
        }
        project
    }
}

impl Place {
    fn is_running(&self) -> bool {
        os::read_lock_holder(&self.home.supervisor_lock()).is_some()
    }

    /// The configuration as it is written now.
    fn config(&self) -> Result<Config> {
        Config::load_with(&self.env()?, Some(&self.location))
    }

    /// The configuration that its supervisor has loaded.
    fn loaded_config(&self) -> Option<Config> {
        owner::as_loaded_last(&self.env().ok()?, Some(&self.location))
    }

    fn env(&self) -> Result<Env> {
        Ok(Env { config: None, orch_home: Some(self.home.path().to_owned()), ..Env::of_process()? })
    }
}

/// The status of another project, for a person who is no agent of it.
async fn status_of(config: Config) -> Result<super::Status> {
    match Identity::of_process(&config)? {
        Identity::Person => Ops::as_started(config, Caller::person("the command line"))?.status().await,
        Identity::Agent { agent, .. } => Err(Error::failed(format!("this terminal is inside its agent {agent}"))),
    }
}

/// The state folder and the project that a supervisor was started with; `None` for every other process.
fn of_supervisor(arguments: &[String]) -> Option<(PathBuf, PathBuf)> {
    let verb = arguments.iter().position(|word| word == "supervise")?;
    let after = |words: &[String], key: &str| {
        words.iter().position(|word| word == key).and_then(|at| words.get(at + 1)).map(PathBuf::from)
    };
    let (home, location) = (after(&arguments[verb..], "--state")?, after(&arguments[..verb], "--config")?);
    (home.is_absolute() && location.is_absolute()).then_some((home, location))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_by_its_arguments() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |text| of_supervisor(&words(text));
        let found = of("orch --config /p/sessions.toml supervise --daemon --state /s");
        assert_eq!(found, Some(("/s".into(), "/p/sessions.toml".into())));
        for other in [
            "orch --config /p supervise",
            "supervise --state /s",
            "vi supervise",
            "orch --config p supervise --state s",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
