//! Protects a long-lived process that knows secrets: it leaves no core file, other processes of its user cannot read its
//! memory and environment, and its environment holds no secret.
//!
//! A process that is not dumpable belongs to root below `/proc`: its `environ`, `exe`, `cwd` and `fd` are closed to its own
//! user. What the scans need stays readable (`stat`, `cmdline`, `cgroup`), and pidfds and signals work as before. A program
//! that it starts is an ordinary one: dumpable again after `exec`, and with the file mode mask and the limit of core files
//! that this process was started with ([`as_before`]).

use std::{
    env,
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, Read, Seek, Write},
    os::{
        fd::{AsRawFd, FromRawFd, RawFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            process::CommandExt,
        },
    },
    process::Command,
    sync::{OnceLock, PoisonError, RwLock},
};

use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    stat::{Mode, umask},
};

use super::attributes::{Attributes, CORE};

/// Names the process and the descriptor with the environment that it was started with. It holds for that process alone.
const HANDED_ON: &str = "ORCH_ENVIRONMENT";
/// Seals of a file in memory: it stays as it was written.
const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// What the programs of this process are started with: what it was itself started with, unless it has taken over others.
static BEFORE: RwLock<Option<Attributes>> = RwLock::new(None);
static STARTED_WITH: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Makes this process leave no core file and be closed to other processes of its user; its files are its user's alone.
///
/// # Errors
/// Fails when the kernel refuses (never observed).
pub fn protect_this_process() -> io::Result<()> {
    let core = getrlimit(Resource::RLIMIT_CORE)?;
    let attributes = Attributes::of(std::process::id());
    prctl::set_dumpable(false)?;
    let mask = umask(OURS);
    let mut before = BEFORE.write().unwrap_or_else(PoisonError::into_inner);
    if before.is_none() {
        // If the kernel shows nothing, mask and limit of core files are still kept.
        let unknown = Attributes { umask: 0, nice: 0, groups: Vec::new(), limits: [(CORE.to_owned(), core)].into() };
        *before = Some(Attributes { umask: mask.bits(), ..attributes.unwrap_or(unknown) });
    }
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, core.1)?)
}

/// Returns what this protected process was started with.
pub fn attributes() -> Option<Attributes> {
    BEFORE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// From now on, this protected process and its programs have the niceness and the limits of another process, as far as that
/// is allowed, and its programs have its file mode mask.
pub fn take_over(of: Attributes) {
    of.apply();
    *BEFORE.write().unwrap_or_else(PoisonError::into_inner) = Some(of);
}

/// The file mode mask of a protected process.
const OURS: Mode = Mode::from_bits_truncate(0o077);

/// Starts a program with the mask and the limit that this process was started with.
pub fn as_before<T>(start: impl FnOnce() -> T) -> T {
    let Some(before) = attributes() else { return start() };
    let (soft, hard) = before.limits.get(CORE).copied().unwrap_or_default();
    umask(before.mode());
    if soft > 0 {
        let _ = setrlimit(Resource::RLIMIT_CORE, soft, hard);
    }
    let started = start();
    if soft > 0 {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
    }
    umask(OURS);
    started
}

/// Returns the environment that this process was started with, as far as it is text; also the part that
/// [`without_secrets`] has removed.
pub fn started_with() -> impl Iterator<Item = (String, String)> {
    let all = STARTED_WITH.get().cloned().unwrap_or_else(|| env::vars_os().collect());
    all.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Executes this program again without the secrets in its environment, if there are any: what a process was started with
/// can be read below `/proc` for as long as it lives. With `hands_on`, the whole environment is handed on in a sealed file in
/// memory, and [`started_with`] returns it; else the secrets are lost.
///
/// Call it before anything else: whatever the process has done is forgotten.
///
/// # Errors
/// Fails when the program cannot be executed again. Then the process continues as it was started.
pub fn without_secrets(is_secret: impl Fn(&OsStr, &OsStr) -> bool, hands_on: bool) -> io::Result<()> {
    let handed = env::var_os(HANDED_ON);
    if let Some(descriptor) = handed.as_deref().and_then(OsStr::to_str).and_then(own_descriptor) {
        STARTED_WITH.get_or_init(|| take(descriptor).unwrap_or_else(|_| env::vars_os().collect()));
        return Ok(());
    }
    let all: Vec<(OsString, OsString)> = env::vars_os().filter(|(name, _)| name != HANDED_ON).collect();
    let kept: Vec<&(OsString, OsString)> = all.iter().filter(|(name, value)| !is_secret(name, value)).collect();
    if kept.len() == all.len() {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "orch".into());
    let own = env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into());
    let mut command = Command::new(own);
    command.arg0(name).args(arguments).env_clear().envs(kept.into_iter().map(|(name, value)| (name, value)));
    let file = if hands_on { Some(sealed(&all)?) } else { None };
    if let Some(file) = &file {
        command.env(HANDED_ON, format!("{}:{}", std::process::id(), file.as_raw_fd()));
    }
    Err(command.exec())
}

/// Returns the descriptor that a process of this id was passed.
fn own_descriptor(text: &str) -> Option<RawFd> {
    let (pid, descriptor) = text.split_once(':')?;
    (pid.parse() == Ok(std::process::id())).then(|| descriptor.parse().ok()).flatten()
}

/// Creates a file in memory that the executed program inherits and that cannot be changed.
fn sealed(env: &[(OsString, OsString)]) -> io::Result<File> {
    let name = CString::new("orch-environment")?;
    // SAFETY: the name is a C string; the result is checked before it is used as a descriptor.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created, and nothing else owns it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    for (name, value) in env {
        file.write_all(&[name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat())?;
    }
    // SAFETY: a plain system call on our own descriptor.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads and closes the file that was passed on.
fn take(descriptor: RawFd) -> io::Result<Vec<(OsString, OsString)>> {
    // SAFETY: a plain system call, which fails for a descriptor that is not open or no file in memory.
    if unsafe { libc::fcntl(descriptor, libc::F_GET_SEALS) } != SEALS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: it was opened for this process before it executed this program, and nothing else owns it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let entries = bytes.split(|b| *b == 0).filter(|entry| !entry.is_empty());
    let pair = |entry: &[u8]| {
        // A name may begin with `=`.
        let at = entry.iter().skip(1).position(|b| *b == b'=')? + 1;
        Some((OsString::from_vec(entry[..at].to_vec()), OsString::from_vec(entry[at + 1..].to_vec())))
    };
    Ok(entries.filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    /// In a process of its own, because it changes the whole process.
    #[test]
    fn a_protected_process_is_closed_and_its_programs_are_as_before() {
        let name = "os::linux::protect::tests::in_a_process_of_its_own";
        let own = env::current_exe().unwrap();
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "umask 027; ulimit -S -c 0; \"$@\"", "sh"]).arg(own);
        let ran = shell.args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"));
    }

    #[test]
    #[ignore = "run by the test above"]
    fn in_a_process_of_its_own() {
        protect_this_process().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap().0, 0);
        let shown = || {
            let mut shell = Command::new("sh");
            as_before(|| shell.args(["-c", "umask; cat /proc/self/environ > /dev/null && echo open"]).output()).unwrap()
        };
        assert_eq!(String::from_utf8(shown().stdout).unwrap(), "0027\nopen\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        let at = file.path().with_extension("ours");
        File::create(&at).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&at.metadata().unwrap().permissions());
        std::fs::remove_file(&at).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        // Our own process stays as visible as the scans need it.
        assert!(crate::os::ProcessId::current().is_alive() && crate::os::command_line(std::process::id()).is_some());
    }

    #[test]
    fn an_environment_is_handed_on_as_it_is_and_cannot_be_changed() {
        let env: Vec<(OsString, OsString)> = [("A", "1"), ("EMPTY", ""), ("EQUALS", "a=b"), ("LINES", "a\nb")]
            .map(|(n, v)| (n.into(), v.into()))
            .to_vec();
        let mut file = sealed(&env).unwrap();
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
        assert_eq!(take(file.into_raw_fd()).unwrap(), env);
        assert!(take(1_000_000).is_err());
        assert_eq!(own_descriptor(&format!("{}:7", std::process::id())), Some(7));
        assert_eq!(own_descriptor("1:7"), None, "another process's");
    }
}
