//! Checks whether this machine can create a sandbox, by creating one.
//!
//! The result is cached, because supervisors ask once per second: a success for the life of the process, a failure for
//! half a minute, so that a fix is noticed without a restart.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{PROGRAM, search_path};
use crate::{
    launchers::{Unavailable, programs},
    model::text::one_line,
    os,
};

/// How long a bad answer is kept.
const KEPT: Duration = Duration::from_secs(30);
/// A sandbox is made in some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// What it is asked to run.
const TRUE: [&str; 2] = ["/bin/true", "/usr/bin/true"];

static ANSWER: Mutex<Option<(Instant, Result<(), Unavailable>)>> = Mutex::new(None);

/// Checks that a sandbox can be made. Blocks for some milliseconds, the first time.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check() -> Result<(), Unavailable> {
    let mut kept = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    match &*kept {
        Some((_, Ok(()))) => Ok(()),
        Some((at, answer)) if at.elapsed() < KEPT => answer.clone(),
        _ => {
            let answer = ask(search_path().as_deref(), &Switches::of_machine());
            *kept = Some((Instant::now(), answer.clone()));
            answer
        }
    }
}

fn ask(path: Option<&OsStr>, switches: &Switches) -> Result<(), Unavailable> {
    let Some(program) = programs::find(PROGRAM, path) else {
        return Err(Unavailable {
            missing: "its sandbox needs bubblewrap, and there is no program bwrap".to_owned(),
            fix: "install it: apt install bubblewrap, dnf install bubblewrap, or pacman -S bubblewrap".to_owned(),
        });
    };
    let said = match make_one(&program) {
        Ok(()) => return Ok(()),
        Err(said) => said,
    };
    let fix = switches.fix(&program);
    Err(Unavailable { missing: format!("{} cannot make its sandbox: {said}", program.display()), fix })
}

/// Makes a sandbox as attempts have it, except for what is visible.
fn make_one(program: &Path) -> Result<(), String> {
    let filter = os::memory_file(c"orch-filter", &os::sandbox_filter()).map_err(|e| e.to_string())?;
    let run = TRUE.into_iter().find(|program| Path::new(program).exists()).unwrap_or(TRUE[0]);
    let mut command = Command::new(program);
    command.args(super::namespaces(true, false)).args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    command.args(["--tmpfs", "/tmp", "--seccomp", &os::number(&filter).to_string(), "--", run]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env_clear();
    os::pass_on(&mut command, vec![filter.into()]);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            other => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(other
                    .err()
                    .map_or(format!("no answer within {} s", PATIENCE.as_secs()), |e| e.to_string()));
            }
        }
    };
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = std::io::Read::read_to_string(&mut errors, &mut said);
    }
    let said = one_line(said.trim().trim_start_matches("bwrap: "), 200).to_string();
    match status.success() {
        true => Ok(()),
        false if said.is_empty() => Err(status.to_string()),
        false => Err(said),
    }
}

/// Switches of the kernel that keep a user from making namespaces.
#[derive(Debug, Default)]
struct Switches {
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 23.10 and newer).
    apparmor_restricts: bool,
    /// `kernel.unprivileged_userns_clone` is 0 (Debian's kernels).
    clone_is_off: bool,
    /// `user.max_user_namespaces` is 0 (RHEL and others).
    none_at_all: bool,
    is_root: bool,
}

impl Switches {
    fn of_machine() -> Self {
        let is = |name: &str, value: &str| {
            let path: PathBuf = ["/proc/sys", name].iter().collect();
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        Switches {
            apparmor_restricts: is("kernel/apparmor_restrict_unprivileged_userns", "1"),
            clone_is_off: is("kernel/unprivileged_userns_clone", "0"),
            none_at_all: is("user/max_user_namespaces", "0"),
            is_root: nix::unistd::geteuid().is_root(),
        }
    }

    /// Returns what a person can do about it.
    fn fix(&self, program: &Path) -> String {
        let lasting = "and put the same into a file in /etc/sysctl.d to keep it";
        if self.none_at_all && !self.is_root {
            return format!("permit user namespaces: sudo sysctl -w user.max_user_namespaces=15000 ({lasting})");
        }
        if self.clone_is_off && !self.is_root {
            return format!("permit user namespaces: sudo sysctl -w kernel.unprivileged_userns_clone=1 ({lasting})");
        }
        if self.apparmor_restricts && !self.is_root {
            return format!(
                "give bwrap an AppArmor profile: write \"abi <abi/4.0>, include <tunables/global> profile bwrap {} \
                 flags=(unconfined) {{ userns, }}\" to /etc/apparmor.d/bwrap, then: sudo apparmor_parser -r \
                 /etc/apparmor.d/bwrap",
                program.display()
            );
        }
        "permit namespaces here: in a container, start it with --security-opt seccomp=unconfined --security-opt \
         apparmor=unconfined --cap-add SYS_ADMIN; or set sandbox = \"none\" for this role"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_sandbox_from_being_made_comes_with_its_fix() {
        let missing = ask(Some(OsStr::new("/nowhere")), &Switches::default()).unwrap_err();
        assert!(missing.missing.contains("bwrap") && missing.fix.contains("apt install bubblewrap"), "{missing}");

        let dir = tempfile::tempdir().unwrap();
        let refusing = dir.path().join("bwrap");
        fs::write(&refusing, "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n").unwrap();
        std::os::unix::fs::chown(&refusing, None, None).unwrap();
        fs::set_permissions(&refusing, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let fix = |switches: &Switches| ask(Some(dir.path().as_os_str()), switches).unwrap_err();
        let by_default = fix(&Switches::default());
        assert!(by_default.missing.ends_with("setting up uid map: Permission denied"), "{by_default}");
        assert!(by_default.fix.contains("container"), "{by_default}");
        for (switches, said) in [
            (Switches { apparmor_restricts: true, ..Switches::default() }, "/etc/apparmor.d/bwrap"),
            (Switches { clone_is_off: true, ..Switches::default() }, "kernel.unprivileged_userns_clone=1"),
            (Switches { none_at_all: true, ..Switches::default() }, "user.max_user_namespaces"),
        ] {
            assert!(fix(&switches).fix.contains(said), "{switches:?}");
        }
        let as_root = Switches { apparmor_restricts: true, is_root: true, ..Switches::default() };
        assert!(!fix(&as_root).fix.contains("apparmor.d"), "root needs no user namespace");
    }
}
