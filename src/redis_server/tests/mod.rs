//! Against real servers, each in a folder of its own. Whatever a test leaves running, its [`Home`] ends.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

mod access;

/// An ORCH_HOME that ends its server when the test ends, however it ends.
struct Home {
    _folder: tempfile::TempDir,
    spec: ServerSpec,
}

impl Home {
    fn new() -> Home {
        Home::named("home")
    }

    fn named(name: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let spec = ServerSpec::of_home(&folder.path().join(name), "test").unwrap();
        Home { _folder: folder, spec }
    }

    async fn start(&self) -> (Server, Origin) {
        Server::start_or_adopt(&self.spec).await.unwrap()
    }

    async fn start_error(&self) -> Error {
        Server::start_or_adopt_within(&self.spec, Duration::from_millis(300)).await.unwrap_err()
    }

    fn path(&self) -> &Path {
        self.spec.dir.parent().unwrap()
    }

    async fn connect(&self, user: User) -> redis::aio::MultiplexedConnection {
        let url = url_with_password(self.path(), user).unwrap();
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    async fn call(&self, user: User, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut connection = self.connect(user).await;
        let mut call = redis::cmd(command[0]);
        call.arg(&command[1..]);
        call.query_async(&mut connection).await
    }

    async fn run(&self, command: &[&str]) -> String {
        redis::from_redis_value(self.call(User::Supervisor, command).await.unwrap()).unwrap()
    }

    /// The lock, taken: fails if a server still holds it after a while.
    async fn take_lock(&self) -> FolderLock {
        let lock = FolderLock::open(&self.spec.dir).unwrap();
        assert!(becomes_true(Duration::from_secs(10), || lock.try_lock().unwrap()).await, "the lock is still held");
        lock
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Ok(lock) = FolderLock::open(&self.spec.dir) else {
            return;
        };
        // Held: the pid in it is the server's. (A stopped one ends by SIGKILL, too.)
        if !lock.try_lock().unwrap_or(true)
            && let Some(server) = lock.holder().and_then(process::living)
        {
            process::kill(&server);
        }
        let _ = places::remove_socket(&self.spec.dir, &self.spec.socket);
    }
}

async fn kill_9(server: &Server) {
    process::kill(&server.process);
    assert!(becomes_true(Duration::from_secs(10), || !server.is_alive()).await);
}

/// A server that is not orch's, on `socket`. Ended when dropped.
struct Foreign(Child);

impl Foreign {
    async fn start(dir: &Path, socket: &Path) -> Foreign {
        let program = find_program().unwrap();
        let mut command = Command::new(&program.path);
        std::os::unix::process::CommandExt::arg0(&mut command, program.argv0)
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(dir)
            .arg("--unixsocket")
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let foreign = Foreign(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Peer::connect(socket).await.is_none() {
            assert!(Instant::now() < deadline);
            sleep(Duration::from_millis(2)).await;
        }
        foreign
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_folder_that_holds_no_socket_is_named() {
    let mut home = Home::new();
    home.spec.socket = home.path().join("missing/redis.sock");
    let error = home.start_error().await;
    assert!(
        error.message.starts_with("Redis cannot open its socket ") && error.message.contains("missing"),
        "{error:?}"
    );
    assert!(error.hint.unwrap().contains("ORCH_HOME"));
}

#[tokio::test]
async fn it_starts_private_and_durable_and_leaves_nothing_when_shut_down() {
    let home = Home::new();
    let (server, origin) = home.start().await;
    assert_eq!(origin, Origin::Started);
    server.ping().await.unwrap();
    assert_eq!(check_version(&home.run(&["INFO"]).await).unwrap(), server.version);
    for (name, value) in [
        ("port", "0"),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("save", ""),
        ("maxmemory-policy", "noeviction"),
    ] {
        let mut connection = home.connect(User::Supervisor).await;
        let got: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await.unwrap();
        assert_eq!(got, [name, value]);
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&home.spec.dir), mode(&home.spec.socket), mode(&home.spec.dir.join("redis.log"))),
        (0o700, 0o700, 0o600)
    );
    // A session of its own: Ctrl-C and the end of the caller's terminal do not reach it.
    let pid = Pid::from_raw(server.pid as i32);
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);

    let process = server.process;
    server.shutdown().await.unwrap();
    assert!(!process.is_alive() && !home.spec.socket.exists());
    home.take_lock().await;
}

#[tokio::test]
async fn the_next_supervisor_adopts_it() {
    let home = Home::new();
    let (first, _) = home.start().await;
    let pid = first.pid;
    drop(first);
    let (second, origin) = home.start().await;
    assert_eq!((second.pid, origin), (pid, Origin::Adopted));
    second.shutdown().await.unwrap();
    assert!(!home.spec.socket.exists());
}

#[tokio::test]
async fn an_adopted_server_outlives_the_process_that_started_it() {
    // The other supervisor is a second run of this test program, which starts the server and ends without a word.
    const CHILD: &str = "ORCH_TEST_START_SERVER_IN";
    if let Some(home) = std::env::var_os(CHILD) {
        let spec = ServerSpec::of_home(Path::new(&home), "test").unwrap();
        Server::start_or_adopt(&spec).await.unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    }
    let home = Home::new();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "redis_server::tests::an_adopted_server_outlives_the_process_that_started_it"])
        .env(CHILD, home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let (server, origin) = home.start().await;
    assert_eq!(origin, Origin::Adopted);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn concurrent_starts_make_one_server() {
    let home = Home::new();
    let all = tokio::join!(home.start(), home.start(), home.start(), home.start());
    let all = [all.0, all.1, all.2, all.3];
    assert!(all.iter().all(|(server, _)| server.pid == all[0].0.pid));
    assert_eq!(all.iter().filter(|(_, origin)| *origin == Origin::Started).count(), 1);
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_the_stale_socket_is_replaced() {
    let home = Home::new();
    let (server, _) = home.start().await;
    home.run(&["SET", "task", "kept"]).await;
    kill_9(&server).await;
    assert!(home.spec.socket.exists(), "a killed server leaves its socket");
    assert_eq!(server.ping().await.unwrap_err().kind, Kind::NotRunning);

    let (again, origin) = home.start().await;
    assert_eq!(origin, Origin::Started);
    assert_eq!(home.run(&["GET", "task"]).await, "kept");
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_that_is_killed_while_it_starts_is_started_again() {
    let home = Home::new();
    places::prepare_dir(&home.spec.dir).unwrap();
    let lock = FolderLock::open(&home.spec.dir).unwrap();
    let killer = std::thread::spawn(move || {
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(first) = lock.holder().and_then(process::living) {
                return process::kill(&first);
            }
        }
        panic!("no server has started");
    });
    let (server, _) = home.start().await;
    killer.join().unwrap();
    let mut server = server;
    if !server.is_alive() {
        // The killer was late, and hit it when it served.
        server = home.start().await.0;
    }
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_server_alone_holds_the_lock() {
    let home = Home::new();
    let (server, _) = home.start().await;
    let lock = FolderLock::open(&home.spec.dir).unwrap();
    assert!(!lock.try_lock().unwrap());
    assert_eq!(lock.holder(), Some(server.pid));
    kill_9(&server).await;
    home.take_lock().await;
}

#[tokio::test]
async fn a_strangers_server_on_our_socket_is_not_adopted() {
    let home = Home::new();
    places::prepare_dir(&home.spec.dir).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Foreign::start(elsewhere.path(), &home.spec.socket).await;

    // The lock is free: no server of ours runs.
    let free = home.start_error().await;
    assert_eq!(free.kind, Kind::Conflict);
    assert!(free.message.contains(&foreign.0.id().to_string()), "{}", free.message);

    // The lock is held, with the pid of another process in it.
    let lock = home.take_lock().await;
    fs::OpenOptions::new()
        .write(true)
        .open(home.spec.dir.join("server.lock"))
        .unwrap()
        .write_all_at(b"1\n", 0)
        .unwrap();
    let held = home.start_error().await;
    assert_eq!(held.kind, Kind::Conflict);
    assert!(held.hint.unwrap().contains(&foreign.0.id().to_string()));
    drop(lock);
    assert!(home.spec.socket.exists(), "a stranger's socket is left alone");
}

#[tokio::test]
async fn a_lock_without_a_server_is_named() {
    let home = Home::new();
    places::prepare_dir(&home.spec.dir).unwrap();
    let _held = home.take_lock().await;
    let error = home.start_error().await;
    assert_eq!(error.kind, Kind::NotRunning);
    assert!(error.message.contains("server.lock is locked"), "{}", error.message);
}

#[tokio::test]
async fn a_stopped_server_is_named_and_shutdown_ends_it() {
    let home = Home::new();
    let (server, _) = home.start().await;
    kill(Pid::from_raw(server.pid as i32), Signal::SIGSTOP).unwrap();
    assert!(becomes_true(Duration::from_secs(10), || process::is_stopped(&server.process)).await);
    let error = home.start_error().await;
    assert_eq!(error.kind, Kind::NotRunning);
    assert_eq!(error.hint.unwrap(), format!("kill -CONT {}", server.pid));
    assert_eq!(server.ping().await.unwrap_err().kind, Kind::NotRunning);

    let process = server.process;
    server.shutdown_within(Duration::from_millis(100)).await.unwrap();
    assert!(!process.is_alive() && !home.spec.socket.exists());
}

#[tokio::test]
async fn a_server_whose_socket_was_removed_is_told_and_ended() {
    let home = Home::new();
    let (server, _) = home.start().await;
    fs::remove_file(&home.spec.socket).unwrap();
    let error = server.ping().await.unwrap_err();
    assert!(error.message.contains("socket"), "{}", error.message);
    assert!(home.start_error().await.hint.unwrap().contains(&format!("kill -9 {}", server.pid)));

    server.shutdown().await.unwrap();
    assert_eq!(home.start().await.1, Origin::Started);
}

#[tokio::test]
async fn damage_in_the_middle_names_the_command_that_mends_it() {
    let home = Home::new();
    let (server, _) = home.start().await;
    for n in 0..100 {
        home.run(&["SET", &format!("key{n}"), "value"]).await;
    }
    server.shutdown().await.unwrap();
    let aof = home.spec.dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    fs::OpenOptions::new().write(true).open(&aof).unwrap().write_all_at(b"XXXXXXXXXXXXXXXXXXXX", 1000).unwrap();

    let error = home.start_error().await;
    assert_eq!(error.kind, Kind::Configuration);
    let manifest = home.spec.dir.join("appendonlydir/appendonly.aof.manifest");
    let hint = error.hint.unwrap();
    assert!(hint.contains(&format!("-check-aof --fix {}", manifest.display())), "{hint}");
    assert!(error.message.contains("Bad file format"), "{}", error.message);
    home.take_lock().await;
}

#[tokio::test]
async fn a_cut_off_tail_starts() {
    let home = Home::new();
    let (server, _) = home.start().await;
    home.run(&["SET", "first", "kept"]).await;
    home.run(&["SET", "second", "cut"]).await;
    kill_9(&server).await;
    let aof =
        fs::OpenOptions::new().write(true).open(home.spec.dir.join("appendonlydir/appendonly.aof.1.incr.aof")).unwrap();
    aof.set_len(aof.metadata().unwrap().len() - 3).unwrap();
    home.start().await;
    assert_eq!(home.run(&["GET", "first"]).await, "kept");
}

#[tokio::test]
async fn a_long_home_gets_a_short_socket_and_no_trace_of_it_stays() {
    let home = Home::named(&"a long name ".repeat(12));
    let short = home.spec.socket.parent().unwrap().to_owned();
    assert!(short.starts_with("/tmp") && !short.exists());
    let (server, _) = home.start().await;
    server.ping().await.unwrap();
    assert_eq!(fs::metadata(&short).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(home.start().await.1, Origin::Adopted);
    server.shutdown().await.unwrap();
    assert!(!short.exists());
}

#[tokio::test]
async fn a_long_log_is_set_aside() {
    let home = Home::new();
    places::prepare_dir(&home.spec.dir).unwrap();
    let log = home.spec.dir.join("redis.log");
    fs::File::create(&log).unwrap().set_len(6 << 20).unwrap();
    home.start().await;
    assert!(fs::metadata(&log).unwrap().len() < 1 << 20);
    assert_eq!(fs::metadata(home.spec.dir.join("redis.log.1")).unwrap().len(), 6 << 20);
}

#[tokio::test]
async fn it_gets_nothing_of_the_callers_environment() {
    let home = Home::new();
    let (server, _) = home.start().await;
    // The test runner's own variable stands for a caller's secret.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let environment = fs::read(format!("/proc/{}/environ", server.pid)).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO_"));
}
