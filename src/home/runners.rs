//! The registry of runners: which process runs which agent, without Redis and without the supervisor.
//!
//! Each runner creates an empty file in `runners/` before it starts any program. The file's name holds everything,
//! `PID-STARTTIME.INCARNATION.AGENT`, so that one listing of the folder is enough. An entry counts only while exactly
//! that process is alive.

use std::{fs, io, path::PathBuf};

use super::Home;
use crate::{os::ProcessId, redis_server::agent_socket};

/// The environment variable by which an agent's processes are found wherever they went: its incarnation. It is no secret.
pub const MARKER: &str = "ORCH_INCARNATION";

/// Returns the entry of the environment that marks the processes of an incarnation.
pub fn marker(incarnation: &str) -> String {
    format!("{MARKER}={incarnation}")
}

/// A registered runner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runner {
    /// The agent's name.
    pub agent: String,
    /// The agent's incarnation.
    pub incarnation: String,
    /// The runner's own process.
    pub process: ProcessId,
}

/// The entry of this process; removed when dropped.
#[derive(Debug)]
pub struct Registered {
    path: PathBuf,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // The supervisor removes the entries of processes that are gone.
        let _ = fs::remove_file(&self.path);
    }
}

impl Runner {
    fn file_name(&self) -> String {
        let ProcessId { pid, start_time } = self.process;
        format!("{pid}-{start_time}.{}.{}", self.incarnation, self.agent)
    }

    fn parse(name: &str) -> Option<Runner> {
        let (process, rest) = name.split_once('.')?;
        // The agent's name contains no period.
        let (incarnation, agent) = rest.rsplit_once('.')?;
        let (pid, start_time) = process.split_once('-')?;
        let process = ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? };
        Some(Runner { agent: agent.to_owned(), incarnation: incarnation.to_owned(), process })
    }
}

impl Home {
    /// Returns the folder of the registry of runners.
    pub fn runners(&self) -> PathBuf {
        self.path().join("runners")
    }

    /// Registers this process as the runner of an agent.
    ///
    /// # Errors
    /// Fails when the entry cannot be created.
    pub fn register_runner(&self, agent: &str, incarnation: &str) -> io::Result<Registered> {
        let (agent, incarnation) = (agent.to_owned(), incarnation.to_owned());
        let runner = Runner { agent, incarnation, process: ProcessId::current() };
        super::create_dir(&self.runners())?;
        let path = self.runners().join(runner.file_name());
        super::write_new(&path, b"")?;
        Ok(Registered { path })
    }

    /// Returns the registered runners that are alive.
    ///
    /// # Errors
    /// Fails when the registry exists and cannot be listed: that says nothing about which runners are alive.
    pub fn living_runners(&self) -> io::Result<Vec<Runner>> {
        let mut runners = self.registered_runners()?;
        runners.retain(|runner| runner.process.is_alive());
        Ok(runners)
    }

    /// Returns the registered runners that are alive, and those that are gone, and may have left processes.
    ///
    /// # Errors
    /// As [`Home::living_runners`].
    pub fn runners_by_life(&self) -> io::Result<(Vec<Runner>, Vec<Runner>)> {
        Ok(self.registered_runners()?.into_iter().partition(|runner| runner.process.is_alive()))
    }

    /// Removes the entries and sockets of runners that are gone, except those of incarnations that are still `needed`: by its
    /// entry, an emergency stop finds what a dead runner has left behind.
    pub fn remove_ended_runners(&self, needed: impl Fn(&str) -> bool) {
        for runner in self.registered_runners().unwrap_or_default() {
            if !needed(&runner.incarnation) && !runner.process.is_alive() {
                // One that was killed has left its socket.
                let _ = agent_socket(self.path(), &runner.incarnation).map(fs::remove_file);
                let _ = fs::remove_file(self.runners().join(runner.file_name()));
            }
        }
    }

    /// Returns all entries, also of runners that are gone.
    pub(super) fn registered_runners(&self) -> io::Result<Vec<Runner>> {
        let entries = match fs::read_dir(self.runners()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| Runner::parse(name.to_str()?)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_is_listed_while_its_process_lives_and_is_registered() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        assert_eq!(home.living_runners().unwrap(), [], "no registry yet");
        let registered = home.register_runner("sonnet-1", "0123abcd").unwrap();
        let own =
            Runner { agent: "sonnet-1".to_owned(), incarnation: "0123abcd".to_owned(), process: ProcessId::current() };
        assert_eq!(home.living_runners().unwrap(), [own]);
        drop(registered);
        assert_eq!(home.living_runners().unwrap(), []);
        assert_eq!(fs::read_dir(home.runners()).unwrap().count(), 0);
    }

    #[test]
    fn entries_of_ended_processes_are_not_listed_and_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let _registered = home.register_runner("sonnet-1", "0123abcd").unwrap();
        // The same pid with another start time: an earlier process.
        let earlier = home.runners().join(format!("{}-1.old.opus-1", std::process::id()));
        let unrelated = home.runners().join("notes.txt");
        for path in [&earlier, &unrelated] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(home.living_runners().unwrap().len(), 1);
        home.remove_ended_runners(|incarnation| incarnation == "old");
        assert!(earlier.exists(), "its processes may still be there");
        let sockets = ["old", "0123abcd"].map(|incarnation| agent_socket(dir.path(), incarnation).unwrap());
        fs::create_dir_all(sockets[0].parent().unwrap()).unwrap();
        sockets.iter().for_each(|socket| fs::write(socket, "").unwrap());
        home.remove_ended_runners(|_| false);
        assert!(!earlier.exists() && unrelated.exists());
        assert_eq!(sockets.map(|socket| socket.exists()), [false, true], "that of the living one stays");
        assert_eq!(home.living_runners().unwrap().len(), 1);
    }

    #[test]
    fn a_registry_that_cannot_be_listed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        fs::write(home.runners(), "not a folder").unwrap();
        assert!(home.living_runners().is_err());
    }

    #[test]
    fn every_name_is_read_as_it_was_written() {
        for (agent, incarnation) in [("a", "i"), ("opus-master", "0.1.2"), ("r-12", &"f".repeat(64))] {
            let process = ProcessId { pid: 4_194_304, start_time: u64::MAX };
            let runner = Runner { agent: agent.to_owned(), incarnation: incarnation.to_owned(), process };
            assert_eq!(Runner::parse(&runner.file_name()), Some(runner));
        }
        for other in ["", ".", "1-2", "1-2.", "1-2.i", "x-2.i.a", "1.i.a", "-1-2.i.a"] {
            assert_eq!(Runner::parse(other), None, "{other}");
        }
    }
}
