//! Identifies this process to the project that it calls: as a person's, or as part of an agent.
//!
//! A process belongs to an agent if the agent's runner is above it, or if it is in the agent's cgroup; its environment
//! proves nothing. Only the agents of the same state folder count: in an agent of another project, the caller of this
//! project's orch can be a person.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Caller, Person, socket};
use crate::{
    config::{Config, Owner},
    error::{Error, Result},
    home::{self, Home, Runner, marker},
    os::{self, LockOwner, ProcessId},
    redis_server::agent_socket,
};

/// Who this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A person's process.
    Person,
    /// Part of an agent, whose runner listens here.
    Agent {
        /// The agent's name, for sentences.
        agent: String,
        /// The runner's socket.
        socket: PathBuf,
    },
}

impl Identity {
    /// Reads the socket from the environment: an agent's programs have it, and connecting to it says the rest.
    pub fn by_socket() -> Option<Identity> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let agent = set("ORCH_AGENT").map_or_else(|| "?".to_owned(), |agent| agent.to_string_lossy().into_owned());
        Some(Identity::Agent { agent, socket: set(socket::VARIABLE)?.into() })
    }

    /// Looks at where this process stands: below a living runner of this project, or in the cgroup of one of its agents.
    ///
    /// # Errors
    /// Configuration: the folder of an agent's socket is not safe.
    pub fn of_process(config: &Config) -> Result<Identity> {
        let above = os::ancestors(std::process::id());
        if let Some(agent) = elsewhere(config, &above)? {
            return Ok(agent);
        }
        let home = Home::new(&config.home);
        // If the registry can't be read, no process counts as a person's because of that.
        let unreadable = |e: io::Error| home::unusable(&home.runners(), &e);
        let (living, ended) = home.runners_by_life().map_err(unreadable)?;
        if living.is_empty() && ended.is_empty() {
            // The supervisor makes it before anything else, so it was moved away.
            if !home.runners().is_dir() && home.supervisor() != LockOwner::Nobody {
                return Err(unreadable(io::ErrorKind::NotFound.into()));
            }
            return Ok(Identity::Person);
        }
        let by_cgroup = home.incarnation_of_own_cgroup();
        let is_it =
            |runner: &&Runner| above.contains(&runner.process) || by_cgroup.as_ref() == Some(&runner.incarnation);
        if let Some(runner) = living.iter().find(is_it) {
            let socket = agent_socket(&config.home, &runner.incarnation)?;
            return Ok(Identity::Agent { agent: runner.agent.clone(), socket });
        }
        // What an agent has left behind is no person, although its runner is gone.
        let marked = |pid: u32| ended.iter().find(|runner| os::has_entry(pid, &marker(&runner.incarnation)));
        let own = std::process::id();
        let left = std::iter::once(own).chain(above.iter().map(|process| process.pid)).find_map(marked);
        match (left, by_cgroup) {
            (None, None) => Ok(Identity::Person),
            (left, _) => {
                let owner = left.map_or_else(|| "an agent".to_owned(), |runner| format!("agent {}", runner.agent));
                Err(Error::failed(format!("this process was started by {owner}, which has ended"))
                    .hint("use a terminal outside of orch's agents"))
            }
        }
    }
}

/// Returns the agent of this project that the process belongs to, where the project's state folder is another one than that
/// of the configuration: an agent that forgets ORCH_HOME is not a person because of that.
fn elsewhere(config: &Config, above: &[ProcessId]) -> Result<Option<Identity>> {
    for process in above {
        let Some(home) = home_of_runner(&os::arguments_of(process)).filter(|home| *home != config.home) else {
            continue;
        };
        let is_same_project =
            Owner::read(&home).is_some_and(|owner| owner.project == config.root || owner.is_of(&config.root));
        let runners = Home::new(&home).living_runners().unwrap_or_default();
        if let Some(runner) = runners.into_iter().find(|runner| is_same_project && runner.process == *process) {
            let socket = agent_socket(&home, &runner.incarnation)?;
            return Ok(Some(Identity::Agent { agent: runner.agent, socket }));
        }
    }
    Ok(None)
}

/// Returns the state folder that a runner was started for: that of its launch file.
fn home_of_runner(arguments: &[String]) -> Option<PathBuf> {
    let verb = arguments.iter().position(|word| word == "run-agent")?;
    Some(Path::new(arguments.get(verb + 1)?).parent()?.parent()?.to_owned())
}

impl Caller {
    /// The person of this process.
    pub fn person(surface: &'static str) -> Caller {
        Caller::Person(Person { surface, pid: std::process::id(), tty: tty() })
    }

    /// The person whose process this is.
    pub fn person_of(process: &ProcessId, surface: &'static str) -> Caller {
        let tty = link(Path::new(&format!("/proc/{}/fd/0", process.pid)));
        Caller::Person(Person { surface, pid: process.pid, tty })
    }
}

/// The terminal of this process, if one of its standard streams is on one.
fn tty() -> Option<String> {
    (0..3).find_map(|fd| link(Path::new(&format!("/proc/self/fd/{fd}"))))
}

fn link(fd: &Path) -> Option<String> {
    let target = std::fs::read_link(fd).ok()?.into_os_string().into_string().ok()?;
    (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty")).then_some(target)
}
