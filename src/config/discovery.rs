//! Finds the project: its sessions.toml, its folder, its namespace, and its state folder.

use std::{
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::{User, getuid};
use uuid::Uuid;

use super::{diagnostics::Diagnostics, owner::Owner};
use crate::{
    error::{Error, Result},
    model::name::{self, MAX_NAMESPACE},
    os,
};

/// The name of a project's configuration file.
pub(super) const FILE: &str = "sessions.toml";
/// The file of a state folder that its supervisor locks.
pub const SUPERVISOR_LOCK: &str = "supervisor.lock";
/// The file that holds the name of the master's session.
pub const MASTER_SESSION: &str = "master-session";
/// Longest file that is read. A sessions.toml is far shorter; a log or a device that is named by mistake is not.
const LIMIT: u64 = 1 << 20;

/// Everything that configuration takes from the process it runs in.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// The current folder, absolute.
    pub cwd: PathBuf,
    /// `ORCH_CONFIG`: a sessions.toml, or the folder of a project.
    pub config: Option<PathBuf>,
    /// `ORCH_HOME`: the state folder.
    pub orch_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// The user's home: `HOME`, else that of the user database.
    pub home: Option<PathBuf>,
}

impl Env {
    /// Reads the environment of this process. Variables that are set but empty count as not set.
    ///
    /// # Errors
    /// The current folder does not exist any more.
    pub fn of_process() -> Result<Env> {
        let cwd = env::current_dir().map_err(|why| {
            Error::config(format!("the current folder can't be read: {why}")).hint("cd to a folder that exists")
        })?;
        let var = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
        let home = var("HOME").or_else(|| User::from_uid(getuid()).ok().flatten().map(|user| user.dir));
        Ok(Env {
            cwd,
            config: var("ORCH_CONFIG"),
            orch_home: var("ORCH_HOME"),
            state_home: var("XDG_STATE_HOME"),
            home,
        })
    }
}

/// Refuses paths that are not UTF-8, before anything is started from them: they are stored, sent and shown as text.
///
/// # Errors
/// Configuration: names the path and what to change.
pub(super) fn check_text(env: &Env) -> Result<()> {
    let home = state_folders(env).filter(|_| env.orch_home.is_none());
    let paths = [
        (Some(&env.cwd), "the current folder", "rename the folder"),
        (env.config.as_ref(), "ORCH_CONFIG", "rename what it names"),
        (env.orch_home.as_ref(), "ORCH_HOME", "set it to a folder with another name"),
        (home.as_ref(), "the folder for orch's state", "set ORCH_HOME to a folder whose name is UTF-8"),
    ];
    for (path, what, fix) in paths {
        if let Some(path) = path.filter(|path| path.to_str().is_none()) {
            return Err(Error::config(format!("{what}, {}, has a byte that is not UTF-8", path.display())).hint(fix));
        }
    }
    Ok(())
}

/// A project that was found. Its file is read, but not parsed.
#[derive(Debug)]
pub(super) struct Found {
    pub file: Option<PathBuf>,
    pub root: PathBuf,
    pub content: Option<String>,
}

impl Found {
    /// Returns an empty list of errors about this file.
    pub fn diagnostics(&self, env: &Env) -> Diagnostics {
        let shown = self.file.as_deref().map_or(FILE.to_owned(), |file| shown(file, env));
        Diagnostics::new(shown, self.content.as_deref().unwrap_or_default())
    }
}

/// Finds the project as [`super::Config::load`] describes, and reads its file once.
pub(super) fn project(env: &Env, explicit: Option<&Path>) -> Result<Found> {
    let named = match (explicit, &env.config) {
        (Some(path), _) => Some((path, "--config")),
        (None, Some(path)) => Some((path.as_path(), "ORCH_CONFIG")),
        (None, None) => None,
    };
    if let Some((path, by)) = named {
        let path = env.cwd.join(path);
        // A folder stands for its file, and for the defaults where it has none: see `Config::location`.
        let file = if path.is_dir() { Some(path.join(FILE)).filter(|file| file.exists()) } else { Some(path.clone()) };
        return match file {
            Some(file) => read_project(file, env, Some(by)),
            None => Ok(Found { file: None, root: canonical(&path)?, content: None }),
        };
    }
    for folder in env.cwd.ancestors() {
        let file = folder.join(FILE);
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() => return read_project(file, env, None),
            Ok(_) => {}
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            // It may be there: continuing with another one would start another project.
            Err(why) => return Err(unreadable(&shown(&file, env), &format!("can't be read: {why}"), None)),
        }
    }
    match running_above(env) {
        Some(root) => Ok(Found { file: None, root, content: None }),
        None => folder(env),
    }
}

/// Returns the sessions.toml that [`project`] reads, whether or not it can be read.
pub(super) fn file_of(env: &Env, explicit: Option<&Path>) -> Option<PathBuf> {
    let file = match explicit.or(env.config.as_deref()).map(|path| env.cwd.join(path)) {
        Some(folder) if folder.is_dir() => folder.join(FILE),
        Some(file) => file,
        None => env.cwd.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file())?,
    };
    file.is_file().then_some(file)
}

/// Returns the folder whose project runs without a sessions.toml: the current one, or the nearest above it within its git
/// repository.
fn running_above(env: &Env) -> Option<PathBuf> {
    let cwd = env.cwd.canonicalize().ok()?;
    let depth = cwd.ancestors().position(|folder| folder.join(".git").exists())?;
    cwd.ancestors().take(depth + 1).find(|folder| is_running(env, folder)).map(Path::to_owned)
}

/// Returns whether a supervisor runs for this folder as a project without a file.
fn is_running(env: &Env, folder: &Path) -> bool {
    let Ok((_, home)) = unnamed(env, folder) else { return false };
    let is_its = || Owner::read(&home).is_some_and(|owner| owner.project == folder);
    os::read_lock_holder(&home.join(SUPERVISOR_LOCK)).is_some() && is_its()
}

/// Returns the name of the master's session that a state folder has recorded.
pub(super) fn recorded_session(home: &Path) -> Option<String> {
    let name = fs::read_to_string(home.join(MASTER_SESSION)).ok()?.trim().to_owned();
    name::check(&name).is_ok().then_some(name)
}

/// Returns the current folder as a project without a file.
pub(super) fn folder(env: &Env) -> Result<Found> {
    Ok(Found { file: None, root: canonical(&env.cwd)?, content: None })
}

/// Reads the file of a project. `by` is the option or variable that named it, if one did.
fn read_project(file: PathBuf, env: &Env, by: Option<&str>) -> Result<Found> {
    let content = read(&file).map_err(|why| unreadable(&shown(&file, env), &why, by))?;
    check_owner(&file, env)?;
    let content = String::from_utf8(content).map_err(|why| {
        let valid = &why.as_bytes()[..why.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::config(format!("{}:{line}: not UTF-8 text", shown(&file, env)))
            .hint("save the file as UTF-8 (in vim: :set fileencoding=utf-8)")
    })?;
    // The folder's real path, by whatever links it was reached; the file's own name as it was given.
    let root = canonical(file.parent().unwrap_or(&env.cwd))?;
    if file.to_str().is_none() {
        return Err(unreadable(&shown(&file, env), "has a byte in its name that is not UTF-8", by));
    }
    let file = root.join(file.file_name().unwrap_or(FILE.as_ref()));
    Ok(Found { file: Some(file), root, content: Some(content) })
}

/// Refuses a sessions.toml that another user can change: what it says runs as the user who starts orch. It and its folder
/// must belong to that user or to root, and must not be writable by others. Where the file is a link, this applies to the
/// link's folder as well.
fn check_owner(file: &Path, env: &Env) -> Result<()> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    for path in [Some(real.as_path()), real.parent(), file.parent()].into_iter().flatten() {
        let Some(exposure) = fs::metadata(path).ok().and_then(|metadata| os::exposure(&metadata)) else { continue };
        let what = if path == real { shown(file, env) } else { format!("the folder of {}", shown(file, env)) };
        let path = path.display();
        let fix = match exposure {
            os::Exposure::Owner(_) => {
                format!("read it; if you trust it, copy it into a folder of yours, or: sudo chown \"$USER\" '{path}'")
            }
            os::Exposure::Group(_) | os::Exposure::Everyone(_) => {
                format!("check that nobody has changed it, then: chmod go-w '{path}'")
            }
        };
        return Err(Error::config(format!("{what} {exposure}: what it says would run as you")).hint(fix));
    }
    Ok(())
}

fn unreadable(file: &str, why: &str, by: Option<&str>) -> Error {
    Error::config(format!("{file} {why}")).hint(match by {
        Some(by) => format!("{by} names it: correct that, or leave it out to use {FILE} of this folder or one above"),
        None => format!("make {file} a readable file, or move it away to use the defaults"),
    })
}

/// Reads a whole file. The error continues a sentence after the file's name: "does not exist".
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let refused = |why: std::io::Error| match why.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("can't be read: {why}"),
    };
    // Opening a pipe does not wait for its other end.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(refused)?;
    if !file.metadata().map_err(refused)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut content = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut content).map_err(refused)?;
    if content.len() as u64 > LIMIT {
        return Err("is larger than 1 MiB".to_owned());
    }
    Ok(content)
}

fn canonical(folder: &Path) -> Result<PathBuf> {
    let real = folder.canonicalize().map_err(|why| {
        Error::config(format!("the folder {} can't be read: {why}", folder.display()))
            .hint("orch needs to read its project's folder and to pass through all above it")
    })?;
    match real.to_str() {
        Some(_) => Ok(real),
        None => Err(Error::config(format!("the project's folder, {}, has a byte that is not UTF-8", real.display()))
            .hint("rename the folder")),
    }
}

/// Returns a file's name relative to the current folder, where it is below it.
fn shown(file: &Path, env: &Env) -> String {
    let short = file.strip_prefix(&env.cwd).ok().or_else(|| file.strip_prefix(env.cwd.canonicalize().ok()?).ok());
    short.unwrap_or(file).display().to_string()
}

/// Returns the namespace of a project that sets none: its folder's name, and a hash of its whole path, because many folders
/// are called `app`. The same path always gives the same namespace.
pub(super) fn default_namespace(root: &Path) -> String {
    const HASH: usize = 6;
    let folder = root.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let slug = match name::slug(&folder, MAX_NAMESPACE - HASH - 1) {
        slug if slug.is_empty() => "root".to_owned(),
        slug => slug,
    };
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, &[b"file://", root.as_os_str().as_bytes()].concat());
    format!("{slug}-{}", &hash.simple().to_string()[..HASH])
}

/// Returns the namespace and the state folder of a project that sets no name. A project that was moved keeps both: the state
/// folder of its new path is a link to the one it has ([`link_to`]), whose record names its namespace.
pub(super) fn unnamed(env: &Env, root: &Path) -> Result<(String, PathBuf)> {
    let namespace = default_namespace(root);
    let home = state_folder(env, &namespace)?;
    let is_ours = env.orch_home.is_none();
    let home = match fs::read_link(&home) {
        Ok(target) if is_ours && target.components().count() == 1 => home.with_file_name(target),
        _ => home,
    };
    let recorded = Owner::read(&home).filter(|owner| !owner.namespace.is_empty() && owner.is_of(root));
    Ok((recorded.map_or(namespace, |owner| owner.namespace), home))
}

/// Makes the state folder `home` lead to `target` beside it, for a project that was moved.
///
/// # Errors
/// Fails when the link cannot be made.
pub(super) fn link_to(home: &Path, target: &Path) -> std::io::Result<()> {
    let name = target.file_name().unwrap_or(target.as_os_str());
    // Links of earlier places of the project would keep new projects there from having a state folder of their own.
    let links = home.parent().and_then(|above| fs::read_dir(above).ok()).into_iter().flatten().flatten();
    for link in links.filter(|link| fs::read_link(link.path()).is_ok_and(|leads_to| leads_to.as_os_str() == name)) {
        let _ = fs::remove_file(link.path());
    }
    std::os::unix::fs::symlink(name, home)
}

/// Returns the state folder of `namespace`.
pub(super) fn state_folder(env: &Env, namespace: &str) -> Result<PathBuf> {
    if let Some(home) = &env.orch_home {
        return Ok(env.cwd.join(home));
    }
    match state_folders(env) {
        Some(all) => Ok(all.join(namespace)),
        None => Err(Error::config("there is no place for orch's state: HOME is not set, and this user has no home")
            .hint("set ORCH_HOME to a folder that only you can read: export ORCH_HOME=/var/lib/orch")),
    }
}

/// Returns the folder of the state folders of all projects that set no ORCH_HOME.
pub fn state_folders(env: &Env) -> Option<PathBuf> {
    // The XDG base directory specification: a relative path is invalid, and counts as not set.
    let state = env.state_home.clone().filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(env.cwd.join(env.home.as_ref()?).join(".local/state")))?;
    Some(state.join("orch"))
}
