//! A client of the Model Context Protocol that sends exactly the lines that a test gives it.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::schema;
use crate::common::World;

/// No answer may take longer, on however slow a machine.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Client {
    /// `None`: it was started by somebody else.
    child: Option<Child>,
    stdin: Option<Box<dyn Write>>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// What came while something else was waited for.
    pending: VecDeque<Value>,
    last_id: u64,
}

impl Client {
    /// `orch mcp` as a person has it, greeted.
    pub fn of(world: &World) -> Client {
        let mut client = Client::start(world.orch_command(&["mcp"]));
        client.greet();
        client
    }

    /// One that a program inside an agent has started on two named pipes, greeted. `run` makes that program run a shell
    /// command in the background.
    pub fn inside(world: &World, name: &str, run: impl FnOnce(&str)) -> Client {
        let [to, from, err] = ["to", "from", "err"].map(|end| world.file(&format!("{name}.{end}")));
        for pipe in [&to, &from] {
            nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        }
        run(&format!("orch mcp < '{}' > '{}' 2> '{}' &", to.display(), from.display(), err.display()));
        // Each blocks until the other end is opened.
        let stdin = fs::OpenOptions::new().write(true).open(&to).expect("its input");
        let out = fs::File::open(&from).expect("its output");
        let (sender, lines) = channel();
        let stderr = thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
            fs::read_to_string(err).unwrap_or_default()
        });
        let mut client = Client {
            child: None,
            stdin: Some(Box::new(stdin)),
            lines,
            stderr: Some(stderr),
            pending: VecDeque::new(),
            last_id: 0,
        };
        client.greet();
        client
    }

    /// A server that has heard nothing yet.
    pub fn start(mut command: Command) -> Client {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("orch mcp");
        let (out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let stdin = child.stdin.take().map(|stdin| Box::new(stdin) as Box<dyn Write>);
        let child = Some(child);
        Client { child, stdin, lines, stderr: Some(stderr), pending: VecDeque::new(), last_id: 0 }
    }

    /// The handshake; what the server says of itself.
    #[track_caller]
    pub fn greet(&mut self) -> Value {
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let said = self.request("initialize", hello);
        self.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        said["result"].clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("started here").id()
    }

    /// Sends a line as it is.
    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("still open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the server reads");
    }

    /// Sends a request and does not wait for its answer; its id.
    pub fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// Sends a tool's call and does not wait for its answer; its id. The id is also its progress token.
    pub fn send_call(&mut self, tool: &str, arguments: Value) -> u64 {
        let token = self.last_id + 1;
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.send("tools/call", params)
    }

    /// The next message, whatever it is; `None`: none came in time, or the server has closed its end.
    fn next(&mut self, limit: Duration) -> Option<Value> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("no message: {line}: {e}"))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Waits for a message that is the one.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.pending.iter().position(&is_it) {
            return self.pending.remove(at).expect("it was there");
        }
        let began = Instant::now();
        while let Some(message) = self.next(LIMIT.saturating_sub(began.elapsed())) {
            if is_it(&message) {
                return message;
            }
            self.pending.push_back(message);
        }
        panic!("{what} did not come; these did: {:#?}", self.pending)
    }

    /// The answer to a request.
    #[track_caller]
    pub fn answer(&mut self, id: u64) -> Value {
        self.until(&format!("the answer to {id}"), |message| message["id"] == id)
    }

    /// Whether that request has been answered by now.
    pub fn is_answered(&mut self, id: u64) -> bool {
        while let Some(message) = self.next(Duration::ZERO) {
            self.pending.push_back(message);
        }
        self.pending.iter().any(|message| message["id"] == id)
    }

    /// The next word about the progress of a call.
    #[track_caller]
    pub fn progress(&mut self, call: u64) -> Value {
        let of_call = |message: &Value| {
            message["method"] == "notifications/progress" && message["params"]["progressToken"] == call
        };
        self.until("progress", of_call)["params"].take()
    }

    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// Calls a tool; its result, an error or not.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.send_call(tool, arguments);
        self.result(id)
    }

    /// The result of a call that was sent.
    #[track_caller]
    pub fn result(&mut self, id: u64) -> Value {
        let mut answer = self.answer(id);
        assert!(answer["error"].is_null(), "{answer:#}");
        answer["result"].take()
    }

    /// Calls a tool that does what is asked; its structured answer, which is as the tool's schema says: there are clients
    /// that refuse any other.
    #[track_caller]
    pub fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = succeeded(self.call(tool, arguments));
        let listed = self.request("tools/list", json!({}))["result"]["tools"].take();
        let it = listed.as_array().and_then(|all| all.iter().find(|one| one["name"] == tool)).expect("the tool");
        if let Err(wrong) = schema::check(&it["outputSchema"], &answer) {
            panic!("{tool}: {wrong}: {answer:#}");
        }
        answer
    }

    /// Calls a tool that refuses; what it says.
    #[track_caller]
    pub fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result:#}");
        assert!(result["structuredContent"].is_null(), "{result:#}");
        text(&result)
    }

    /// Delegates a shell script; its id.
    #[track_caller]
    pub fn delegate(&mut self, script: &str) -> String {
        let task = self.ok("delegate_task", json!({"text": script, "role": "shell"}));
        task["id"].as_str().expect("an id").to_owned()
    }

    /// Closes the server's standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Whether the server has closed its end, within the time that any answer may take.
    pub fn is_gone(&mut self) -> bool {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(_) => {}
                Err(e) => return e == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// How it ended, within a limit.
    #[track_caller]
    pub fn end_within(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().expect("started here").try_wait().expect("wait") {
                return status;
            }
            assert!(began.elapsed() < limit, "orch mcp does not end within {limit:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Goes away; what the server has said on standard error.
    #[track_caller]
    pub fn leave(mut self) -> String {
        self.close();
        if self.child.is_some() {
            let status = self.end_within(Duration::from_secs(1));
            assert_eq!(status.code(), Some(0));
        }
        self.stderr.take().map(|reader| reader.join().expect("stderr")).unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The structured part of a result that is no error.
#[track_caller]
pub fn succeeded(mut result: Value) -> Value {
    assert_eq!(result["isError"], false, "{result:#}");
    assert!(!text(&result).is_empty(), "{result:#}");
    result["structuredContent"].take()
}

/// The text of a result.
pub fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result:#}")).to_owned()
}
