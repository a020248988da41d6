//! Who this process is, to the project that it asks: a person, or part of an agent.
//!
//! A process belongs to an agent if the agent's runner is above it, or if it is in the agent's cgroup; what its environment
//! says proves nothing. Only the agents of the same state folder count: an orch that is used inside an agent of another
//! project has persons of its own.

use std::path::{Path, PathBuf};

use super::{Caller, Person, socket};
use crate::{
    config::Config,
    error::Result,
    home::{self, Home},
    os::{self, ProcessId},
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
        let home = Home::new(&config.home);
        // Where the registry can't be read, nobody is taken for a person by that.
        let runners = home.living_runners().map_err(|e| home::unusable(&home.runners(), &e))?;
        if runners.is_empty() {
            return Ok(Identity::Person);
        }
        let above = os::ancestors(std::process::id());
        let by_tree = runners.iter().find(|runner| above.contains(&runner.process));
        let found = by_tree.or_else(|| {
            let incarnation = home.incarnation_of_own_cgroup()?;
            runners.iter().find(|runner| runner.incarnation == incarnation)
        });
        Ok(match found {
            Some(runner) => Identity::Agent {
                agent: runner.agent.clone(),
                socket: agent_socket(&config.home, &runner.incarnation)?,
            },
            None => Identity::Person,
        })
    }
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
