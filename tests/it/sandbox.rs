//! Programs in a sandbox (`sandbox = "bwrap"`): what they see, reach and leave, and how they end.
//!
//! Each test runs as the user of the test and, where that is root, also as an ordinary user.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::Value;

use crate::common::World;

/// A user that owns nothing on this machine.
const ORDINARY: u32 = 61_234;

/// Runs a test as each user.
pub(super) fn as_each_user(tables: &str, test: impl Fn(&World)) {
    let users: &[Option<u32>] = if nix::unistd::geteuid().is_root() { &[None, Some(ORDINARY)] } else { &[None] };
    for user in users {
        println!("as user {user:?}");
        test(&World::builder().tables(tables).user(*user).build());
    }
}

pub(super) const BOXED: &str = "[roles.boxed]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nmax = 1\n";

/// Runs a script as a task, and returns the task and its output including errors.
#[track_caller]
pub(super) fn run(world: &World, role: &str, script: &str) -> (Value, String) {
    let id = world.orch_json(&["delegate", "--role", role, "--retries", "0", &format!("exec 2>&1\n{script}")]);
    let id = id["id"].as_str().expect("an id").to_owned();
    let waited = world.orch(&["wait", &id, "--timeout", "30s"]);
    assert!(matches!(waited.code, 0 | 1), "{waited:#?} {}", world.orch(&["why", &id]).stdout);
    let task = world.show(&id);
    let text = task["result"]["text"].as_str().unwrap_or_default().to_owned();
    (task, text)
}

/// Each line of a script that must fail, with the others.
fn all_fail(attempts: &[String]) -> String {
    let tries = attempts.iter().map(|attempt| {
        let quoted = attempt.replace('\'', "'\\''");
        format!("if sh -c '{quoted}' >/dev/null 2>&1; then echo 'POSSIBLE: {quoted}'; fi\n")
    });
    tries.collect::<String>() + "echo tried"
}

#[test]
fn a_program_sees_its_folder_and_nothing_of_its_user_or_of_other_agents() {
    as_each_user(BOXED, |world| {
        let secret = world.path.join(".ssh/id_ed25519");
        fs::create_dir(secret.parent().unwrap()).unwrap();
        fs::write(&secret, "the key").unwrap();
        let outside = world.path.join("other-project");
        fs::create_dir(&outside).unwrap();
        world.give_to_user();
        world.start();
        let (_, text) =
            run(world, "boxed", "echo made > made; cat made; orch --version; ls -A ~ | grep -v project; id -u");
        assert!(text.starts_with("made\norch "), "{text}");
        assert_eq!(fs::read_to_string(world.project.join("made")).unwrap(), "made\n");

        let (home, state) = (world.path.display(), world.home.display());
        let (runner, supervisor) = (world.runner_pid("boxed-1"), world.supervisor_pid());
        let attempts = [
            format!("cat {}", secret.display()),
            "cat ~/.ssh/id_ed25519".to_owned(),
            format!("ls {}", outside.display()),
            format!("ls {state}/redis {state}/agents {state}/launch {state}/supervisor.log"),
            format!("ls {}", world.socket.display()),
            format!("test -e {home}/home/redis/redis.sock"),
            "echo x > sessions.toml".to_owned(),
            "mv sessions.toml away".to_owned(),
            "echo x > /usr/bin/planted".to_owned(),
            "echo x > /etc/planted".to_owned(),
            "cat /etc/shadow | grep .".to_owned(),
            format!("kill -0 {runner}"),
            format!("kill -0 {supervisor}"),
            format!("ls /proc/{runner}"),
            "cat /proc/1/environ | grep .".to_owned(),
            "readlink /proc/1/fd/* | grep .".to_owned(),
            "cat /proc/1/fd/*".to_owned(),
            "cat /proc/1/mem".to_owned(),
            "kill -9 1 && ! kill -0 1".to_owned(),
            "test -w /proc/sys/kernel/core_pattern".to_owned(),
            "test -w /proc/sysrq-trigger".to_owned(),
            "unshare --user true".to_owned(),
            "unshare --mount true".to_owned(),
            "mount -t tmpfs none /mnt".to_owned(),
            "umount /tmp".to_owned(),
            "umount -l ~".to_owned(),
            "chroot / true".to_owned(),
            "test -e /dev/sda || test -e /dev/vda || test -e /dev/mem || test -e /dev/kmsg".to_owned(),
            "mknod /tmp/null c 1 3".to_owned(),
            "grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status".to_owned(),
            "grep -E 'NoNewPrivs:.*0|Seccomp:.*[01]$' /proc/self/status".to_owned(),
            // TIOCSTI and TIOCLINUX on a terminal of its own; the user's keys; the memory of another process.
            "perl -e 'open(T, \"+</dev/ptmx\"); exit !(ioctl(T, 0x5412, \"x\"))'".to_owned(),
            "perl -e 'open(T, \"+</dev/ptmx\"); $c=\"\\2\"; ioctl(T, 0x541c, $c); exit !($!{EINVAL} || $!{ENOTTY})'"
                .to_owned(),
            "true < /dev/tty".to_owned(),
        ];
        let (_, text) = run(world, "boxed", &all_fail(&attempts));
        assert_eq!(text, "tried\n");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "the key");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(!world.project.join("away").exists());
        world.orch(&["stop"]).ok();
    });
}

#[test]
fn the_verbs_of_orch_work_through_the_socket_of_the_agent() {
    let tables = format!("{BOXED}[roles.helper]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nnetwork = \"none\"\n");
    as_each_user(&tables, |world| {
        world.start();
        let (task, text) = run(
            world,
            "boxed",
            "orch delegate --wait --role helper 'echo from below'; orch status >/dev/null && echo ok",
        );
        assert_eq!(text, "from below\nok\n", "{task:#}");
        assert_eq!(task["children"].as_array().unwrap().len(), 1, "it is the agent's own subtask");
        world.orch(&["stop"]).ok();
    });
}

#[test]
fn the_same_attempts_succeed_without_a_sandbox() {
    let world = World::builder().tables("[roles.open]\ndriver = \"shell\"").build();
    fs::write(world.path.join("secret"), "x").unwrap();
    world.start();
    let script = format!("cat ~/secret && ls {}/redis && kill -0 $PPID && echo seen", world.home.display());
    assert!(run(&world, "open", &script).1.ends_with("seen\n"), "the attempts prove something");
}

/// Runs git as the world's user.
fn git(world: &World, folder: &Path, words: &[&str]) -> String {
    let mut command: Command = world.command("git");
    let output = command.current_dir(folder).args(words).output().expect("git");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_repository_can_be_committed_to_and_runs_nothing_that_was_planted() {
    as_each_user(BOXED, |world| {
        let project = &world.project;
        fs::write(
            world.path.join(".gitconfig"),
            "[user]\nname = A\nemail = a@example.com\n[init]\ndefaultBranch = main\n",
        )
        .unwrap();
        world.give_to_user();
        git(world, project, &["init", "-q"]);
        git(world, project, &["add", "sessions.toml"]);
        git(world, project, &["commit", "-qm", "first"]);
        let worktree = world.path.join("tree");
        git(world, project, &["worktree", "add", "-q", worktree.to_str().unwrap(), "-b", "side"]);
        fs::remove_dir_all(project.join(".git/hooks")).unwrap();
        world.start();

        for (folder, branch) in [(project, "new"), (&worktree, "newer")] {
            let commit = format!(
                "echo x >> file; git add file && git commit -qm more && git checkout -q -b {branch} && echo y >> file && \
                 git commit -qam again && git log --oneline | wc -l"
            );
            let (task, text) = in_folder(world, folder, &commit);
            assert_eq!(text.trim(), "3", "{task:#}");
            assert_eq!(git(world, folder, &["log", "-1", "--format=%s"]), "again");
            assert_eq!(git(world, folder, &["status", "--porcelain"]), "", "the index is the repository's own");
        }

        let plant = "printf '#!/bin/sh\\ntouch ~/planted\\n'";
        let common = project.join(".git");
        let common = common.display();
        let attempts = [
            format!("mkdir -p {common}/hooks && {plant} > {common}/hooks/post-commit"),
            format!("mv {common}/hooks {common}/old"),
            format!("mv {common} {common}-old"),
            format!("rmdir {common}/hooks && mkdir {common}/hooks"),
            "git config core.fsmonitor 'touch ~/planted'".to_owned(),
            "git config --worktree core.fsmonitor 'touch ~/planted'".to_owned(),
            format!("echo x > {common}/config.worktree"),
            format!("echo x > {common}/info/attributes"),
            format!("mkdir -p {common}/modules/x"),
            "git config --global core.hooksPath . && git config --global core.hooksPath | grep -q .".to_owned(),
        ];
        let (_, text) = in_folder(world, project, &all_fail(&attempts));
        assert_eq!(text, "tried\n");
        let (_, text) = in_folder(
            world,
            &worktree,
            &all_fail(
                &[
                    attempts[..3].to_vec(),
                    vec![
                        format!("echo {0}/evil > {common}/worktrees/tree/commondir", worktree.display()),
                        "rm .git".to_owned(),
                        "echo 'gitdir: evil' > .git".to_owned(),
                        format!("echo x > {common}/HEAD"),
                    ],
                ]
                .concat(),
            ),
        );
        assert_eq!(text, "tried\n");

        // A mount can't prevent this one.
        let evil = "mkdir -p evil/objects evil/refs; printf '[core]\\nfsmonitor = touch ~/planted\\n' > evil/config; \
                    echo ../evil > .git/commondir; for i in 1 2 3 4 5 6 7 8 9; do test -e .git/commondir || break; sleep 0.1; \
                    done; test -e .git/commondir && echo there; echo ../evil > .git/commondir";
        let (_, text) = in_folder(world, project, evil);
        assert_eq!(text, "");
        assert!(!project.join(".git/commondir").exists(), "it is gone when the sandbox has ended");
        git(world, project, &["status"]);
        git(world, project, &["commit", "-q", "--allow-empty", "-m", "by a person"]);
        assert!(!world.path.join("planted").exists());
        world.orch(&["stop"]).ok();
    });
}

#[track_caller]
fn in_folder(world: &World, folder: &Path, script: &str) -> (Value, String) {
    let script = format!("exec 2>&1\n{script}");
    let words = ["delegate", "--role", "boxed", "--retries", "0", "--cwd", folder.to_str().unwrap(), &script];
    let id = world.orch_json(&words)["id"].as_str().unwrap().to_owned();
    world.orch(&["wait", &id, "--timeout", "30s"]);
    let task = world.show(&id);
    let text = task["result"]["text"].as_str().unwrap_or_default().to_owned();
    (task, text)
}

#[test]
fn a_sandbox_whose_protection_is_lost_ends_and_the_task_is_tried_again() {
    let world = World::builder().tables(BOXED).build();
    git(&world, &world.project, &["init", "-q"]);
    world.start();
    // The first attempt waits; the second one ends.
    let id = world.delegate("boxed", "if test -e first; then exit 0; fi; touch first; sleep 60");
    world.wait_until("the program runs", || world.project.join("first").exists());
    git(&world, &world.project, &["config", "user.name", "someone"]);
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["lost"], 1, "{task:#}");
    assert!(task["attempts"][0].to_string().contains(".git/config was replaced"), "{task:#}");
}

#[test]
fn a_program_ends_as_it_would_without_a_sandbox() {
    as_each_user(&format!("{BOXED}[roles.open]\ndriver = \"shell\"\n"), |world| {
        world.start();
        for script in ["exit 7", "exit 0", "kill -9 $$", "kill -TERM $$", "kill -SEGV $$", "exit 137"] {
            let ends = ["open", "boxed"].map(|role| {
                let (task, _) = run(world, role, script);
                let end = &task["attempts"][0];
                (
                    task["state"].clone(),
                    task["reason"].clone(),
                    end["cause"].clone(),
                    end["exit_code"].clone(),
                    end["code"].clone(),
                )
            });
            assert_eq!(ends[0], ends[1], "{script}");
        }
        // It gets SIGTERM, and its grace period; what it has started gets the same; nothing outlives it.
        let script = "(trap 'echo child >> asked; exit' TERM; while :; do sleep 0.05; done) & \
                      setsid sleep 1000 & trap 'echo program >> asked; exit 0' TERM; touch begun; while :; do sleep 0.05; done";
        let id = world.delegate("boxed", script);
        world.wait_until("it runs", || world.project.join("begun").exists());
        world.orch(&["cancel", &id]).ok();
        world.wait_for(&id, "cancelled");
        let mut asked: Vec<String> =
            fs::read_to_string(world.project.join("asked")).unwrap_or_default().lines().map(str::to_owned).collect();
        asked.sort_unstable();
        assert_eq!(asked, ["child", "program"]);
        let is_left = |p: &crate::common::Process| {
            fs::read(format!("/proc/{}/cmdline", p.pid)).is_ok_and(|line| line.windows(5).any(|five| five == b"sleep"))
        };
        assert!(!world.processes().iter().any(is_left), "nothing outlives it");

        // The death of its runner is the end of everything in it.
        let script = "if test -e second; then exit 0; fi; touch second; setsid sleep 1001 & sleep 1002";
        let id = world.delegate("boxed", script);
        world.wait_until("it runs", || world.project.join("second").exists());
        crate::common::kill9(world.runner_pid("boxed-1"));
        world.wait_for(&id, "succeeded");
        assert!(!world.processes().iter().any(is_left), "nothing outlives its runner");
        world.orch(&["stop"]).ok();
    });
}

/// Prints by how much a sandbox delays the start of an attempt.
#[test]
fn a_sandbox_is_made_in_milliseconds() {
    use orch::{
        config::{Config, Env},
        drivers::Start,
        launchers::{Bwrap, Direct, Invocation, Launcher},
    };
    let dir = tempfile::Builder::new().prefix("orch-e2e-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let env = Env { cwd: dir.path().into(), state_home: Some(dir.path().into()), ..Env::default() };
    let mut role = Config::load_with(&env, None).unwrap().roles.remove("shell").unwrap();
    role.sandbox = orch::config::Sandbox::Bwrap;
    let start = Start { program: "/bin/true".into(), ..Start::default() };
    let bwrap = Bwrap::with_program(env!("CARGO_BIN_EXE_orch").into());
    let time = |launcher: &dyn Launcher| {
        let mut times: Vec<f64> = (0..21)
            .map(|_| {
                let began = std::time::Instant::now();
                let invocation = Invocation::plain(&start, dir.path(), Vec::new(), &role);
                let status = launcher.command(&invocation).unwrap().status().unwrap();
                assert!(launcher.status(status).unwrap().success());
                began.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (direct, boxed) = (time(&Direct), time(&bwrap));
    println!("direct {direct:.1} ms, in a sandbox {boxed:.1} ms: {:.1} ms more", boxed - direct);
    // The figure to reach is 15 ms; this only notices when something waits.
    assert!(boxed - direct < 500.0);
}
