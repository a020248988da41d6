//! A scripted model service for tests, on a loopback port that the system chooses.
//!
//! It speaks the APIs of the agent programs: Messages, Responses, Chat Completions and `generateContent`, streamed or
//! whole. It answers according to a list of [`Rule`]s and records every request, so that a test can count them.
//!
//! Each connection has a thread, and there is no async runtime: the tests are about the programs that call the service,
//! so the service itself is kept simple.

mod chat;
mod generate;
mod http;
mod messages;
mod responses;
mod script;

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

pub use script::{Answer, Asked, INPUT_TOKENS, OUTPUT_TOKENS, Rule, ToolCall, tool, when};
use serde_json::{Value, json};

/// The supported APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/v1/messages`
    Messages,
    /// `/v1/responses`
    Responses,
    /// `/v1/chat/completions`
    Chat,
    /// `/v1beta/models/MODEL:generateContent` and `:streamGenerateContent`
    Generate,
}

/// A request that the service received.
#[derive(Debug, Clone)]
pub struct Request {
    /// When the complete request had been received.
    pub at: Instant,
    pub method: String,
    pub path: String,
    /// The body; `Null` if there was none or it was not JSON.
    pub body: Value,
    /// The parsed request to a model; `None` for other requests.
    pub asked: Option<Asked>,
}

/// The service. Dropping it ends all its connections and threads.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    /// A second handle of each open connection, with which it is closed.
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
    ending: AtomicBool,
}

impl Server {
    /// Starts the service with these rules. The first rule that matches a request answers it.
    pub fn start(rules: Vec<Rule>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a local address");
        let shared = Arc::new(Shared { rules: Mutex::new(rules), ..Shared::default() });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Server { address, shared, accepting: Some(accepting) }
    }

    /// Returns the service's URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all requests, in the order in which they were received.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Returns the requests to models, in the same order.
    pub fn asked(&self) -> Vec<Asked> {
        self.requests().into_iter().filter_map(|request| request.asked).collect()
    }

    /// Returns the number of requests to models whose last text contains `text`.
    pub fn times_asked(&self, text: &str) -> usize {
        self.asked().iter().filter(|asked| asked.text.contains(text)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ending.store(true, SeqCst);
        // Wakes the accepting thread; the backlog accepts this connection.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for (stream, thread) in lock(&self.shared.connections).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ending.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else { continue };
        let of_thread = shared.clone();
        let thread = thread::spawn(move || serve(stream, &of_thread));
        let mut connections = lock(&shared.connections);
        connections.retain(|(_, thread)| !thread.is_finished());
        connections.push((handle, thread));
    }
}

/// Answers the requests of one connection until it ends. A client that disconnects is no error, because tests kill
/// programs.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    while let Ok(Some(request)) = http::read(&mut stream) {
        let answered = answer(&mut stream, request, shared);
        if !matches!(answered, Ok(http::After::GoOn)) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn answer(stream: &mut TcpStream, request: http::Read, shared: &Shared) -> std::io::Result<http::After> {
    let path = request.path.split('?').next().unwrap_or_default().to_owned();
    let api = match (request.method.as_str(), path.as_str()) {
        ("POST", "/v1/messages") => Some(Api::Messages),
        ("POST", "/v1/responses") => Some(Api::Responses),
        ("POST", "/v1/chat/completions") => Some(Api::Chat),
        ("POST", path) if path.ends_with("enerateContent") => Some(Api::Generate),
        _ => None,
    };
    let asked = api.map(|api| Asked::of(api, &path, &request.body));
    let streams = request.body["stream"] == true || path.ends_with(":streamGenerateContent");
    lock(&shared.requests).push(Request {
        at: Instant::now(),
        method: request.method.clone(),
        path: request.path,
        body: request.body.clone(),
        asked: asked.clone(),
    });
    let Some(asked) = asked else { return answer_other(stream, &request.method, &path) };
    let answer = script::choose(&mut lock(&shared.rules), &asked);
    match answer {
        Answer::Hang => {
            // Waits until the program or the end of the test closes the connection.
            let _ = http::read(stream)?;
            Ok(http::After::End)
        }
        Answer::Error { status, kind, message, headers } => {
            let body = json!({"type": "error", "error": {"type": kind, "code": kind, "message": message}});
            http::write(stream, status, &headers, "application/json", body.to_string().as_bytes())
        }
        Answer::Text(_) | Answer::Tools(_) | Answer::Cut(_) => {
            let (events, whole) = match asked.api {
                Api::Messages => (messages::events(&asked, &answer), messages::whole(&asked, &answer)),
                Api::Responses => (responses::events(&asked, &answer), responses::whole(&asked, &answer)),
                Api::Chat => (chat::events(&asked, &answer), chat::whole(&asked, &answer)),
                Api::Generate => (generate::events(&asked, &answer), generate::whole(&asked, &answer)),
            };
            if streams {
                http::write_stream(stream, &events, matches!(answer, Answer::Cut(_)))
            } else if matches!(answer, Answer::Cut(_)) {
                Ok(http::After::End)
            } else {
                http::write(stream, 200, &[], "application/json", whole.to_string().as_bytes())
            }
        }
    }
}

/// Answers the other requests of programs: health checks, lists of models, token counts.
fn answer_other(stream: &mut TcpStream, method: &str, path: &str) -> std::io::Result<http::After> {
    let (status, body) = match (method, path) {
        ("HEAD", _) => (200, String::new()),
        ("POST", "/v1/messages/count_tokens") => (200, json!({"input_tokens": 10}).to_string()),
        ("GET", "/v1/models") => (200, json!({"object": "list", "data": [], "has_more": false}).to_string()),
        _ => {
            let error = json!({"type": "not_found_error", "message": format!("no {method} {path} here")});
            (404, json!({"type": "error", "error": error}).to_string())
        }
    };
    http::write(stream, status, &[], "application/json", body.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
