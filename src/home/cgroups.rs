//! The cgroups of the agents' processes: a group per home below each group in which a runner was started, and in it
//! one per incarnation.
//!
//! The groups are recorded before they are created, so that a later supervisor finds them, wherever it was started
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
use crate::os::{self, Cgroup};

/// The prefix of every group's name, and how many hex digits follow.
const PREFIX: &str = "orch-";
const HASH: usize = 12;
/// A group that has been empty and unchanged for this long has no living supervisor: its master would be inside.
const ABANDONED: Duration = Duration::from_secs(3600);

impl Home {
    /// Returns a runner's cgroup, below the group of this process, and records it; it need not exist yet. `None` where
    /// this process may not create groups.
    ///
    /// # Errors
    /// Fails when it cannot be recorded.
    pub fn cgroup(&self, incarnation: &str) -> io::Result<Option<Cgroup>> {
        let Some(group) = Cgroup::below_own(&self.cgroup_name()) else { return Ok(None) };
        if !self.cgroups().contains(&group) {
            let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(self.cgroups_file())?;
            // In one write: runners start concurrently. A repeated line does no harm.
            file.write_all(format!("{}\n", group.path().display()).as_bytes())?;
        }
        Ok(Some(group.child(incarnation)))
    }

    /// Returns the recorded groups; they may be gone. A line counts only if the group's name is the one that this folder
    /// gives: the file may have been copied with the folder, or written by an agent.
    pub fn cgroups(&self) -> Vec<Cgroup> {
        let names = [self.cgroup_name(), name_of(self.path().as_os_str().as_encoded_bytes())];
        let is_ours = |group: &Cgroup| {
            let name = group.path().file_name().and_then(|name| name.to_str());
            group.is_in_hierarchy() && name.is_some_and(|name| names.iter().any(|ours| ours == name))
        };
        self.lines().into_iter().filter(is_ours).collect()
    }

    /// Returns the existing cgroups of one incarnation by all lines, for their counters alone: nothing is ended by them.
    pub fn counters_of(&self, incarnation: &str) -> Vec<Cgroup> {
        self.lines().iter().map(|group| group.child(incarnation)).filter(Cgroup::exists).collect()
    }

    fn lines(&self) -> Vec<Cgroup> {
        let text = fs::read_to_string(self.cgroups_file()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with('/')).map(Cgroup::at).collect()
    }

    /// Returns the name of this folder's groups: by its id, which a copy does not keep, and not by the namespace, which two
    /// folders may share.
    fn cgroup_name(&self) -> String {
        match self.id() {
            // Before the first start, and in a folder of an earlier release.
            id if id.is_empty() => name_of(self.path().as_os_str().as_encoded_bytes()),
            id => name_of(id.as_bytes()),
        }
    }

    /// Returns the existing cgroups of one incarnation.
    pub fn cgroups_of(&self, incarnation: &str) -> Vec<Cgroup> {
        let all = self.cgroups().into_iter().map(|group| group.child(incarnation));
        all.filter(Cgroup::exists).collect()
    }

    /// Returns the incarnation in whose cgroup this process is, if it is in one of this folder.
    pub fn incarnation_of_own_cgroup(&self) -> Option<String> {
        let own = os::own_group()?;
        let below =
            self.cgroups().iter().find_map(|group| own.strip_prefix(group.path()).ok().map(ToOwned::to_owned))?;
        Some(below.components().next()?.as_os_str().to_str()?.to_owned())
    }

    /// Forgets all recorded groups.
    pub fn forget_cgroups(&self) {
        let _ = fs::remove_file(self.cgroups_file());
    }

    /// Returns groups of homes that no longer exist, below the group of this process, that have been empty for long.
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

fn name_of(what: &[u8]) -> String {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, what).simple().to_string();
    format!("{PREFIX}{}", &hash[..HASH])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_this_folders_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let own = home.cgroup_name();
        let strangers = ["/sys/fs/cgroup/user.slice", "/sys/fs/cgroup", "/sys/fs/cgroup/orch-0123456789ab", "/"];
        let outside = [format!("/tmp/{own}"), format!("/sys/fs/cgroup/../../../tmp/{own}"), own.clone()];
        let mut lines: Vec<String> = strangers.iter().map(|line| (*line).to_owned()).chain(outside).collect();
        lines.push(format!("/sys/fs/cgroup/a/{own}"));
        fs::write(home.cgroups_file(), lines.join("\n")).unwrap();
        assert_eq!(home.cgroups(), [Cgroup::at(format!("/sys/fs/cgroup/a/{own}"))]);
    }
}
