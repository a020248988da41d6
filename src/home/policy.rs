//! The configuration that the supervisor has loaded, for its runners: it decides what their programs may do, and an
//! agent that was started with an earlier one ends when it is idle.
//!
//! It contains no secret. It is replaced as a whole, so a reader finds either the old or the new one.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Home, unusable, write_atomically};
use crate::{
    config::Config,
    error::{Error, Result},
};

/// Bytes of the first line, at most.
const LONGEST_LINE: u64 = 256;

/// What the file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Equal for two configurations with which agents are started in the same way.
    pub agents: String,
    /// The configuration.
    pub config: Config,
}

/// Watches the file for changes, at the cost of one call.
#[derive(Debug)]
pub struct PolicyWatch {
    path: PathBuf,
    seen: Option<(u64, i64, i64)>,
}

impl Home {
    /// Returns the file of the loaded configuration: a line with [`Policy::agents`], then JSON.
    pub fn policy_file(&self) -> PathBuf {
        self.path().join("policy")
    }

    /// Reads the configuration that the supervisor has loaded last.
    pub fn policy(&self) -> Option<Policy> {
        let text = fs::read_to_string(self.policy_file()).ok()?;
        let (agents, json) = text.split_once('\n')?;
        Some(Policy { agents: agents.to_owned(), config: serde_json::from_str(json).ok()? })
    }

    /// Records the configuration that the supervisor has loaded.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_policy(&self, policy: &Policy) -> Result<()> {
        let json = serde_json::to_string(&policy.config).map_err(|e| Error::internal(e.to_string()))?;
        let path = self.policy_file();
        write_atomically(&path, format!("{}\n{json}", policy.agents).as_bytes()).map_err(|e| unusable(&path, &e))
    }
}

impl PolicyWatch {
    /// Watches the file of a state folder; what is there now counts as new.
    pub fn new(home: &Path) -> Self {
        PolicyWatch { seen: None, path: Home::new(home).policy_file() }
    }

    /// Returns whether the file was replaced since the last call.
    pub fn has_changed(&mut self) -> bool {
        let now = fs::metadata(&self.path).ok().map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
        std::mem::replace(&mut self.seen, now) != now && now.is_some()
    }

    /// Returns [`Policy::agents`] of a file that was replaced since the last call.
    pub fn new_agents(&mut self) -> Option<String> {
        if !self.has_changed() {
            return None;
        }
        let mut line = String::new();
        BufReader::new(File::open(&self.path).ok()?).take(LONGEST_LINE).read_line(&mut line).ok()?;
        line.strip_suffix('\n').map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn a_policy_is_read_as_it_was_written_and_its_replacement_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let mut watch = PolicyWatch::new(dir.path());
        assert_eq!((watch.new_agents(), home.policy()), (None, None));
        let env = Env { cwd: dir.path().into(), state_home: Some(dir.path().into()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        for agents in ["one", "two"] {
            let policy = Policy { agents: agents.into(), config: config.clone() };
            home.write_policy(&policy).unwrap();
            assert_eq!(home.policy(), Some(policy));
            assert_eq!(watch.new_agents().as_deref(), Some(agents));
            assert_eq!(watch.new_agents(), None);
        }
    }
}
