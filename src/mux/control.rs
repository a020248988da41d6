//! The control connection: one tmux client that stays, lines in and replies out.
//!
//! A task of its own owns the client. Replies come in the order of the lines, so a queue of who waits is all the
//! bookkeeping there is; a caller that no longer waits keeps its place in it.
//!
//! # Dying well
//!
//! This process may be killed at any moment, and must leave neither the client nor the keeper behind, nor take the
//! user's server with it. So the keeper's command reads from a pipe of ours until we are gone ([`Keeper`]). And the
//! client holds the reading end of its own output: the server always gets its last lines written, without which it
//! would wait for that client forever.

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind, PipeReader, PipeWriter, pipe},
    os::fd::{AsRawFd, OwnedFd},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe::Receiver,
    process::ChildStdin,
    sync::{mpsc, oneshot, watch},
};

use super::{
    MuxError, Result, commands,
    process::{Answer, Program},
    protocol::{Event, Parser, Reply},
};

/// A hidden session of ours, and the pipe it lives by: its command reads the pipe, nothing is ever written to it, and
/// when this value or the whole process goes, so does the session.
#[derive(Debug)]
pub(super) struct Keeper {
    name: String,
    namespace: String,
    reader: PipeReader,
    _writer: PipeWriter,
}

impl Keeper {
    /// The name is one that no other process has, even of the same namespace.
    pub(super) fn new(namespace: &str) -> std::io::Result<Self> {
        if !std::fs::exists("/proc/self/fd")? {
            return Err(Error::new(ErrorKind::Unsupported, "this system has no /proc/self/fd"));
        }
        let world = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, namespace.as_bytes()).simple().to_string();
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let (reader, writer) = pipe()?;
        Ok(Keeper {
            name: format!("orch-keeper-{}-{}", &world[..8], &nonce[..8]),
            namespace: namespace.to_owned(),
            reader,
            _writer: writer,
        })
    }

    /// How another process of this user opens the pipe.
    fn lifeline(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.reader.as_raw_fd())
    }
}

/// A live connection, or one that has ended: calls then find it lost.
#[derive(Debug)]
pub(super) struct Connection {
    keeper: String,
    requests: mpsc::UnboundedSender<Request>,
    /// Closed once the client's process is gone.
    ended: watch::Receiver<()>,
}

#[derive(Debug)]
struct Request {
    line: Vec<u8>,
    waiter: Waiter,
}

/// Who waits for the replies to one line.
#[derive(Debug)]
struct Waiter {
    missing: usize,
    answer: Answer,
    caller: oneshot::Sender<Answer>,
}

impl Waiter {
    /// Takes the next reply; whether that was the last one.
    fn take(&mut self, reply: Reply) -> bool {
        self.missing -= 1;
        if reply.ok {
            self.answer.text.push_str(&reply.text);
        } else {
            self.answer.error = Some(MuxError::from_tmux(&reply.text));
        }
        !reply.ok || self.missing == 0
    }
}

impl Connection {
    /// Stays attached to the keeper session on the running server. [`MuxError::Gone`] where no server runs: it never
    /// starts one. [`MuxError::Refused`] where it can't be had, but tmux answers otherwise.
    pub(super) async fn open(program: &Program, keeper: &Keeper, changes: watch::Sender<u64>) -> Result<Self> {
        let no_pipe = |error: Error| MuxError::Refused(format!("no pipe for its control client: {error}"));
        let (reader, writer) = pipe().map_err(no_pipe)?;
        let last_reader = reader.try_clone().map_err(no_pipe)?;
        let stdout = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(no_pipe)?;
        let batch = commands::keeper(&keeper.name, &keeper.namespace, &keeper.lifeline());
        let mut child = program
            .command(&["-N", "-C"], batch.arguments())
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(last_reader)
            .spawn()
            .map_err(|error| program.not_started(&error))?;
        let Some(stdin) = child.stdin.take() else {
            return Err(MuxError::Refused("its control client has no standard input".into()));
        };
        let mut client =
            Client { stdin, stdout: BufReader::new(stdout), partial: Vec::new(), parser: Parser::default() };
        match tokio::time::timeout(program.limit, client.greet()).await {
            Ok(None) => {}
            Err(_) => return Err(program.silent()),
            // It has no standard error to say more on: ask in another way whether there is a server at all.
            Ok(Some(refused)) => {
                program.run(&commands::ping()).await?.text()?;
                return Err(MuxError::Refused(refused));
            }
        }
        let (requests, inbox) = mpsc::unbounded_channel();
        let (alive, ended) = watch::channel(());
        tokio::spawn(async move {
            client.serve(inbox, &changes).await;
            // Whatever ended it: what we knew may have changed.
            changes.send_modify(|count| *count += 1);
            // It goes by itself, but may take its time.
            let _ = child.kill().await;
            drop(alive);
        });
        Ok(Connection { keeper: keeper.name.clone(), requests, ended })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.requests.is_closed()
    }

    /// Runs the commands. `None`: the connection was lost, and it is not known whether they were run.
    /// The caller bounds the time, and gives a connection up that took too long.
    pub(super) async fn call(&self, line: Vec<u8>, replies: usize) -> Option<Answer> {
        let (caller, answer) = oneshot::channel();
        let waiter = Waiter { missing: replies, answer: Answer::default(), caller };
        self.requests.send(Request { line, waiter }).ok()?;
        answer.await.ok()
    }

    /// Ends the keeper, and waits until the client is gone with it.
    pub(super) async fn close(&self) {
        let batch = commands::close_keeper(&self.keeper);
        if let Some(line) = batch.line() {
            // No reply: the client is told to exit first. Either way the connection ends.
            let _ = self.call(line, batch.replies()).await;
        }
        let _ = self.ended.clone().changed().await;
    }
}

/// Our end of the client's pipes.
struct Client {
    stdin: ChildStdin,
    stdout: BufReader<Receiver>,
    partial: Vec<u8>,
    parser: Parser,
}

impl Client {
    /// The next line's event; `Err` at the end of the stream. A call that is dropped loses nothing.
    async fn next(&mut self) -> std::io::Result<Option<Event>> {
        let read = self.stdout.read_until(b'\n', &mut self.partial).await?;
        if read == 0 || self.partial.pop() != Some(b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let event = self.parser.feed(&String::from_utf8_lossy(&self.partial));
        self.partial.clear();
        Ok(event)
    }

    /// Waits until the keeper is there and a first line is answered; otherwise what tmux said.
    async fn greet(&mut self) -> Option<String> {
        let ping = commands::ping().line().unwrap_or_default();
        // A client that is refused may be gone already; what it said is read below.
        let _ = self.stdin.write_all(&ping).await;
        let mut refused = String::new();
        loop {
            match self.next().await {
                Ok(Some(Event::Reply(reply))) if !reply.ok => refused.push_str(&reply.text),
                Ok(Some(Event::Reply(reply))) if reply.ours && refused.is_empty() => return None,
                Ok(_) => {}
                Err(_) => return Some(refused),
            }
        }
    }

    /// Until the connection ends from either side.
    async fn serve(&mut self, mut inbox: mpsc::UnboundedReceiver<Request>, changes: &watch::Sender<u64>) {
        let mut waiting: VecDeque<Waiter> = VecDeque::new();
        loop {
            tokio::select! {
                request = inbox.recv() => {
                    let Some(Request { line, waiter }) = request else { return };
                    waiting.push_back(waiter);
                    if self.stdin.write_all(&line).await.is_err() {
                        return;
                    }
                }
                event = self.next() => match event {
                    Ok(Some(Event::Reply(reply))) if reply.ours => {
                        let Some(first) = waiting.front_mut() else { return };
                        if first.take(reply) && let Some(done) = waiting.pop_front() {
                            // The caller may have given up.
                            let _ = done.caller.send(done.answer);
                        }
                    }
                    Ok(Some(Event::Changed)) => changes.send_modify(|count| *count += 1),
                    Ok(Some(Event::Exit)) | Err(_) => return,
                    Ok(_) => {}
                },
            }
        }
    }
}
