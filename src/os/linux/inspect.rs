//! Look-ups in `/proc` for tests and messages: the processes that use a folder, and parents, children, arguments and
//! descriptors of one process.

use std::{fs, io, os::unix::ffi::OsStrExt, path::Path};

use super::{descendants::children, stat::Stat};
use crate::os::ProcessId;

/// Returns every living process whose environment, arguments or working folder names `folder`, except this process.
/// Use it only for a folder that no unrelated process uses, such as a test's temporary folder.
///
/// # Errors
/// Fails when `/proc` cannot be read: then it is unknown which processes exist.
pub fn of_folder(folder: &Path) -> io::Result<Vec<ProcessId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid != std::process::id() && names(pid, folder) {
            found.extend(ProcessId::of(pid).filter(ProcessId::is_alive));
        }
    }
    Ok(found)
}

fn names(pid: u32, folder: &Path) -> bool {
    let needle = folder.as_os_str().as_bytes();
    // A process that has ended meanwhile, or belongs to another user, cannot be read.
    let holds = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        || holds("environ")
        || holds("cmdline")
}

/// Returns the command line of a process, for messages; `None` when it is gone.
pub fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " "))
}

/// Returns the arguments of every process of this user. Arguments that are no text are approximated.
pub fn arguments_of_all() -> Vec<Vec<String>> {
    let own = nix::unistd::getuid().as_raw();
    let of = |entry: fs::DirEntry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        // The owner of the folder would not do: a process that is not dumpable shows as root's there.
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?;
        let bytes = (uid.parse() == Ok(own)).then(|| fs::read(entry.path().join("cmdline")).ok())??;
        Some(bytes.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// Returns the arguments of a process. Arguments that are no text are approximated; empty if it is gone.
pub fn arguments_of(process: &ProcessId) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    bytes.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Returns the processes that `process` has started or adopted, including zombies; empty if it is gone.
pub fn children_of(process: &ProcessId) -> Vec<ProcessId> {
    if !process.is_alive() {
        return Vec::new();
    }
    children(process.pid).unwrap_or_default().into_iter().filter_map(ProcessId::of).collect()
}

/// Returns the parent of `process`; `None` if either is gone.
pub fn parent_of(process: &ProcessId) -> Option<ProcessId> {
    let stat = Stat::read(process.pid).ok()??;
    if stat.id != *process { None } else { ProcessId::of(stat.parent) }
}

/// Returns the processes above this one, its parent first, up to the first process of the system.
pub fn ancestors(pid: u32) -> Vec<ProcessId> {
    let mut above = Vec::new();
    let mut at = Stat::read(pid).ok().flatten().map_or(0, |stat| stat.parent);
    // A process that ends on the way gives its children to another one. The bound only guards against a circle that can't be.
    while at > 0 && above.len() < 1_000 {
        let Ok(Some(stat)) = Stat::read(at) else { break };
        above.push(stat.id);
        at = stat.parent;
    }
    above
}

/// Reports whether a process was started with this `NAME=value` in its environment. One that is gone, or whose environment
/// is not readable, was not, as far as is known.
pub fn has_entry(pid: u32, entry: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|one| one == entry.as_bytes())
}

/// Returns the number of descriptors that a process has open; `None` when it is gone, or another user's.
pub fn open_fds(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_names_a_folder_in_any_of_the_three_ways_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("its path");
        let start = |change: &dyn Fn(&mut Command)| {
            let mut command = Command::new("sleep");
            command.arg("1000");
            change(&mut command);
            command.spawn().expect("sleep")
        };
        let mut strangers = [start(&|_| {})];
        let mut ours = [
            start(&|c| {
                c.current_dir(&path);
            }),
            start(&|c| {
                c.env("WORLD", path.join("x"));
            }),
            Command::new("sh")
                .args(["-c", "sleep 1000; true"])
                .arg(&path)
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("sh"),
        ];
        let scan = || of_folder(&path).expect("scan").iter().map(|p| p.pid).collect::<Vec<u32>>();
        let mut found = scan();
        // `spawn` may return just before the kernel shows the environment of the new program.
        let began = std::time::Instant::now();
        while !ours.iter().all(|child| found.contains(&child.id())) {
            assert!(began.elapsed().as_secs() < 10, "{found:?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
            found = scan();
        }
        assert!(!found.contains(&strangers[0].id()) && !found.contains(&std::process::id()));

        let shell = ProcessId::of(ours[2].id()).expect("the shell");
        for child in children_of(&shell) {
            let _ = child.signal(nix::sys::signal::Signal::SIGKILL);
        }
        for child in ours.iter_mut().chain(&mut strangers) {
            let _ = child.kill();
            let _ = child.wait();
        }
        assert!(children_of(&shell).is_empty());
        assert_eq!(of_folder(&path).expect("scan"), Vec::new());
    }
}
