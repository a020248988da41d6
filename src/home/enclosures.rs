//! Where the agents' processes are enclosed: a group for each home in each place where a runner found itself, and in it
//! one for each incarnation.
//!
//! The groups are written down before they are made. By this a later supervisor finds them, wherever it was started
//! itself.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use uuid::Uuid;

use super::Home;
use crate::os::Enclosure;

impl Home {
    /// A runner's enclosure, below the group in which this process is, and written down; it need not exist yet. `None`
    /// where this process may not make one.
    ///
    /// # Errors
    /// What the system says.
    pub fn enclosure(&self, incarnation: &str) -> io::Result<Option<Enclosure>> {
        // The folder's path and not the namespace: two homes may have the same.
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.path().as_os_str().as_encoded_bytes());
        let Some(group) = Enclosure::below_own(&format!("orch-{}", &hash.simple().to_string()[..12])) else {
            return Ok(None);
        };
        if !self.enclosure_groups().contains(&group) {
            let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(self.enclosures_file())?;
            // In one write: runners start at the same time. The same line twice does no harm.
            file.write_all(format!("{}\n", group.path().display()).as_bytes())?;
        }
        Ok(Some(group.child(incarnation)))
    }

    /// The groups in which enclosures were made; they may be gone.
    pub fn enclosure_groups(&self) -> Vec<Enclosure> {
        let text = fs::read_to_string(self.enclosures_file()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('/')).map(Enclosure::at).collect()
    }

    /// The enclosures of one incarnation that are there.
    pub fn enclosures_of(&self, incarnation: &str) -> Vec<Enclosure> {
        let all = self.enclosure_groups().into_iter().map(|group| group.child(incarnation));
        all.filter(Enclosure::exists).collect()
    }

    /// Nothing is enclosed any more.
    pub fn forget_enclosures(&self) {
        let _ = fs::remove_file(self.enclosures_file());
    }

    fn enclosures_file(&self) -> PathBuf {
        self.path().join("enclosures")
    }
}
