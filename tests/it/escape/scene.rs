//! A world with everything that an attempt aims at: a user's files, another agent at work, tasks, terminals, listeners.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader, Read},
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::attempts::{Attempt, Success};
use crate::common::{Process, World, start};

/// The secret of role `privileged`.
pub const TOKEN: &str = "planted-token-Zx9Q";
/// A user that owns nothing on this machine, for programs that run as no root.
const ORDINARY: u32 = 61_234;
/// The owner of files that nobody else may read.
const ANOTHER: u32 = 61_235;
/// A trigger or the end of a task may take this long to show.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// Where the programs of the scene run, and as whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    None,
    Bwrap,
    BwrapAsOrdinaryUser,
}

/// An attempt that was made.
pub struct Tried {
    pub attempt: &'static Attempt,
    /// Its task as `orch show` prints it; null where a person ran the script.
    pub task: Value,
}

pub struct Scene {
    pub world: World,
    /// The task of role `victim`, whose program runs all the time.
    pub victim: String,
    /// Where that program has left its result.
    pub victim_result: PathBuf,
    /// A task that waits for its paused role.
    pub waiting: String,
    pub failed: String,
    /// The password of Redis's user `supervisor`.
    pub password: String,
    /// A file in a folder of programs that nobody has made.
    pub programs: PathBuf,
    variables: Vec<(&'static str, String)>,
    processes: Vec<(&'static str, Process)>,
    received: Arc<Mutex<String>>,
    inbox: RefCell<String>,
    /// Files outside of the world.
    shared: [PathBuf; 2],
}

impl Scene {
    pub fn new(mode: Mode) -> Scene {
        let sandbox = if mode == Mode::None { "" } else { "sandbox = \"bwrap\"\nnetwork = \"none\"\n" };
        let tables = format!(
            "[roles.hostile]\ndriver = \"shell\"\nmax = 3\n{sandbox}\
             [roles.victim]\ndriver = \"shell\"\nmax = 1\nenv = {{ PLANTED = \"planted-environment\" }}\n{sandbox}\
             [roles.privileged]\ndriver = \"shell\"\nenv_from = [\"DEPLOY_TOKEN\"]\n\
             [roles.idle]\ndriver = \"shell\"\n[roles.unused]\ndriver = \"shell\"\n[roles.scaled]\ndriver = \"shell\"\nmax = 2\n"
        );
        let user = (mode == Mode::BwrapAsOrdinaryUser).then_some(ORDINARY);
        let builder = World::builder().user(user).supervisor("max_children", "50").tables(&tables);
        // Without a sandbox, the default tmux server is at stake, too. It is one of the world's own.
        let world = if mode == Mode::None { builder.users_own_server() } else { builder }.build();
        let unique = world.path.file_name().expect("a name").to_string_lossy().into_owned();
        let shared = [Path::new("/tmp").join(format!("{unique}.txt")), Path::new("/dev/shm").join(&unique)];
        let mut scene = Scene {
            victim: String::new(),
            victim_result: PathBuf::new(),
            waiting: String::new(),
            failed: String::new(),
            password: String::new(),
            programs: Path::new("/usr/local/bin").join(&unique),
            variables: Vec::new(),
            processes: Vec::new(),
            received: Arc::default(),
            inbox: RefCell::default(),
            shared,
            world,
        };
        scene.plant();
        scene.listen(&unique);
        scene.run();
        scene
    }

    /// Files of the user, of others, and a repository.
    fn plant(&mut self) {
        let at = |name: &str| self.world.path.join(name);
        for folder in [".ssh", "out", "bin", "project/loot"] {
            fs::create_dir(at(folder)).expect(folder);
        }
        if let Some(folder) = self.world.socket.parent().filter(|folder| !folder.exists()) {
            fs::create_dir(folder).expect("a folder");
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("chmod");
        }
        fs::write(at(".ssh/id_planted"), "planted-key\n").expect("a key");
        fs::write(at(".profile"), "").expect("a file");
        fs::write(at(".gitconfig"), "[user]\nname = A\nemail = a@example.com\n[init]\ndefaultBranch = main\n")
            .expect("a file");
        for (path, text) in self.shared.iter().zip(["planted-shared\n", "planted-shm\n"]) {
            fs::write(path, text).expect("a file");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("chmod");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_orch"), at("bin/orch")).expect("a link");
        self.world.give_to_user();
        for words in [
            &["init", "-q"][..],
            &["config", "extensions.worktreeConfig", "true"],
            &["add", "sessions.toml"],
            &["commit", "-qm", "first"],
        ] {
            assert!(self.git(words), "git {words:?}");
        }
        if nix::unistd::geteuid().is_root() {
            let [file, program] = ["project/of-another-user", "project/cat-as-another"].map(at);
            fs::write(&file, "planted-of-another\n").expect("a file");
            fs::copy("/bin/cat", &program).expect("a program");
            for (path, mode) in [(file, 0o600), (program, 0o4755)] {
                std::os::unix::fs::chown(&path, Some(ANOTHER), Some(ANOTHER)).expect("chown");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            }
        }
    }

    /// Listeners that write down what they receive.
    fn listen(&mut self, unique: &str) {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let file = self.world.path.join("user.sock");
        let named = UnixListener::bind(&file).expect("a socket");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).expect("chmod");
        let address = SocketAddr::from_abstract_name(unique).expect("a name");
        let unnamed = UnixListener::bind_addr(&address).expect("a socket");
        self.variables.extend([
            ("TCP", tcp.local_addr().expect("an address").to_string()),
            ("UDP", udp.local_addr().expect("an address").to_string()),
            ("SOCKET_FILE", file.display().to_string()),
            ("ABSTRACT", unique.to_owned()),
        ]);
        // They end with the test's process.
        let received = self.received.clone();
        thread::spawn(move || tcp.incoming().flatten().for_each(|stream| keep_line(&received, stream)));
        for listener in [named, unnamed] {
            let received = self.received.clone();
            thread::spawn(move || listener.incoming().flatten().for_each(|stream| keep_line(&received, stream)));
        }
        let received = self.received.clone();
        thread::spawn(move || {
            let mut bytes = [0; 200];
            while let Ok(length) = udp.recv(&mut bytes) {
                received.lock().expect("unpoisoned").push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
    }

    /// The terminal of a person, orch, and the tasks of others.
    fn run(&mut self) {
        let world = &self.world;
        world.tmux(&["new-session", "-d", "-s", "person", "cat"]).ok();
        let terminal = world.tmux(&["display-message", "-p", "-t", "=person:", "#{pane_tty}"]).ok().trim().to_owned();
        let mut begin = world.orch_command(&["start"]);
        begin.env("DEPLOY_TOKEN", TOKEN);
        start(begin).end().ok();

        let secret = world.delegate("privileged", "echo planted-public; echo \"it is $DEPLOY_TOKEN\"");
        world.wait_for(&secret, "succeeded");
        let failed = world.orch_json(&["delegate", "--role", "privileged", "--retries", "0", "exit 1"]);
        self.failed = failed["id"].as_str().expect("an id").to_owned();
        world.wait_for(&self.failed, "failed");
        world.orch(&["pause", "idle"]).ok();
        self.waiting = world.delegate("idle", "true");
        self.victim = world.delegate(
            "victim",
            "echo planted-pane; for n in 1 2 3 4; do orch ask --no-wait \"May I $n?\"; done\n\
             echo '{\"text\": \"planted-result\"}' > \"$ORCH_RESULT\"; echo \"$ORCH_RESULT\" > loot/victim\n\
             exec perl -e '$m = join(\"-\", \"planted\", \"memory\"); sleep 1 until -e \"loot/go\"' planted-argument",
        );
        let mut program = None;
        world.wait_until("the victim works", || {
            program = world.processes().into_iter().find(|process| process.command.starts_with("perl "));
            program.is_some()
        });
        self.victim_result = fs::read_to_string(world.project.join("loot/victim")).expect("a path").trim().into();
        // The file may belong to the world's user.
        let passwords = fs::read(world.home.join("redis/passwords.json")).expect("passwords");
        let passwords: Value = serde_json::from_slice(&passwords).expect("JSON");
        self.password = passwords["supervisor"].as_str().expect("a password").to_owned();
        let process = |pid| Process::of(pid).expect("a process");
        self.processes = vec![
            ("VICTIM", program.expect("a process")),
            ("RUNNER", process(world.runner_pid("victim-1"))),
            ("SUPERVISOR", process(world.supervisor_pid())),
            ("REDIS", process(world.redis_pid())),
            ("TMUX_SERVER", process(world.tmux_server_pid())),
        ];
        let path = |path: &Path| path.display().to_string();
        self.variables.extend([
            ("WORLD", path(&world.path)),
            ("PROJECT", path(&world.project)),
            ("STATE", path(&world.home)),
            ("TMUX_SOCKET", path(&world.socket)),
            ("PERSONS_TERMINAL", terminal),
            ("SHARED", path(&self.shared[0])),
            ("SHARED_MEMORY", path(&self.shared[1])),
            ("PROGRAMS", path(&self.programs)),
            ("VICTIM_TASK", self.victim.clone()),
            ("VICTIM_RESULT", path(&self.victim_result)),
            ("WAITING_TASK", self.waiting.clone()),
            ("FAILED_TASK", self.failed.clone()),
            ("SECRET_TASK", secret),
        ]);
        self.variables.extend(self.processes.iter().map(|(name, process)| (*name, process.pid.to_string())));
    }

    /// The attempt's script with its variables.
    fn script(&self, attempt: &Attempt) -> String {
        let name = slug(attempt);
        let own = [
            ("NAME", name.clone()),
            ("LOOT", self.world.project.join("loot").join(&name).display().to_string()),
            ("OUT", self.world.path.join("out").join(&name).display().to_string()),
        ];
        let variables = self.variables.iter().chain(&own);
        let variables: String = variables.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        format!("{variables}exec > \"$PROJECT/loot/$NAME.log\" 2>&1\n{}\n", attempt.script)
    }

    /// Delegates an attempt to an agent.
    pub fn begin(&self, attempt: &'static Attempt) -> String {
        let words = ["delegate", "--role", "hostile", "--retries", "0", "--timeout", "20s", &self.script(attempt)];
        let task = self.world.orch_json(&words);
        task["id"].as_str().expect("an id").to_owned()
    }

    /// Waits for the end of an attempt.
    pub fn ended(&self, attempt: &'static Attempt, id: &str) -> Tried {
        let mut task = Value::Null;
        // A task whose program has ended with an open question is held.
        self.world.wait_until(&format!("'{}' ends", attempt.name), || {
            task = self.world.show(id);
            ["succeeded", "failed", "cancelled", "held"].iter().any(|state| task["state"] == *state)
        });
        Tried { attempt, task }
    }

    /// Runs the script of an attempt as a person.
    pub fn by_a_person(&self, attempt: &'static Attempt) -> Tried {
        let mut command = self.world.command("sh");
        command.args(["-c", &self.script(attempt)]);
        start(command).end();
        Tried { attempt, task: Value::Null }
    }

    /// What the user and other agents do anyway, and by which something planted would run.
    pub fn trigger(&self) {
        for words in [
            &["status"][..],
            &["planted"],
            &["commit", "-q", "--allow-empty", "-m", "by a person"],
            &["-c", "core.hooksPath=.git/hooks", "commit", "-q", "--allow-empty", "-m", "again"],
        ] {
            self.git(words);
        }
        let task = self.world.delegate("privileged", "orch --version; planted-tool; true");
        self.world.wait_for(&task, "succeeded");
    }

    pub fn has_succeeded(&self, tried: &Tried) -> bool {
        let name = slug(tried.attempt);
        match tried.attempt.success {
            Success::Reads(text) => self.read(&self.loot(tried)).contains(text),
            Success::Makes => self.world.path.join("out").join(name).exists(),
            Success::Sends => self.received.lock().expect("unpoisoned").contains(&format!("{name}\n")),
            Success::Ends(variable) => {
                let process = self.processes.iter().find(|(name, _)| *name == variable).expect("a process");
                !process.1.is_alive()
            }
            Success::Changes(is_changed) => is_changed(self, tried),
        }
    }

    /// Waits until an attempt is seen to have succeeded.
    pub fn succeeds_in_time(&self, tried: &Tried) -> bool {
        let began = Instant::now();
        while !self.has_succeeded(tried) {
            if began.elapsed() > SHOWN_WITHIN {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// What the script of an attempt has printed.
    pub fn log(&self, tried: &Tried) -> String {
        self.text(&format!("project/loot/{}.log", slug(tried.attempt)))
    }

    /// The file in the working folder that an attempt writes its loot to.
    pub fn loot(&self, tried: &Tried) -> PathBuf {
        self.world.project.join("loot").join(slug(tried.attempt))
    }

    pub fn read(&self, path: &Path) -> String {
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The text of a file in the world's folder; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        self.read(&self.world.path.join(name))
    }

    pub fn files_in(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.world.path.join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    pub fn is_device(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device())
    }

    pub fn redis_has(&self, key: &str) -> bool {
        let socket = orch::redis_server::socket_path(&self.world.home).expect("a path");
        let url = format!("redis+unix://{}?user=supervisor&pass={}", socket.display(), self.password);
        let connection = redis::Client::open(url).and_then(|client| client.get_connection());
        redis::cmd("EXISTS").arg(key).query(&mut connection.expect("Redis")).expect("Redis")
    }

    /// All messages to the master so far.
    pub fn inbox(&self) -> String {
        let mut inbox = self.inbox.borrow_mut();
        inbox.push_str(&self.world.orch(&["inbox"]).stdout);
        inbox.clone()
    }

    fn git(&self, words: &[&str]) -> bool {
        let mut command: Command = self.world.command("git");
        start({
            command.args(words);
            command
        })
        .end()
        .code
            == 0
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for path in self.shared.iter().chain([&self.programs]) {
            let _ = fs::remove_file(path);
        }
    }
}

fn keep_line(received: &Mutex<String>, stream: impl Read) {
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    received.lock().expect("unpoisoned").push_str(&line);
}

/// The name of an attempt as the name of a file.
fn slug(attempt: &Attempt) -> String {
    attempt.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}
