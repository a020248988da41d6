//! The file system that a program in the sandbox sees, as options of bwrap, which are applied in order.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::{OWN_PROGRAM, PROXY_SOCKET, repository::Repository, tools::Tools};
use crate::{
    config::private,
    drivers::{Access, HomeFiles},
    home,
    launchers::{Invocation, settings},
    model::network::Network,
    os,
};

/// Folders that are empty in the sandbox, besides home folders and the state folder.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run", "/tmp", "/var/tmp"];
/// Folders with the homes of users. Nobody works in one of them.
const HOMES: [&str; 2] = ["/home", "/root"];
/// Switches of the kernel, which root could turn in the sandbox although it has no capabilities there.
const OF_THE_KERNEL: [&str; 4] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];
/// Settings of git that a commit needs. Its stored passwords are not among them.
const OF_GIT: [&str; 4] = [".gitconfig", ".config/git/config", ".config/git/ignore", ".config/git/attributes"];
/// Files of a project that agent programs, and schedules of orch, take orders from, where they exist.
const SETTINGS: [&str; 9] = [
    ".aider.conf.yml",
    ".claude",
    ".codex",
    ".gemini",
    ".mcp.json",
    ".qwen",
    "opencode.json",
    "opencode.jsonc",
    "plans",
];
/// The same of opencode, which does not start if it cannot write its own files there.
const OF_OPENCODE: &str = ".opencode";
/// Variables that name certificates.
const CERTIFICATES: [&str; 6] =
    ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"];
/// Up to this many files of a folder are copied, each smaller than this many bytes; the others can be read.
const MOST_COPIES: usize = 64;
const LARGEST_COPY: u64 = 8 << 20;
/// The home folder of a program whose user has none.
const HOME: &str = "/run/orch/home";

/// The options of bwrap that make what a program sees.
#[derive(Debug, Default)]
pub(super) struct View {
    pub args: Vec<OsString>,
    /// Files that bwrap reads from.
    pub files: Vec<File>,
    /// Variables with another value in the sandbox.
    pub env: Vec<(&'static str, &'static str)>,
    /// Paths whose mounts must last ([`super::inside`]).
    pub guarded: Vec<PathBuf>,
    hidden: BTreeSet<PathBuf>,
}

impl View {
    /// Returns the view of a program in this working folder.
    ///
    /// # Errors
    /// The working folder would show what the sandbox hides; or files of the program can't be made.
    pub fn of(invocation: &Invocation, cwd: &Path, program: &Path, own_program: &Path) -> io::Result<View> {
        let home = user_home(invocation);
        check_folder(cwd, home.as_deref())?;
        let mut view = View { hidden: hidden(invocation, home.as_deref()), ..View::default() };
        view.bind("--ro-bind", Path::new("/"), Path::new("/"));
        view.arg(["--dev", "/dev", "--proc", "/proc"]);
        for name in OF_THE_KERNEL.map(Path::new).into_iter().filter(|path| path.exists()) {
            view.bind("--ro-bind", name, name);
        }
        let all: Vec<PathBuf> = view.hidden.iter().cloned().collect();
        all.iter().for_each(|folder| view.hide(folder));
        view.shown(invocation, home.as_deref())?;
        view.folder(invocation, cwd, home.as_deref(), &all)?;
        for file in private::OF_ROOT.map(Path::new).into_iter().filter(|_| nix::unistd::geteuid().is_root()) {
            view.mask(file);
        }
        view.tools(invocation, program);
        match &home {
            Some(home) => view.logins(invocation, home)?,
            None => view.no_home(),
        }
        view.files_of_orch(invocation, own_program);
        view.arg(["--chdir".as_ref(), cwd.as_os_str()]);
        Ok(view)
    }

    /// The folders that the role names. What leads through a link to something private is refused.
    fn shown(&mut self, invocation: &Invocation, home: Option<&Path>) -> io::Result<()> {
        for folder in &invocation.role.sandbox_read {
            let Ok(real) = folder.canonicalize() else { continue };
            check_shown(folder, &real, home, invocation.state)?;
            self.bind("--ro-bind", &real, folder);
            let within: Vec<PathBuf> = self.hidden.iter().filter(|hidden| hidden.starts_with(&real)).cloned().collect();
            within.iter().for_each(|hidden| self.hide(hidden));
        }
        Ok(())
    }

    /// The working folder, and what is protected in it.
    fn folder(
        &mut self,
        invocation: &Invocation,
        cwd: &Path,
        home: Option<&Path>,
        hidden: &[PathBuf],
    ) -> io::Result<()> {
        // A home folder may be a repository too.
        let repository = Repository::around(cwd).filter(|repository| check_folder(&repository.top, home).is_ok());
        let top = repository.as_ref().map_or(cwd, |repository| &repository.top);
        // The folders bring back what was hidden in them.
        for (option, shown) in [("--ro-bind", top), ("--bind", cwd)] {
            self.bind(option, shown, shown);
            let again = |folder: &&PathBuf| folder.starts_with(shown) && *folder != cwd;
            hidden.iter().filter(again).for_each(|folder| self.hide(folder));
        }
        for name in SETTINGS {
            self.reveal_at(&cwd.join(name));
        }
        let of_opencode = cwd.join(OF_OPENCODE);
        match fs::symlink_metadata(&of_opencode) {
            Ok(meta) if meta.is_dir() => self.copy_folder(&of_opencode),
            _ => self.reveal_at(&of_opencode),
        }
        let config = invocation.config;
        if config.starts_with(cwd) && config.is_file() {
            self.reveal_at(config);
        }
        if let Some(repository) = repository {
            repository.protect(&mut self.args)?;
            self.guarded.extend(repository.guarded());
        }
        Ok(())
    }

    fn tools(&mut self, invocation: &Invocation, program: &Path) {
        let mut tools = Tools::new(&self.hidden);
        let own = invocation.state.join("bin");
        tools.search_path(invocation.variable("PATH"), &own);
        tools.program(program, invocation.variable("PATH"));
        CERTIFICATES.iter().filter_map(|name| invocation.variable(name)).for_each(|path| tools.file(Path::new(path)));
        if invocation.role.network != Network::None {
            tools.file(Path::new("/etc/resolv.conf"));
        }
        let args = tools.into_args();
        self.args.extend(args);
    }

    /// The home folder: empty, except for what is named.
    fn logins(&mut self, invocation: &Invocation, home: &Path) -> io::Result<()> {
        for name in OF_GIT {
            self.reveal_at(&HomeFiles::NONE.place(name, home, |variable| invocation.variable(variable)));
        }
        let Some(manifest) = invocation.driver.manifest() else { return Ok(()) };
        let value = |variable: &str| invocation.variable(variable);
        // A folder that is elsewhere is hidden as a home folder is, unless it is in the working folder.
        if let Some(moved) = manifest.home.moved_by.and_then(|(variable, _)| value(variable)).map(Path::new)
            && moved.is_absolute()
            && moved.is_dir()
            && !self.is_hidden(moved)
            && !moved.starts_with(invocation.cwd)
            && !invocation.cwd.starts_with(moved)
        {
            self.hide(moved);
            self.hidden.insert(moved.to_owned());
        }
        let ours = invocation.start.settings.as_ref();
        for (name, access) in manifest.home.files {
            let path = manifest.home.place(name, home, value);
            let as_copy = if self.is_hidden(&path) { "--file" } else { "--bind-data" };
            if let Some(ours) = ours.filter(|ours| ours.file == *name) {
                let merged = settings::merged(ours, &path)?;
                self.file(as_copy, os::memory_file(c"orch-settings", &merged)?, &path);
                continue;
            }
            match access {
                Access::Read => self.reveal_at(&path),
                Access::Write => {
                    if let Ok(real) = path.canonicalize() {
                        self.bind("--bind", &real, &path);
                    }
                }
                Access::Copy if path.is_dir() => self.copy_folder(&path),
                Access::Copy if path.is_file() => self.file(as_copy, File::open(&path)?, &path),
                Access::Copy => {}
                // In a folder that the program cannot write to, there is no place for it.
                Access::Kept if !self.is_hidden(&path) && !path.is_dir() => {}
                Access::Kept => {
                    let kept = invocation.kept.join(name);
                    home::create_dir(&kept)?;
                    self.bind("--bind", &kept, &path);
                }
            }
        }
        self.env.extend_from_slice(manifest.in_sandbox);
        Ok(())
    }

    /// A folder whose files are copies; the folders in it can be read.
    fn copy_folder(&mut self, folder: &Path) {
        // Over whatever was shown there before.
        self.arg(["--perms".as_ref(), "0700".as_ref(), "--tmpfs".as_ref(), folder.as_os_str()]);
        let mut copies = 0;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(real) = path.canonicalize() else { continue };
            let is_copied =
                copies < MOST_COPIES && real.metadata().is_ok_and(|m| m.is_file() && m.len() < LARGEST_COPY);
            if is_copied && let Ok(file) = File::open(&real) {
                self.file("--file", file, &path);
                copies += 1;
            } else {
                self.reveal_at(&path);
            }
        }
    }

    /// A file with this content, which the program may change. With `--file` it may replace it too; but in a folder that is a
    /// real one, that would write to the real file.
    fn file(&mut self, option: &str, content: File, at: &Path) {
        self.arg(["--perms", "0600", option, &os::number(&content).to_string()]);
        self.args.push(at.into());
        self.files.push(content);
    }

    fn no_home(&mut self) {
        self.arg(["--perms", "0700", "--dir", HOME]);
        self.env.push(("HOME", HOME));
    }

    /// What the program needs of orch: its verbs, the files of its attempt, the agent's socket.
    fn files_of_orch(&mut self, invocation: &Invocation, own_program: &Path) {
        self.bind("--ro-bind", own_program, Path::new(OWN_PROGRAM));
        if invocation.state.is_dir() {
            self.bind("--ro-bind", own_program, &invocation.state.join("bin/orch"));
        }
        for name in ["TMUX_TMPDIR", "XDG_RUNTIME_DIR", "TMPDIR"] {
            if let Some(folder) = invocation.variable(name).map(Path::new).filter(|folder| self.is_hidden(folder)) {
                self.arg(["--perms".as_ref(), "0700".as_ref(), "--dir".as_ref(), folder.as_os_str()]);
            }
        }
        for folder in &invocation.files {
            self.bind("--bind", folder, folder);
        }
        if let Some(socket) = invocation.variable("ORCH_SOCKET").map(Path::new) {
            self.bind("--bind-try", socket, socket);
        }
        if let Some(socket) = invocation.proxy {
            self.bind("--ro-bind", socket, Path::new(PROXY_SOCKET));
        }
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|folder| path.starts_with(folder))
    }

    fn hide(&mut self, folder: &Path) {
        let mode = if ["/tmp", "/var/tmp"].map(Path::new).contains(&folder) { "1777" } else { "0700" };
        self.arg(["--perms".as_ref(), mode.as_ref(), "--tmpfs".as_ref(), folder.as_os_str()]);
    }

    /// Makes a file unreadable, and a folder empty.
    fn mask(&mut self, path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => self.hide(path),
            Ok(meta) if meta.is_file() => self.bind("--ro-bind", Path::new("/dev/null"), path),
            _ => {}
        }
    }

    /// Shows a file or folder read-only at its own path, if it exists.
    fn reveal_at(&mut self, path: &Path) {
        if let Ok(real) = path.canonicalize() {
            self.bind("--ro-bind", &real, path);
        }
    }

    fn bind(&mut self, option: &str, from: &Path, to: &Path) {
        self.arg([option.as_ref(), from.as_os_str(), to.as_os_str()]);
    }

    fn arg<'a, S: AsRef<OsStr> + ?Sized + 'a>(&mut self, args: impl IntoIterator<Item = &'a S>) {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }
}

/// Returns the home folder of the program's user, if there is one.
fn user_home(invocation: &Invocation) -> Option<PathBuf> {
    let home = invocation.variable("HOME").map(PathBuf::from)?;
    (home.is_absolute() && home != Path::new("/") && home.is_dir()).then_some(home)
}

/// Returns the folders that are empty in the sandbox, each after the one that it is in.
fn hidden(invocation: &Invocation, home: Option<&Path>) -> BTreeSet<PathBuf> {
    let named = HIDDEN.map(PathBuf::from).into_iter();
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir);
    let homes = home.map(Path::to_owned).into_iter().chain(user);
    let variables =
        ["XDG_RUNTIME_DIR", "TMPDIR"].iter().filter_map(|name| invocation.variable(name)).map(PathBuf::from);
    let all = named.chain(homes).chain(variables).chain([invocation.state.to_owned()]);
    let real = all.filter(|folder| folder.is_absolute()).filter_map(|folder| folder.canonicalize().ok());
    // The working folder may lie between two of them, so those within another one are needed too.
    real.filter(|folder| folder.parent().is_some() && folder.is_dir()).collect()
}

/// Refuses a folder of `sandbox_read` that is not what its name says.
///
/// # Errors
/// It leads to a folder that no sandbox shows.
pub(super) fn check_shown(folder: &Path, real: &Path, home: Option<&Path>, state: &Path) -> io::Result<()> {
    let real_of = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let why = private::refusal(real, home.map(real_of).as_deref(), &real_of(state)).or_else(|| {
        let owner = owner_of_private(real, geteuid().as_raw())?;
        Some(format!("is readable for user {owner} alone, and root would show it"))
    });
    match why {
        Some(why) => {
            Err(io::Error::other(format!("its sandbox cannot show {}: {} {why}", folder.display(), real.display())))
        }
        None => Ok(()),
    }
}

/// Returns the owner of a file or folder that root alone can read besides: another user, who has closed it or a folder above
/// it to others.
fn owner_of_private(real: &Path, user: u32) -> Option<u32> {
    let (read, pass) = (0o004, 0o001);
    let above = real.ancestors().skip(1).map(|folder| (folder, pass));
    let closed = std::iter::once((real, read)).chain(above).find_map(|(path, needed)| {
        let found = fs::metadata(path).ok()?;
        (found.uid() != user && found.uid() != 0 && found.mode() & needed == 0).then_some(found.uid())
    });
    closed.filter(|_| user == 0)
}

/// Refuses a working folder that would show what the sandbox hides.
pub(super) fn check_folder(cwd: &Path, home: Option<&Path>) -> io::Result<()> {
    let is_above = |folder: &Path| folder.starts_with(cwd);
    let is_home = home.and_then(|home| home.canonicalize().ok()).is_some_and(|home| home == cwd);
    if is_home || HOMES.map(Path::new).into_iter().any(is_above) {
        let why = format!("a sandbox cannot have {} as its working folder: a home folder is in it", cwd.display());
        return Err(io::Error::other(why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn files_that_another_user_has_closed_are_not_shown_by_root() {
        const ANOTHER: u32 = 61_235;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let make = |name: &str, mode: u32, user: u32| {
            let path = dir.path().join(name);
            match name.ends_with('/') {
                true => fs::create_dir(&path).unwrap(),
                false => fs::write(&path, "").unwrap(),
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            chown(&path, Some(user), None).is_ok().then_some(path)
        };
        let own = make("own", 0o600, geteuid().as_raw()).unwrap();
        assert_eq!(owner_of_private(&own, geteuid().as_raw()), None);
        let (Some(open), Some(closed)) = (make("open", 0o644, ANOTHER), make("closed", 0o640, ANOTHER)) else {
            return eprintln!("skipped: only root gives files away");
        };
        assert_eq!((owner_of_private(&open, 0), owner_of_private(&closed, 0)), (None, Some(ANOTHER)));
        let folder = make("folder/", 0o700, ANOTHER).unwrap();
        fs::write(folder.join("in-it"), "").unwrap();
        assert_eq!(owner_of_private(&folder.join("in-it"), 0), Some(ANOTHER));
        assert_eq!(owner_of_private(&closed, 1000), None, "what another user cannot read, its sandbox cannot show");
    }
}
