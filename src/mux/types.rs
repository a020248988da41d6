//! The types of the interface: sessions as requested, as opened, as listed.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use super::{MuxError, Result};

/// The oldest tmux that has all we use (client flags, `-e`, `-N`).
const OLDEST: (u32, u32) = (3, 2);

/// The owner of a session, stored as user options of the session; each part is 1 to 200 characters of
/// `A-Z a-z 0-9 . _ / @ + = -`, so that no part means anything to tmux's formats.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tags {
    /// The project, as [`Tags::world`] names it.
    pub namespace: String,
    /// The agent's id.
    pub agent: String,
    /// Identifies the run of that agent.
    pub incarnation: String,
}

impl Tags {
    /// Returns the tag of a namespace: its name and a hash of its state folder, because two projects of the same name may
    /// share a tmux server. If the folder exists, its real path is hashed, so that links do not matter.
    pub fn world(namespace: &str, home: &Path) -> String {
        const HASH: usize = 8;
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, &[b"file://", home.as_os_str().as_bytes()].concat());
        format!("{namespace}@{}", &hash.simple().to_string()[..HASH])
    }

    /// Returns the namespace's name without the hash.
    pub fn name_of_world(&self) -> &str {
        self.namespace.rsplit_once('@').map_or(&self.namespace, |(name, _)| name)
    }

    pub(super) fn check(&self) -> Result<()> {
        for (what, value) in
            [("namespace", &self.namespace), ("agent", &self.agent), ("incarnation", &self.incarnation)]
        {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._/@+=-".contains(c);
            if !(1..=200).contains(&value.len()) || !value.chars().all(plain) {
                return Err(MuxError::Invalid(format!(
                    "{what} {value:?} can't tag a tmux session: 1 to 200 letters, digits or ._/@+=- are allowed"
                )));
            }
        }
        Ok(())
    }
}

/// A session to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// `^[a-z][a-z0-9-]{0,47}$`.
    pub name: String,
    /// The command's working folder: an absolute path that exists.
    pub cwd: PathBuf,
    /// The command and its arguments; executed directly, never by a shell.
    pub argv: Vec<OsString>,
    /// Columns and rows before a client attaches.
    pub size: (u16, u16),
    /// Variables for the command's environment. Every local user can see them: never put a secret here.
    pub env: Vec<(String, String)>,
    /// The owner.
    pub tags: Tags,
}

impl SessionSpec {
    /// Checks that tmux can open it, and that the folder exists.
    pub(super) fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        self.tags.check()?;
        let invalid = |why: String| Err(MuxError::Invalid(format!("session {}: {why}", self.name)));
        if self.argv.is_empty() {
            return invalid("there is no command to run".into());
        }
        if !self.cwd.is_absolute() || !self.cwd.is_dir() {
            return invalid(format!("{} is not an absolute path of a folder", self.cwd.display()));
        }
        if self.size.0 == 0 || self.size.1 == 0 {
            return invalid(format!("{} x {} is no size of a terminal", self.size.0, self.size.1));
        }
        for (key, _) in &self.env {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if key.is_empty() || !key.chars().all(word) || key.starts_with(|c: char| c.is_ascii_digit()) {
                return invalid(format!("{key:?} is no name of an environment variable"));
            }
        }
        Ok(())
    }
}

/// Session names are made by us; anything else never reaches a tmux target.
pub(super) fn check_name(name: &str) -> Result<()> {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 48 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(rest) {
        return Ok(());
    }
    Err(MuxError::Invalid(format!(
        "{name:?} is no session name of ours: a lower-case letter, then up to 47 of a-z, 0-9 and -"
    )))
}

/// What a new session got from tmux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The process that runs the command; it leads the pane's session and process group.
    pub pane_pid: u32,
    /// tmux's own id of the pane, such as `%7`; never used twice by one server.
    pub pane_id: String,
}

/// A session as tmux lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name; a foreign one may hold any character but `:` and `.`.
    pub name: String,
    /// Seconds since 1970.
    pub created: u64,
    /// How many clients are attached.
    pub attached: u32,
    /// The pane that [`Opened`] named, also when a person has split the window; a foreign session's first pane.
    pub pane_id: String,
    /// Its process; `None` once that has ended, because its number may then be anybody's. tmux may list the pane a
    /// little longer.
    pub pane_pid: Option<u32>,
    /// `None`: not a session of orch.
    pub tags: Option<Tags>,
}

/// What a pane shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen {
    /// The pane's title, as its program has set it.
    pub title: String,
    /// The visible lines as plain text, without trailing blank ones. A line that is too long for the pane is several. It is
    /// what an agent printed: hostile until cleaned.
    pub text: String,
    /// Whether they are those of the alternate screen, which disappear when the program leaves it.
    pub alternate: bool,
    /// How long ago one of those who are attached last typed or moved the mouse: at least so long, at most a second longer.
    /// `None`: nobody has; but what was typed in the very second of attaching counts as attaching.
    pub last_typed: Option<Duration>,
    /// How long ago the last of them has attached, in the same way. `None`: no client is attached.
    pub last_attached: Option<Duration>,
}

/// A version of tmux, read leniently: `tmux 3.3a`, `tmux next-3.6`, `tmux master`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As the program wrote it, without the leading `tmux `.
    pub text: String,
    /// Major and minor; `None` for a development build that names no number.
    pub number: Option<(u32, u32)>,
}

impl Version {
    pub(super) fn parse(printed: &str) -> Self {
        let text = printed.trim();
        let text = text.strip_prefix("tmux").unwrap_or(text).trim_start().to_owned();
        // `openbsd-7.4` counts in OpenBSD's releases: it names no tmux number.
        let number = text.strip_prefix("next-").unwrap_or(&text).split_once('.').and_then(|(major, rest)| {
            let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Version { text, number }
    }

    /// An unnumbered build counts as new: only developers of tmux have one.
    pub(super) fn check(self) -> Result<Self> {
        match self.number {
            Some(number) if number < OLDEST => {
                Err(MuxError::TooOld { found: self.text, needed: format!("{}.{}", OLDEST.0, OLDEST.1) })
            }
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently() {
        for (printed, number) in [
            ("tmux 3.3a\n", Some((3, 3))),
            ("tmux 3.2", Some((3, 2))),
            ("tmux next-3.6", Some((3, 6))),
            ("tmux 3.5-rc2", Some((3, 5))),
            ("tmux 10.12", Some((10, 12))),
            ("tmux master", None),
            ("tmux openbsd-7.4", None),
        ] {
            assert_eq!(Version::parse(printed).number, number, "{printed}");
        }
        assert!(Version::parse("tmux 3.2").check().is_ok());
        assert!(Version::parse("tmux master").check().is_ok());
        for old in ["tmux 3.1c", "tmux 2.9a", "tmux 1.8"] {
            assert!(matches!(Version::parse(old).check(), Err(MuxError::TooOld { .. })), "{old}");
        }
    }

    #[test]
    fn a_world_is_its_name_and_its_real_state_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (one, link) = (dir.path().join("one"), dir.path().join("link"));
        std::fs::create_dir(&one).unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let world = |home: &Path| Tags::world(&"n".repeat(64), home);
        assert_eq!(world(&one), world(&link));
        assert_ne!(world(&one), world(dir.path()));
        let tags = Tags { namespace: world(&one), agent: "a-1".into(), incarnation: "x".into() };
        assert!(tags.check().is_ok(), "{tags:?}");
        assert_eq!(tags.name_of_world(), "n".repeat(64));
        let plain = Tags { namespace: "n".into(), ..tags };
        assert_eq!(plain.name_of_world(), "n");
    }

    #[test]
    fn names_and_tags_that_could_mean_something_to_tmux_are_refused() {
        for good in ["a", "opus-master", "agent-10", &"a".repeat(48)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a b", "a:b", "a.b", "=a", "a;", "#(x)", "ä", &"a".repeat(49)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        let tags = |namespace: &str| Tags {
            namespace: namespace.into(),
            agent: "a-1".into(),
            incarnation: "host/boot/1.2+x".into(),
        };
        assert!(tags("shop-1a2b").check().is_ok());
        for bad in ["", "a b", "a,b", "a}", "#{x}", "a:b", "a\n", "a;"] {
            assert!(tags(bad).check().is_err(), "{bad}");
        }
    }
}
