//! The users of the private server, their passwords, and the commands that each may call.
//!
//! A program that reaches the socket can do nothing without a password: Redis's user `default` is off. The passwords are
//! random, and are kept in one file of the server's folder that only this user can read. The server itself is given their
//! SHA-256 hashes, in another file, so that none is in an argument, an environment variable or a log.
//!
//! A runner and a person are limited to the keys of the namespace and to the commands that the transitions and the calls
//! of `store` use. A transition runs with the rights of its caller, so it cannot do more. A test of `store` compares
//! [`COMMANDS`] with what is used.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::places::{cannot, server_dir, socket_path};
use crate::error::{Error, Result};

/// The passwords, in the server's folder.
const PASSWORDS: &str = "passwords.json";

/// The users with their rules and hashes, in the server's folder: read by the server when it starts.
pub(super) const USERS: &str = "users.acl";

/// The largest size of the file of the passwords, which has less than 400 bytes.
const LARGEST: u64 = 4096;

/// The commands that runners and persons may call, in the order of the alphabet.
pub const COMMANDS: &[&str] = &[
    "blpop",
    "del",
    "eval",
    "evalsha",
    "exists",
    "get",
    "hdel",
    "hget",
    "hgetall",
    "hincrby",
    "hkeys",
    "hmget",
    "hset",
    "hsetnx",
    "incr",
    "info",
    "lindex",
    "llen",
    "lpop",
    "lpos",
    "lrange",
    "lrem",
    "lset",
    "ltrim",
    "mget",
    "pexpire",
    "ping",
    "publish",
    "rename",
    "rpush",
    "rpushx",
    "sadd",
    "scan",
    "scard",
    "set",
    "sismember",
    "smembers",
    "srem",
    "subscribe",
    "time",
    "type",
    "xadd",
    "xrange",
    "xread",
    "xrevrange",
    "zadd",
    "zcard",
    "zcount",
    "zincrby",
    "zrange",
    "zrangebylex",
    "zrangebyscore",
    "zrank",
    "zrem",
    "zrevrange",
    "zscan",
    "zscore",
];

/// A user of the private server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// May do everything: it configures the server and ends it.
    Supervisor,
    /// An agent's runner.
    Runner,
    /// A person's call.
    Person,
}

impl User {
    /// Every user.
    pub const ALL: [User; 3] = [User::Supervisor, User::Runner, User::Person];

    /// Returns the name by which the server knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            User::Supervisor => "supervisor",
            User::Runner => "runner",
            User::Person => "person",
        }
    }
}

/// A user's name and password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// A user's rules, as `ACL SETUSER` and the file of users have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRules {
    /// The user.
    pub user: String,
    /// The rules that make it from nothing.
    pub rules: Vec<String>,
}

/// The passwords of all users of one server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    supervisor: String,
    runner: String,
    person: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access(..)")
    }
}

impl Access {
    /// Reads the passwords of the private server of `home` (ORCH_HOME). `None`: there are none, because the server was
    /// never started by a release that sets them.
    ///
    /// # Errors
    /// Configuration: the file belongs to another user, or cannot be read.
    pub fn of_home(home: &Path) -> Result<Option<Access>> {
        Access::read(&server_dir(home))
    }

    /// Returns a user's name and password.
    pub fn login(&self, user: User) -> Login {
        let password = match user {
            User::Supervisor => &self.supervisor,
            User::Runner => &self.runner,
            User::Person => &self.person,
        };
        Login { user: user.as_str().into(), password: password.clone() }
    }

    /// Returns the rules of every user of a server that serves `namespace`, the `default` user included.
    pub fn rules(&self, namespace: &str) -> Vec<UserRules> {
        let all = |user: User| {
            let hash = Sha256::digest(self.login(user).password);
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut rules = vec!["on".to_owned(), format!("#{hash}")];
            match user {
                User::Supervisor => rules.extend(["~*", "&*", "+@all"].map(str::to_owned)),
                User::Runner | User::Person => {
                    let keys = format!("orch:{{{namespace}}}:*");
                    rules.extend([format!("~{keys}"), format!("&{keys}"), "-@all".to_owned()]);
                    rules.extend(COMMANDS.iter().map(|command| format!("+{command}")));
                }
            }
            UserRules { user: user.as_str().into(), rules }
        };
        // Nobody can be `default`: it is off and has no password. But it keeps every right, because Redis replays the
        // transactions of its append-only file as this user, and leaves out, without a word, what it may not do.
        let off = UserRules { user: "default".into(), rules: ["off", "~*", "&*", "+@all"].map(str::to_owned).into() };
        User::ALL.into_iter().map(all).chain([off]).collect()
    }

    /// Reads the passwords in the server's folder; makes them where there are none.
    ///
    /// # Errors
    /// As [`Access::of_home`]; and where they cannot be written.
    pub fn read_or_create(dir: &Path) -> Result<Access> {
        if let Some(access) = Access::read(dir)? {
            return Ok(access);
        }
        let made = Access { supervisor: random(), runner: random(), person: random() };
        if made.write(dir, IfExists::Keep).map_err(|e| cannot("write", &dir.join(PASSWORDS), &e))? {
            return Ok(made);
        }
        // Another process has made them in this moment; or the file is damaged, and no server can have been started by it.
        match Access::read(dir)? {
            Some(access) => Ok(access),
            None => made.put_back(dir).map(|()| made),
        }
    }

    /// Writes the passwords of the private server of `home` again where they were removed or changed. Returns whether
    /// that was necessary.
    ///
    /// # Errors
    /// Configuration: the file cannot be written.
    pub fn keep(&self, home: &Path) -> Result<bool> {
        let dir = server_dir(home);
        if Access::read(&dir)?.as_ref() == Some(self) {
            return Ok(false);
        }
        self.put_back(&dir).map(|()| true)
    }

    /// Writes the file of the passwords into the server's folder, which was made again.
    pub(super) fn write_into(&self, dir: &Path) -> Result<()> {
        self.put_back(dir)
    }

    fn put_back(&self, dir: &Path) -> Result<()> {
        self.write(dir, IfExists::Replace).map(drop).map_err(|e| cannot("write", &dir.join(PASSWORDS), &e))
    }

    fn read(dir: &Path) -> Result<Option<Access>> {
        let path = dir.join(PASSWORDS);
        let open = || fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        let file = match open() {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        let found = file.metadata().map_err(|e| cannot("read", &path, &e))?;
        if !found.is_file() || found.uid() != geteuid().as_raw() {
            return Err(Error::config(format!("{} is not a file of yours", path.display()))
                .hint("remove it; the next orch start makes new passwords"));
        }
        if found.mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(|e| cannot("protect", &path, &e))?;
        }
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).map_err(|e| cannot("read", &path, &e))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Writes the passwords, synced, so that a file by that name is always a whole one. Returns whether they were written.
    fn write(&self, dir: &Path, how: IfExists) -> io::Result<bool> {
        let text = serde_json::to_vec(self)?;
        let temporary = write_temporary(dir, &text)?;
        let path = dir.join(PASSWORDS);
        let written = match how {
            IfExists::Replace => fs::rename(&temporary, &path).map(|()| true),
            IfExists::Keep => match fs::hard_link(&temporary, &path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                linked => linked.map(|()| true),
            },
        };
        let _ = fs::remove_file(&temporary);
        fs::File::open(dir)?.sync_all()?;
        written
    }

    /// Writes the users for a server that is about to be started in `dir`. Call it with the folder's lock held.
    pub(super) fn write_users(&self, dir: &Path, namespace: &str) -> Result<()> {
        let path = dir.join(USERS);
        let text: String = self
            .rules(namespace)
            .iter()
            .map(|UserRules { user, rules }| format!("user {user} reset resetchannels {}\n", rules.join(" ")))
            .collect();
        // As it is already, after the first start: this needs no room on the disk.
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return Ok(());
        }
        let write = || fs::rename(write_temporary(dir, text.as_bytes())?, &path);
        write().map_err(|e| cannot("write", &path, &e))
    }
}

/// Returns a URL that logs in as `user` on the private server of `home` (ORCH_HOME): for tests, which look at what is
/// stored without the store. It contains the password.
///
/// # Errors
/// As [`Access::of_home`] and [`super::socket_path`].
pub fn url_with_password(home: &Path, user: User) -> Result<String> {
    let url = format!("redis+unix://{}", socket_path(home)?.display());
    Ok(match Access::of_home(home)?.map(|access| access.login(user)) {
        Some(Login { user, password }) => format!("{url}?user={user}&pass={password}"),
        None => url,
    })
}

/// What to do where the file exists.
enum IfExists {
    /// Leave it as it is.
    Keep,
    /// Replace it.
    Replace,
}

/// Writes a private, synced file under a name that no other process uses.
fn write_temporary(dir: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let path = dir.join(format!("{}.tmp", Uuid::new_v4().simple()));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(path)
}

/// A password with 244 random bits.
fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passwords_are_made_once_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let made: Vec<Access> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| Access::read_or_create(dir.path()).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(made.iter().all(|access| *access == made[0]), "concurrent starts use the same passwords");
        let path = dir.path().join(PASSWORDS);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Access::read_or_create(dir.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "one that others could read is closed");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_damaged_file_is_replaced_and_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PASSWORDS);
        fs::write(&path, "{").unwrap();
        let made = Access::read_or_create(dir.path()).unwrap();
        assert_eq!(Access::read_or_create(dir.path()).unwrap(), made);
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(Access::read_or_create(dir.path()).is_err());
    }

    #[test]
    fn neither_the_rules_nor_what_is_printed_for_debugging_has_a_password() {
        let access = Access { supervisor: random(), runner: random(), person: random() };
        let shown = format!("{access:?} {:?} {:?}", access.login(User::Person), access.rules("n"));
        for user in User::ALL {
            assert!(!shown.contains(&access.login(user).password));
        }
        assert!(access.login(User::Runner).password.len() >= 64);
    }
}
