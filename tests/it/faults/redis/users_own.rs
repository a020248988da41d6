//! A Redis that the user runs: unreachable, protected by a password, too old, shared, or suitable.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{net::UnixStream, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use crate::{
    common::{Process, Signal, World, refused, signal},
    faults::{config, write_config},
};

/// A redis-server that orch did not start.
pub(super) struct Own {
    pub(super) child: Child,
    pub(super) socket: PathBuf,
    port: u16,
}

impl Own {
    pub(super) fn start(world: &World, settings: &[&str]) -> Own {
        let program = orch::redis_server::find_program().unwrap();
        let port = free_port();
        let socket = world.file("own.sock");
        let mut command = Command::new(&program.path);
        command.arg0(program.argv0).args(["--save", "", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--unixsocket", socket.to_str().unwrap(), "--dir", world.path.to_str().unwrap()]).args(settings);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok() && UnixStream::connect(&socket).is_ok();
        world.wait_until("the user's own Redis listens", listens);
        Own { child, socket, port }
    }

    pub(super) fn connection(&self) -> redis::Connection {
        redis::Client::open(format!("unix://{}", self.socket.display())).unwrap().get_connection().unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn with_url(url: &str) -> World {
    let world = World::new();
    set_url(&world, url);
    world
}

pub(super) fn set_url(world: &World, url: &str) {
    let text = format!("{}[redis]\nurl = \"{url}\"\n", config(world));
    write_config(world, &text);
}

const ASKING: [&[&str]; 5] = [&["start"], &["delegate", "x"], &["tasks"], &["agents"], &["events"]];

#[test]
fn an_address_where_nothing_answers_is_exit_code_3() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let world = with_url(&url);
    for words in ASKING {
        refused(world.orch(words), 3, &["127.0.0.1", "url under [redis]"]);
    }
    let status = world.orch(&["status", "--json"]).ended(3).json();
    assert_eq!((&status["redis"]["state"], &status["redis"]["mode"]), (&"unreachable".into(), &"external".into()));
    world.orch(&["doctor"]).ended(4);
    assert_eq!(world.orch(&["stop"]).ok(), "nothing was running\n");
    assert!(world.processes().is_empty() && world.sessions().is_empty());
    let world = with_url("unix:///nowhere/redis.sock");
    refused(world.orch(&["start"]), 3, &["/nowhere/redis.sock"]);
}

#[test]
fn a_redis_that_requires_a_password_is_exit_code_4() {
    let world = World::new();
    let own = Own::start(&world, &["--requirepass", "open sesame"]);
    set_url(&world, &format!("redis://127.0.0.1:{}", own.port));
    for words in ASKING {
        refused(world.orch(words), 4, &["password", "[redis]"]);
    }
    // A wrong password is the same error; the right one connects, and is never shown.
    for (password, code) in [("wrong-one", 4), ("open%20sesame", 0)] {
        let text = config(&world);
        let (before, _) = text.split_once("[redis]").unwrap();
        write_config(&world, &format!("{before}[redis]\nurl = \"redis://:{password}@127.0.0.1:{}\"\n", own.port));
        let started = world.orch(&["start"]).ended(code);
        assert!(!started.stderr.contains("wrong-one"), "{started:#?}");
    }
    assert_eq!(world.orch(&["delegate", "--wait", "echo opened"]).ok(), "opened\n");
    let doctor = world.orch(&["doctor"]).stdout;
    let log = std::fs::read_to_string(world.home.join("supervisor.log")).unwrap();
    for text in [&doctor, &log] {
        assert!(!text.contains("sesame"), "{text}");
    }
    world.orch(&["stop"]).ok();
}

/// Starts a server that answers as an old Redis would, and returns its port.
fn old_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    port
}

/// Reads commands (`*N`, then N times `$LENGTH` and the word) and answers each. Returns `None` at the end of the
/// stream.
fn answer(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let number = |reader: &mut BufReader<&TcpStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim_end().get(1..)?.parse::<usize>().ok()
    };
    loop {
        let mut words = Vec::new();
        for _ in 0..number(&mut reader)? {
            let mut word = vec![0; number(&mut reader)? + 2];
            reader.read_exact(&mut word).ok()?;
            words.push(String::from_utf8_lossy(&word[..word.len() - 2]).to_ascii_uppercase());
        }
        let info = "# Server\r\nredis_version:5.0.0\r\nloading:0\r\n";
        let answer = match words.first().map(String::as_str) {
            Some("INFO") => format!("${}\r\n{info}\r\n", info.len()),
            Some("PING") => "+PONG\r\n".to_owned(),
            Some("CLIENT" | "SELECT") => "+OK\r\n".to_owned(),
            // An empty server.
            Some("GET") => "$-1\r\n".to_owned(),
            Some("EXISTS") => ":0\r\n".to_owned(),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        let mut stream = stream;
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn a_redis_that_is_too_old_is_exit_code_4() {
    let world = with_url(&format!("redis://127.0.0.1:{}", old_server()));
    refused(world.orch(&["start"]), 4, &["5.0.0", "6.2"]);
    assert!(world.sessions().is_empty() && world.processes().is_empty());
    let doctor = world.orch(&["doctor"]).ended(4);
    assert!(doctor.stdout.contains("5.0.0"), "{doctor:#?}");
    for words in &ASKING[1..] {
        refused(world.orch(words), 4, &["5.0.0"]);
    }
}

#[test]
fn the_users_own_redis_works_and_nothing_else_in_it_is_touched() {
    for by_socket in [true, false] {
        let world = World::new();
        let own = Own::start(&world, &[]);
        set_url(
            &world,
            &match by_socket {
                true => format!("unix://{}", own.socket.display()),
                false => format!("redis://127.0.0.1:{}", own.port),
            },
        );
        let mut theirs = own.connection();
        for name in ["users", "orch", "orch:{x}:task:1", "task:1"] {
            redis::cmd("SET").arg(name).arg("theirs").exec(&mut theirs).unwrap();
        }
        world.start();
        let status = world.status();
        assert_eq!((&status["redis"]["state"], &status["redis"]["mode"]), (&"ok".into(), &"external".into()));
        assert_eq!(world.orch(&["delegate", "--wait", "orch delegate --wait 'echo two levels'"]).ok(), "two levels\n");
        world.orch(&["stop"]).ok();

        assert!(redis::cmd("PING").query::<String>(&mut theirs).is_ok(), "orch does not stop the user's Redis");
        world.wait_until("only the user's Redis is left", || world.processes().iter().all(|p| p.pid == own.child.id()));
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut theirs).unwrap();
        keys.retain(|key| !key.starts_with("orch:{w}:"));
        keys.sort();
        assert_eq!(keys, ["orch", "orch:{x}:task:1", "task:1", "users"]);
        for key in keys {
            assert_eq!(redis::cmd("GET").arg(key).query::<String>(&mut theirs).unwrap(), "theirs");
        }
        assert!(!world.home.join("redis/redis.sock").exists(), "orch starts no private server");
        // The data is kept for the next start.
        world.start();
        assert_eq!(world.orch_json(&["tasks"]).as_array().unwrap().len(), 2);
        world.orch(&["stop"]).ok();
    }
}

/// Two clones of one project, or two machines, do not share the lock in the state folder.
#[test]
fn a_shared_redis_has_one_supervisor_per_namespace() {
    let one = World::new();
    let own = Own::start(&one, &[]);
    let url = format!("unix://{}", own.socket.display());
    set_url(&one, &url);
    let two = with_url(&url);
    one.start();
    // A copied id does not make two state folders one.
    std::fs::create_dir_all(&two.home).unwrap();
    let owner = std::fs::read(one.home.join("owner.json")).unwrap();
    let owner: serde_json::Value = serde_json::from_slice(&owner).unwrap();
    std::fs::write(two.home.join("id"), owner["id"].as_str().unwrap()).unwrap();
    std::fs::write(two.home.join("project"), two.project.to_str().unwrap()).unwrap();
    refused(two.orch(&["start"]), 6, &[one.home.to_str().unwrap(), "orch stop"]);
    assert_eq!(two.orch(&["stop"]).ok(), "nothing was running\n");
    assert!(two.processes().is_empty() && two.sessions().is_empty());
    let from = format!("is supervised from {}:{}", orch::os::hostname(), one.home.display());
    for asked in [two.orch(&["status"]), two.orch(&["doctor"])] {
        assert!(asked.stdout.contains(&from) && !asked.stdout.contains("not running"), "{asked:#?}");
        assert!(!asked.stdout.contains("start what is stopped") && !asked.stdout.contains("adopts what"), "{asked:#?}");
    }
    assert_eq!(one.orch(&["delegate", "--wait", "echo still here"]).ok(), "still here\n");
    one.orch(&["stop"]).ok();
    two.start();

    // A supervisor that was stopped until another one took over notices that before it acts.
    let stopped = Process::of(two.supervisor_pid()).unwrap();
    signal(stopped.pid, Signal::SIGSTOP);
    one.wait_until("the leadership of the stopped supervisor has expired", || one.orch(&["start"]).code == 0);
    signal(stopped.pid, Signal::SIGCONT);
    one.wait_until("the stopped supervisor has exited", || !stopped.is_alive());
    let log = std::fs::read_to_string(two.home.join("supervisor.log")).unwrap();
    let owner = format!(":{} already", one.home.display());
    assert!(log.contains("is supervised from") && log.contains(&owner), "{log}");
    assert_eq!(one.orch(&["delegate", "--wait", "echo goes on"]).ok(), "goes on\n");
    one.orch(&["stop"]).ok();
}

/// Runs until it is told to end, and counts how often it was begun.
fn counted(world: &World, name: &str, rest: &str) -> String {
    format!("echo x >> {}; {rest}", world.file(name).display())
}

#[test]
fn another_redis_than_that_of_the_last_start_is_refused_and_nothing_runs_again() {
    let (world, other) = (World::new(), World::new());
    let (one, two) = (Own::start(&world, &[]), Own::start(&other, &[]));
    let plain = config(&world);
    let at = |own: &Own| format!("redis://127.0.0.1:{}", own.port);
    set_url(&world, &at(&one));
    world.start();
    let failed = world.delegate("shell", &counted(&world, "failed", "exit 65"));
    let cancelled = world.delegate("shell", &counted(&world, "cancelled", "sleep 1000"));
    world.wait_for(&failed, "failed");
    world.wait_for(&cancelled, "running");
    world.orch(&["cancel", &cancelled]).ok();
    world.wait_for(&cancelled, "cancelled");
    let again = world.delegate("shell", &counted(&world, "again", &crate::common::gate(&world.file("go"))));
    world.wait_for(&again, "running");
    world.orch(&["stop"]).ok();

    for (words, names) in [(at(&two), at(&two)), (String::new(), "the private Redis in".to_owned())] {
        write_config(&world, &plain);
        if !words.is_empty() {
            set_url(&world, &words);
        }
        let said = refused(world.orch(&["start"]), 6, &[&at(&one), &names, " tasks were", "orch start --adopt"]);
        assert!(said.stderr.contains("url under [redis]"), "{said:?}");
        // Until a start, the project's tasks are where they were: what is asked and delegated goes there.
        let listed = world.orch(&["tasks", "--all"]);
        assert!(listed.stdout.contains(&again) && listed.stderr.contains(&at(&one)), "{listed:?}");
        let later = world.delegate("shell", &counted(&world, "later", "true"));
        assert_eq!(world.show(&later)["state"], "ready");
        world.orch(&["cancel", &later]).ok();
        assert!(world.sessions().is_empty() && world.runners().is_empty() && world.redis_pid_if_any().is_none());
        assert_eq!(world.orch(&["stop"]).ok(), "nothing was running\n");
    }
    write_config(&world, &plain);
    set_url(&world, &at(&two));
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut two.connection()).unwrap();
    assert_eq!(keys, [] as [&str; 0], "nothing was written there");

    world.orch(&["start", "--adopt"]).ok();
    assert_eq!(world.orch_json(&["tasks", "--all"]), serde_json::json!([]));
    assert_eq!(world.status()["attention"].to_string(), "[]");
    assert_eq!(world.orch(&["delegate", "--wait", "echo fresh"]).ok(), "fresh\n");
    // No task of before runs, whatever Redis loses from now on.
    redis::cmd("FLUSHALL").exec(&mut two.connection()).unwrap();
    world.wait_until("the loss was noticed", || !world.events_of("redis.lost_data").is_empty());
    world.orch(&["stop"]).ok();
    for name in ["failed", "cancelled", "again"] {
        assert_eq!(world.lines(name).len(), 1, "{name}");
    }

    // The first server has its tasks as they were.
    write_config(&world, &plain);
    set_url(&world, &at(&one));
    world.orch(&["start", "--adopt"]).ok();
    world.touch("go");
    world.wait_for(&again, "succeeded");
    assert_eq!((&world.show(&failed)["state"], world.lines("failed").len()), (&"failed".into(), 1));
    world.orch(&["stop"]).ok();
    // So it has by another address.
    write_config(&world, &plain);
    set_url(&world, &format!("unix://{}", one.socket.display()));
    world.start();
    assert_eq!(world.show(&again)["state"], "succeeded");
    world.orch(&["stop"]).ok();
}

#[test]
fn the_tasks_of_a_redis_with_a_login_are_looked_for_in_no_other_one() {
    let (world, other) = (World::new(), World::new());
    let (one, two) = (Own::start(&world, &["--requirepass", "open sesame"]), Own::start(&other, &[]));
    let plain = config(&world);
    let [at_one, at_two] = [&one, &two].map(|own| format!("127.0.0.1:{}", own.port));
    set_url(&world, &format!("redis://:open%20sesame@{at_one}"));
    world.start();
    let task = world.delegate("shell", &crate::common::gate(&world.file("go")));
    world.wait_for(&task, "running");

    let change = || {
        write_config(&world, &plain);
        set_url(&world, &format!("redis://{at_two}"));
    };
    let is_refused = || {
        for words in [&["tasks"][..], &["delegate", "--role", "shell", "true"], &["events"], &["status"]] {
            let said = refused(world.orch(words), 4, &[&at_one, &at_two, "set url under [redis] as it was"]);
            assert!(!said.stderr.contains("sesame"), "{said:?}");
        }
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut two.connection()).unwrap();
        assert_eq!(keys, [] as [&str; 0], "nothing was written there");
    };
    change();
    is_refused();
    refused(world.orch(&["start"]), 4, &[&at_one, &at_two]);
    refused(world.orch(&["reload"]), 4, &[&at_one, &at_two]);
    world.orch(&["stop"]).ended(0);
    assert!(world.runners().is_empty() && world.sessions().is_empty());
    is_refused();
    refused(world.orch(&["start"]), 6, &[&at_one, &at_two, "orch start --adopt"]);

    write_config(&world, &plain);
    set_url(&world, &format!("redis://:open%20sesame@{at_one}"));
    drop(one);
    // The state folder knows that there are tasks, and where.
    let away =
        refused(world.orch(&["tasks"]), 3, &[&at_one, "what became of the 1 task of this project is recorded there"]);
    assert!(!away.stderr.contains("sesame"), "{away:?}");
    assert!(world.orch(&["status"]).ended(3).stdout.contains("of the 1 task of this project"));
}
