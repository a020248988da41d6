//! Lost replies of Redis: the script has run, but its caller does not know.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use orch::{redis_server::find_program, store::transitions};

use crate::common::{Work, World, gate};

/// A redis-server that the user runs.
struct Own(Child);

impl Own {
    /// Starts it with an append-only file, so that it keeps its data over a restart.
    fn start(world: &World, socket: &Path) -> Own {
        let program = find_program().unwrap();
        let mut command = Command::new(&program.path);
        command
            .arg0(program.argv0)
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--unixsocket"])
            .arg(socket);
        command.arg("--dir").arg(&world.path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let own = Own(command.spawn().unwrap());
        world.wait_until("the user's own Redis listens", || UnixStream::connect(socket).is_ok());
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which replies are lost.
#[derive(Default)]
struct Plan {
    /// Every second reply to this script is lost.
    script: &'static str,
    calls: usize,
    lost: usize,
    /// The transitions by the hash of their script, recorded when the script was first sent in full.
    names: HashMap<String, &'static str>,
}

/// The transitions whose replies are lost, each with its name in the store.
const SCRIPTS: [(&str, &str); 9] = [
    ("delegate", "task/delegate"),
    ("claim", "task/claim"),
    ("finish", "task/finish"),
    ("end_agent", "agent/end"),
    ("spawn", "agent/spawn"),
    ("hello", "agent/register"),
    ("heartbeat", "agent/heartbeat"),
    ("stop_agent", "agent/stop"),
    ("request_spawn", "role/request_spawn"),
];

impl Plan {
    /// Returns whether the reply to this request is to be lost.
    fn loses(&mut self, request: &[Vec<u8>]) -> bool {
        let word = |n: usize| request.get(n).map(|w| String::from_utf8_lossy(w).into_owned()).unwrap_or_default();
        let name = match word(0).to_ascii_uppercase().as_str() {
            "EVAL" => {
                let text = word(1);
                let Some((transition, _)) = transitions().find(|(_, sent)| *sent == text) else { return false };
                let Some((name, _)) = SCRIPTS.iter().find(|(_, name)| *name == transition) else { return false };
                self.names.insert(sha1_smol::Sha1::from(&text).hexdigest(), name);
                *name
            }
            "EVALSHA" => self.names.get(&word(1)).copied().unwrap_or_default(),
            _ => return false,
        };
        if name.is_empty() || name != self.script {
            return false;
        }
        self.calls += 1;
        self.lost += self.calls % 2;
        self.calls % 2 == 1
    }
}

/// A proxy between orch and Redis.
struct Proxy(Arc<Mutex<Plan>>);

impl Proxy {
    fn start(at: &Path, server: PathBuf) -> Proxy {
        let listener = UnixListener::bind(at).unwrap();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let proxy = Proxy(plan.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (plan, server) = (plan.clone(), UnixStream::connect(&server));
                thread::spawn(move || server.and_then(|server| pass(&client, &server, &plan)));
            }
        });
        proxy
    }

    /// Loses every second reply to this script from now on.
    fn lose(&self, script: &'static str) {
        let mut plan = self.0.lock().unwrap();
        (plan.script, plan.calls, plan.lost) = (script, 0, 0);
    }

    fn lost(&self) -> usize {
        self.0.lock().unwrap().lost
    }
}

/// Forwards requests and replies alternately, until a reply is to be lost.
fn pass(client: &UnixStream, server: &UnixStream, plan: &Mutex<Plan>) -> io::Result<()> {
    let (mut requests, mut replies) = (BufReader::new(client), BufReader::new(server));
    let (mut to_client, mut to_server) = (client, server);
    let mut losing = false;
    loop {
        let (mut raw, mut words) = (Vec::new(), Vec::new());
        read_value(&mut requests, &mut raw, &mut words)?;
        to_server.write_all(&raw)?;
        if words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"subscribe")) {
            return pass_all(client, server);
        }
        let mut reply = Vec::new();
        read_value(&mut replies, &mut reply, &mut Vec::new())?;
        // A hash that Redis does not know runs nothing yet.
        losing |= !reply.starts_with(b"-NOSCRIPT") && plan.lock().unwrap().loses(&words);
        match losing {
            false => to_client.write_all(&reply)?,
            // Let Redis run the commands that were sent with it before the connection breaks.
            true if requests.buffer().is_empty() => return client.shutdown(std::net::Shutdown::Both),
            true => {}
        }
    }
}

/// Forwards all bytes in both directions.
fn pass_all(client: &UnixStream, server: &UnixStream) -> io::Result<()> {
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut from, mut to) = (client, server);
            let _ = io::copy(&mut from, &mut to);
            server.shutdown(std::net::Shutdown::Both)
        });
        let (mut from, mut to) = (server, client);
        let _ = io::copy(&mut from, &mut to);
        client.shutdown(std::net::Shutdown::Both)
    })
}

/// Reads one value of the protocol: its raw bytes, and the words in it.
fn read_value(from: &mut impl BufRead, raw: &mut Vec<u8>, words: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = || String::from_utf8_lossy(&line[1..]).trim().parse::<i64>().unwrap_or(-1);
    let (kind, number) = (line[0], number());
    raw.extend(&line);
    match kind {
        b'$' if number >= 0 => {
            let mut word = vec![0; number as usize + 2];
            from.read_exact(&mut word)?;
            raw.extend(&word);
            word.truncate(number as usize);
            words.push(word);
        }
        b'*' => {
            for _ in 0..number {
                read_value(from, raw, words)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Sets the URL of Redis in sessions.toml.
fn configure_url(world: &World, socket: &Path) {
    let config = world.project.join("sessions.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[redis]\nurl = \"unix://{}\"\n", socket.display())).unwrap();
}

#[test]
fn orch_waits_for_the_users_own_redis_that_died() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    let socket = world.file("own.sock");
    let own = Own::start(&world, &socket);
    configure_url(&world, &socket);
    world.start();
    let mut work = Work::default();
    let task = work.delegate(&world, &gate(&world.file("go")));
    work.delegate(&world, ":");
    Work::wait_until_it_runs(&world, &task);
    drop(own);
    let away = world.orch(&["status", "--json"]).json();
    assert_eq!((&away["redis"]["state"], &away["supervisor"]["state"]), (&"unreachable".into(), &"running".into()));
    let refused = world.orch(&["delegate", "x"]).ended(3);
    assert!(refused.stderr.contains("own.sock") && refused.stderr.contains("hint: "), "{refused:#?}");
    world.touch("go");
    let report = world.home.join(format!("reports/{task}.1.json"));
    world.wait_until("the report is on disk", || report.exists());
    let _own = Own::start(&world, &socket);
    world.wait_for(&task, "succeeded");
    work.delegate(&world, ":");
    work.all_succeed_at_once(&world);
    world.orch(&["stop"]).ok();
}

#[test]
fn a_lost_reply_neither_loses_nor_repeats_work() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    let (server, socket) = (world.file("server.sock"), world.file("proxy.sock"));
    let _own = Own::start(&world, &server);
    let proxy = Proxy::start(&socket, server);
    configure_url(&world, &socket);
    world.start();
    let mut work = Work::default();
    for (script, _) in SCRIPTS {
        proxy.lose(script);
        for _ in 0..4 {
            work.delegate(&world, ":");
        }
        world.wait_until("all tasks have ended", || {
            world.status()["tasks"]["succeeded"].as_u64() == Some(work.tasks.len() as u64)
        });
        // Agents start and leave, so that replies to their transitions are lost as well.
        world.orch(&["spawn", "opus"]);
        for agent in world.agents("shell") {
            world.orch(&["kill", agent["id"].as_str().unwrap()]);
        }
        world.orch(&["spawn", "shell"]).ok();
        world.wait_until(&format!("a reply of {script} was lost"), || proxy.lost() > 0);
    }
    proxy.lose("");
    work.all_succeed_at_once(&world);
    let spawned = world.events_of("role.spawn").len();
    assert_eq!(spawned, SCRIPTS.len(), "a request whose reply was lost is one request");
    world.orch(&["stop"]).ok();
}
