//! Where the private server keeps its files, and where its socket is.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{sys::statvfs::statvfs, unistd::geteuid};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::socket,
};

/// The server's folder in `home`.
pub(super) fn server_dir(home: &Path) -> PathBuf {
    home.join("redis")
}

/// The socket of the private server of `home` (ORCH_HOME).
///
/// `home/redis/redis.sock` where that is short enough for a socket, else `/tmp/orch-UID-HASH/redis.sock`. It depends
/// on `home`, on our user id and on nothing else, so that every process finds the same. (Not on `XDG_RUNTIME_DIR`: an
/// agent, a cron job and a login shell see different ones, and it vanishes at logout while agents run on. systemd's
/// cleaning of `/tmp` spares sockets that are listened on.)
///
/// # Errors
/// Configuration, if the short folder exists and is not ours: someone else could pose as our server.
pub fn socket_path(home: &Path) -> Result<PathBuf> {
    let home = resolved(home).map_err(|e| cannot("resolve", home, &e))?;
    let socket = server_dir(&home).join("redis.sock");
    if socket.as_os_str().len() <= socket::LONGEST_PATH {
        return Ok(socket);
    }
    Ok(short_place(&home)?.join("redis.sock"))
}

/// The socket on which the runner of `incarnation` serves its agent's programs: `home/sockets/INCARNATION.sock` where that is
/// short enough, else beside the short socket of the private server.
///
/// # Errors
/// As [`socket_path`].
pub fn agent_socket(home: &Path, incarnation: &str) -> Result<PathBuf> {
    let (name, resolved) = (format!("{incarnation}.sock"), resolved(home).map_err(|e| cannot("resolve", home, &e))?);
    let socket = resolved.join("sockets").join(&name);
    if socket.as_os_str().len() <= socket::LONGEST_PATH {
        return Ok(socket);
    }
    Ok(short_place(&resolved)?.join(name))
}

/// The folder for sockets of a `home` whose own path is too long for them.
fn short_place(home: &Path) -> Result<PathBuf> {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, home.as_os_str().as_bytes()).simple().to_string();
    let folder = PathBuf::from(format!("/tmp/orch-{}-{}", geteuid(), &hash[..16]));
    match fs::symlink_metadata(&folder) {
        Ok(found) => check_short_folder(&folder, &found)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(cannot("read", &folder, &e)),
    }
    Ok(folder)
}

/// `path` without symbolic links, as far as it exists: the same before and after its last folders are made.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(path)
}

/// Makes the server's folder if it is missing, and sees to it that it is ours alone (0700).
pub(super) fn prepare_dir(dir: &Path) -> Result<()> {
    private_dir_builder().recursive(true).create(dir).map_err(|e| cannot("make", dir, &e))?;
    let found = fs::metadata(dir).map_err(|e| cannot("read", dir, &e))?;
    if found.uid() != geteuid().as_raw() {
        return Err(Error::config(format!("{} belongs to user {}, not to you", dir.display(), found.uid()))
            .hint("set ORCH_HOME to a folder of your own"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|e| cannot("protect", dir, &e))?;
    }
    Ok(())
}

/// Makes the server's folder if it is missing, in a folder that exists.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    match private_dir_builder().create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(cannot("make", dir, &e)),
        _ => Ok(()),
    }
}

/// Makes the socket's own folder, where it is not the server's. Call it with the folder's lock held.
pub(super) fn prepare_socket_folder(dir: &Path, socket: &Path) -> Result<()> {
    let Some(folder) = short_folder(dir, socket) else {
        return Ok(());
    };
    match private_dir_builder().create(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(folder).map_err(|e| cannot("read", folder, &e))?;
            check_short_folder(folder, &found)
        }
        Err(e) => Err(cannot("make", folder, &e)),
    }
}

/// Removes the socket, and its own folder where it has one. Call it with the folder's lock held, and no server alive.
pub(super) fn remove_socket(dir: &Path, socket: &Path) -> Result<()> {
    match fs::remove_file(socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot("remove", socket, &e)),
        _ => {}
    }
    if let Some(folder) = short_folder(dir, socket) {
        // Something that is not ours may lie in there by now: then it stays, and harms nothing.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn short_folder<'a>(dir: &Path, socket: &'a Path) -> Option<&'a Path> {
    let named_by_us = |folder: &&Path| {
        folder.strip_prefix("/tmp").is_ok_and(|name| name.as_os_str().as_bytes().starts_with(b"orch-"))
    };
    socket.parent().filter(|folder| *folder != dir).filter(named_by_us)
}

/// `/tmp` is everyone's: a folder or link that another user laid there first must not become the way to our tasks.
fn check_short_folder(folder: &Path, found: &fs::Metadata) -> Result<()> {
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::config(format!(
        "{} is not a folder that only you can open: it is not safe for a socket",
        folder.display()
    ))
    .hint(format!("remove it, or set ORCH_HOME to a path of at most {} bytes", socket::LONGEST_PATH - 17)))
}

fn private_dir_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Whether the disk that holds `dir` has no room left for us. A file system that does not report it has room.
pub(super) fn disk_is_full(dir: &Path) -> bool {
    let Ok(disk) = statvfs(dir) else { return false };
    let free = if geteuid().is_root() { disk.blocks_free() } else { disk.blocks_available() };
    disk.blocks() > 0 && free == 0
}

/// The error for a full disk under `dir`.
pub(super) fn full_disk(dir: &Path) -> Error {
    Error::config(format!("the disk that holds {} is full; nothing that was accepted is lost", dir.display()))
        .hint(format!("make room, then start again (df -h {})", quoted(dir)))
}

/// The error for a file or folder of ours that could not be opened, made or changed.
pub(super) fn cannot(verb: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {verb} {}: {error}", path.display());
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk, then start again",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file is in the way: move it, or set ORCH_HOME"
        }
        _ => "set ORCH_HOME to a folder that you can write to",
    };
    Error::config(message).hint(hint)
}

/// `path` as a word for a shell, to be copied from a message.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_short_home_keeps_its_socket_inside() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap();
        assert_eq!(socket_path(home.path()).unwrap(), real.join("redis/redis.sock"));
    }

    #[test]
    fn the_socket_is_the_same_before_the_home_exists_and_through_a_link() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(120));
        let before = socket_path(&long).unwrap();
        fs::create_dir(&long).unwrap();
        let link = base.path().join("link");
        symlink(&long, &link).unwrap();
        assert_eq!((socket_path(&long).unwrap(), socket_path(&link).unwrap()), (before.clone(), before.clone()));
        assert!(before.starts_with("/tmp") && before.as_os_str().len() <= socket::LONGEST_PATH);
    }

    #[test]
    fn a_link_or_an_open_folder_in_place_of_the_short_folder_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(120));
        let socket = socket_path(&long).unwrap();
        let folder = socket.parent().unwrap();
        symlink(base.path(), folder).unwrap();
        let linked = socket_path(&long);
        let made = prepare_socket_folder(&server_dir(&long), &socket);
        fs::remove_file(folder).unwrap();
        assert!(linked.unwrap_err().message.contains("not safe") && made.is_err());

        fs::create_dir(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let open = socket_path(&long);
        fs::remove_dir(folder).unwrap();
        assert!(open.is_err());
    }

    #[test]
    fn the_folder_becomes_private() {
        let home = tempfile::tempdir().unwrap();
        let dir = server_dir(&home.path().join("new"));
        prepare_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        prepare_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("redis"), "").unwrap();
        let error = prepare_dir(&server_dir(home.path())).unwrap_err();
        assert!(error.message.contains("redis") && error.hint.unwrap().contains("in the way"), "{}", error.message);
    }

    #[test]
    fn paths_in_hints_can_be_copied_into_a_shell() {
        assert_eq!(quoted(Path::new("/a/b-1.c")), "/a/b-1.c");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
