//! What a caller of `orch start` leaves to the process: variables, signals, limits. None of it ties the agents down.

use std::{fs, os::unix::process::CommandExt, process::Command};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use crate::common::World;

fn text(world: &World, task: &str) -> String {
    world.wait_for(task, "succeeded")["result"]["text"].as_str().unwrap().to_owned()
}

fn git(folder: &std::path::Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(words);
    let out = git.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_start_in_a_hook_of_git_ties_no_agent_to_that_repository() {
    let world = World::new();
    let [a, b] = ["a", "b"].map(|name| {
        let folder = world.file(name);
        fs::create_dir(&folder).unwrap();
        git(&folder, &["init", "-q", "-b", "main"]);
        git(&folder, &["commit", "-q", "--allow-empty", "-m", "first"]);
        folder
    });
    // What git sets for a hook of `a`, and a setting of its caller.
    let hook = [
        ("GIT_DIR", a.join(".git")),
        ("GIT_INDEX_FILE", a.join(".git/index")),
        ("GIT_PREFIX", "".into()),
        ("GIT_CONFIG_COUNT", "0".into()),
    ];
    let mut start = world.orch_command(&["start"]);
    start.envs(hook);
    crate::common::start(start).end().ok();
    let commit = format!(
        "cd {} && git -c user.name=T -c user.email=t@example.com commit -q --allow-empty -m second && env | grep ^GIT_ || true",
        b.display()
    );
    assert_eq!(text(&world, &world.delegate("shell", &commit)), "");
    assert_eq!(git(&b, &["log", "--format=%s"]), "second\nfirst\n");
    assert_eq!(git(&a, &["log", "--format=%s"]), "first\n");
    world.stop_and_check_nothing_left();
}

/// The signals that a process blocks and ignores, as the kernel shows them.
fn signals(status: &str) -> [u64; 2] {
    ["SigBlk:", "SigIgn:"].map(|field| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    })
}

#[test]
fn ignored_and_blocked_signals_of_the_caller_reach_neither_the_supervisor_nor_programs() {
    let world = World::new();
    let mut start = world.orch_command(&["start"]);
    let leave = || {
        // SAFETY: SIG_IGN runs no code.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
        let blocked: SigSet = [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGINT, Signal::SIGUSR1].into_iter().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?;
        Ok(())
    };
    // SAFETY: both calls are plain system calls.
    unsafe { start.pre_exec(leave) };
    crate::common::start(start).end().ok();
    let child = 1 << (Signal::SIGCHLD as u64 - 1);
    for pid in [world.supervisor_pid(), world.runner_pid("opus-master"), world.tmux_server_pid()] {
        let [blocked, ignored] = signals(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap());
        assert_eq!((blocked, ignored & child), (0, 0), "{pid}");
    }
    let program = text(&world, &world.delegate("shell", "cat /proc/self/status"));
    let [blocked, ignored] = signals(&program);
    assert_eq!((blocked, ignored & child), (0, 0));
    let supervisor = world.supervisor_pid();
    crate::common::signal(supervisor, Signal::SIGTERM);
    world.wait_until("SIGTERM stops the supervisor", || world.status()["supervisor"]["state"] == "stopped");
    world.stop_and_check_nothing_left();
}

#[test]
fn paths_and_variables_that_are_not_utf8_are_refused_or_named_before_anything_starts() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let world = World::new();
    let odd = OsStr::from_bytes(b"caf\xe9");
    let folder = world.path.join(odd);
    fs::create_dir(&folder).unwrap();
    for (name, value) in [("ORCH_HOME", folder.as_os_str()), ("HOME", folder.as_os_str()), ("PATH", odd)] {
        let mut start = world.orch_command(&["start"]);
        start.env(name, value);
        let refused = crate::common::start(start).end().ended(4);
        assert!(refused.stderr.contains("not UTF-8") && refused.stderr.contains("hint:"), "{name}: {refused:?}");
    }
    let mut start = world.orch_command(&["start"]);
    start.current_dir(&folder).env_remove("ORCH_CONFIG");
    let refused = crate::common::start(start).end().ended(4);
    assert!(refused.stderr.contains("not UTF-8"), "{refused:?}");
    assert!(world.processes().is_empty() && !world.home.join("redis").exists());

    let mut start = world.orch_command(&["start"]);
    start.env("LEGACY", odd).env("PLAIN", "x");
    let started = crate::common::start(start).end().ok();
    assert!(started.contains("not UTF-8, so agents do not get it: LEGACY"), "{started}");
    assert_eq!(text(&world, &world.delegate("shell", "echo $PLAIN$LEGACY")), "x\n");
    world.stop_and_check_nothing_left();
}

#[test]
fn agents_have_mask_niceness_and_limits_of_the_start_and_not_of_the_tmux_server() {
    let world = World::new();
    // A server that was started earlier, from a shell with others.
    let mut server = world.command("sh");
    let session =
        format!("umask 077; ulimit -S -n 500; exec tmux -S {} new-session -d -s mine cat", world.socket.display());
    server.args(["-c", &session]);
    crate::common::start(server).end().ok();
    let mut start = world.command("sh");
    let orch = env!("CARGO_BIN_EXE_orch");
    start.args(["-c", &format!("umask 027; ulimit -S -n 300; ulimit -S -c 0; exec nice -n 3 {orch} start")]);
    crate::common::start(start).end().ok();
    assert_eq!(text(&world, &world.delegate("shell", "umask; ulimit -S -n; ulimit -S -c; nice")), "0027\n300\n0\n3\n");
    world.orch(&["stop"]).ok();
    world.check_nothing_left(&["mine"]);
}
