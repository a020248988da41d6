//! Where the agents' processes are cgroup: a group for each home in each place where a runner found itself, and in it
//! one for each incarnation.
//!
//! The groups are written down before they are made. By this a later supervisor finds them, wherever it was started
//! itself.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::Duration,
};

use uuid::Uuid;

use super::Home;
use crate::os::Cgroup;

/// How the name of every group begins, and how many digits follow.
const PREFIX: &str = "orch-";
const HASH: usize = 12;
/// A group in which nobody is and nothing has changed for this long has no living supervisor: its master would be inside.
const ABANDONED: Duration = Duration::from_secs(3600);

impl Home {
    /// A runner's cgroup, below the group in which this process is, and written down; it need not exist yet. `None`
    /// where this process may not make one.
    ///
    /// # Errors
    /// What the system says.
    pub fn cgroup(&self, incarnation: &str) -> io::Result<Option<Cgroup>> {
        // The folder's path and not the namespace: two homes may have the same.
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.path().as_os_str().as_encoded_bytes());
        let Some(group) = Cgroup::below_own(&format!("{PREFIX}{}", &hash.simple().to_string()[..HASH])) else {
            return Ok(None);
        };
        if !self.cgroups().contains(&group) {
            let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(self.cgroups_file())?;
            // In one write: runners start at the same time. The same line twice does no harm.
            file.write_all(format!("{}\n", group.path().display()).as_bytes())?;
        }
        Ok(Some(group.child(incarnation)))
    }

    /// The groups in which cgroups were made; they may be gone.
    pub fn cgroups(&self) -> Vec<Cgroup> {
        let text = fs::read_to_string(self.cgroups_file()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('/')).map(Cgroup::at).collect()
    }

    /// The cgroups of one incarnation that are there.
    pub fn cgroups_of(&self, incarnation: &str) -> Vec<Cgroup> {
        let all = self.cgroups().into_iter().map(|group| group.child(incarnation));
        all.filter(Cgroup::exists).collect()
    }

    /// Nothing is cgroup any more.
    pub fn forget_cgroups(&self) {
        let _ = fs::remove_file(self.cgroups_file());
    }

    /// Groups of homes that are not there any more, in the place where this process is: nobody has been inside for long.
    pub fn abandoned_cgroups() -> Vec<Cgroup> {
        let own = Cgroup::below_own(PREFIX);
        let Some(place) = own.as_ref().and_then(|group| group.path().parent()) else { return Vec::new() };
        let is_group = |cgroup: &Cgroup| {
            let name = cgroup.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_hash = |hash: &str| hash.len() == HASH && hash.bytes().all(|b| b.is_ascii_hexdigit());
            name.strip_prefix(PREFIX).is_some_and(is_hash)
        };
        let is_old = |cgroup: &Cgroup| {
            let changed = fs::metadata(cgroup.path()).and_then(|meta| meta.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
        };
        let is_empty = |cgroup: &Cgroup| cgroup.members().is_ok_and(|members| members.is_empty());
        let all = Cgroup::at(place).children().into_iter();
        all.filter(|cgroup| is_group(cgroup) && is_old(cgroup) && is_empty(cgroup)).collect()
    }

    fn cgroups_file(&self) -> PathBuf {
        self.path().join("cgroups")
    }
}
