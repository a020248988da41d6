//! A Redis that comes up, and reads what it has stored before it does anything else.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::*;

/// Shorter than what is read takes, at eleven looks.
const RETRY_FOR: Duration = Duration::from_secs(2);
const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";
const TASK: &str = "t-7k2m9qx4hz";

/// Plays it: the real one takes a file of many gigabytes to read for longer than anybody's retry_for.
struct Loading {
    /// By how much it has come further at each look.
    step: u64,
    loaded: AtomicU64,
}

impl Loading {
    const ALL: u64 = 1_000 << 20;

    fn listen(world: &World, step: u64) {
        let socket = crate::redis_server::socket_path(&world.ops().config().home).unwrap();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let server = std::sync::Arc::new(Loading { step, loaded: AtomicU64::new(0) });
        // It ends with the test's process: who still has the socket open is heard.
        std::thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(peer));
            }
        });
    }

    /// A client of this test waits for each answer, so what is read at once is one request, or the look at the format and
    /// the transition that is sent with it.
    fn serve(&self, mut peer: UnixStream) {
        let mut request = [0; 64 * 1024];
        while peer.read(&mut request).is_ok_and(|length| length > 0) {
            let answer = self.answer(&String::from_utf8_lossy(&request));
            request.fill(0);
            if peer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &str) -> String {
        let is_there = self.loaded.load(Ordering::Relaxed) >= Loading::ALL;
        if request.contains("INFO") {
            let loaded = self.loaded.fetch_add(self.step, Ordering::Relaxed);
            let info = format!(
                "loading:{}\r\nloading_total_bytes:{}\r\nloading_loaded_bytes:{loaded}\r\n",
                u8::from(!is_there),
                Loading::ALL
            );
            return format!("${}\r\n{info}\r\n", info.len());
        }
        let (looks, calls) = (request.contains("EXISTS"), request.contains("EVALSHA"));
        // The number of the format, and whether anything is recorded: two answers.
        let look = if is_there { "$-1\r\n:0\r\n".to_owned() } else { LOADING.repeat(2) };
        let call = match is_there {
            true => format!("*3\r\n${}\r\n{TASK}\r\n$5\r\nready\r\n$1\r\n1\r\n", TASK.len()),
            false => LOADING.to_owned(),
        };
        [look, call]
            .into_iter()
            .zip([looks, calls])
            .filter(|(_, is_asked)| *is_asked)
            .map(|(answer, _)| answer)
            .collect()
    }
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn short_deadline(world: &World) -> Ops {
    Ops { retry_for: RETRY_FOR, ..world.ops() }.with_notes(|said| SAID.lock().unwrap().push(said.to_owned()))
}

#[tokio::test]
async fn a_verb_waits_while_redis_makes_progress_and_reports_it() {
    let world = World::asleep();
    let _supervisor = world.supervise();
    Loading::listen(&world, 100 << 20);
    let began = Instant::now();
    let asked = Delegate { text: "true".into(), role: Some("shell".into()), ..Delegate::default() };
    let accepted = short_deadline(&world).delegate(asked).await.unwrap();
    assert_eq!(accepted.id.as_str(), TASK);
    assert!(began.elapsed() > RETRY_FOR, "longer than it would for one that stands still");
    let said = SAID.lock().unwrap();
    assert!(said[0].starts_with("waiting for Redis, which is loading its data: ") && said.len() == 1, "{said:?}");
    assert!(said[0].contains("00 MiB of 1000 MiB"), "{said:?}");
}

#[tokio::test]
async fn a_verb_does_not_wait_for_a_redis_that_is_stuck_while_loading() {
    let world = World::asleep();
    let _supervisor = world.supervise();
    Loading::listen(&world, 0);
    let asked = Delegate { text: "true".into(), role: Some("shell".into()), ..Delegate::default() };
    let refused = Ops { note: |_| {}, ..short_deadline(&world) }.delegate(asked).await.unwrap_err();
    assert_eq!(refused.kind, crate::error::Kind::NotRunning);
    assert!(refused.message.contains("loading the dataset"), "{refused}");
}
