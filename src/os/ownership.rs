//! Which other users can change a file or folder.

use std::{fmt, fs::Metadata, os::unix::fs::MetadataExt};

use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// Why a file or folder is not safe from other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// It belongs to this user, who is neither we nor root.
    Owner(u32),
    /// Its group may write to it; its mode.
    Group(u32),
    /// Everyone may write to it; its mode.
    Everyone(u32),
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exposure::Owner(uid) => write!(f, "belongs to {}, and you are {}", user(*uid), user(geteuid().as_raw())),
            Exposure::Group(mode) => write!(f, "can be changed by its group (mode {mode:04o})"),
            Exposure::Everyone(mode) => write!(f, "can be changed by every user (mode {mode:04o})"),
        }
    }
}

/// Returns why users other than this one and root could change what `metadata` describes, or, for a folder, replace
/// what is in it. In a folder with the sticky bit (`/tmp`) others cannot replace what is not theirs. A group that has no
/// other member than the owner is the owner.
pub fn exposure(metadata: &Metadata) -> Option<Exposure> {
    let (uid, mode) = (metadata.uid(), metadata.mode());
    let is_sticky = metadata.is_dir() && mode & 0o1000 != 0;
    if uid != geteuid().as_raw() && uid != 0 {
        return Some(Exposure::Owner(uid));
    }
    if mode & 0o002 != 0 && !is_sticky {
        return Some(Exposure::Everyone(mode & 0o7777));
    }
    if mode & 0o020 != 0 && !is_sticky && !is_private_group(metadata.gid(), uid) {
        return Some(Exposure::Group(mode & 0o7777));
    }
    None
}

/// Whether no other user is in the group, as where each user has a group of its own name and umask 002.
fn is_private_group(gid: u32, owner: u32) -> bool {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(owner)) else { return false };
    let Ok(Some(group)) = Group::from_gid(Gid::from_raw(gid)) else { return false };
    let is_own = gid == 0 || (user.gid.as_raw() == gid && group.name == user.name);
    is_own && group.mem.iter().all(|member| *member == user.name || member == "root")
}

/// A user by name and number.
pub fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::*;

    fn at(path: &Path, mode: u32) -> Option<Exposure> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        exposure(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_file_that_others_may_write_is_exposed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for (mode, expected) in [
            (0o600, None),
            (0o644, None),
            (0o755, None),
            (0o646, Some(Exposure::Everyone(0o646))),
            (0o1646, Some(Exposure::Everyone(0o1646))),
            (0o666, Some(Exposure::Everyone(0o666))),
        ] {
            assert_eq!(at(&file, mode), expected, "{mode:o}");
        }
        assert_eq!(at(dir.path(), 0o777), Some(Exposure::Everyone(0o777)));
        assert_eq!(at(dir.path(), 0o1777), None, "the sticky bit protects what is in it");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn another_owner_and_a_shared_group_are_exposed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        // Only root can give files away.
        if std::os::unix::fs::chown(&file, Some(12_345), Some(12_345)).is_err() {
            return eprintln!("skipped: giving a file away takes root");
        }
        assert_eq!(at(&file, 0o600), Some(Exposure::Owner(12_345)));
        std::os::unix::fs::chown(&file, Some(0), Some(12_345)).unwrap();
        assert_eq!(at(&file, 0o664), Some(Exposure::Group(0o664)));
        assert_eq!(at(&file, 0o644), None);
    }
}
