//! The program's end of an agent's socket.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{Received, Request, Said, Sent};
use crate::{
    error::{Error, Result},
    ops::Steps,
};

/// A connection to the runner of the agent that this process belongs to. It serves any number of concurrent requests.
#[derive(Debug)]
pub struct Connection {
    agent: String,
    next: AtomicU64,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    open: Arc<Mutex<Open>>,
    reader: tokio::task::JoinHandle<()>,
}

/// Requests whose answer has not come; `None` when the connection has ended.
#[derive(Debug)]
struct Open(Option<HashMap<u64, UnboundedSender<Said>>>);

impl Connection {
    /// Connects to a socket. `agent` is the agent's name, for sentences.
    ///
    /// # Errors
    /// NotRunning: no process listens there.
    pub async fn open(path: &Path, agent: &str) -> Result<Connection> {
        let stream = UnixStream::connect(path).await.map_err(|e| gone(agent, &e.to_string()))?;
        let (reader, writer) = stream.into_split();
        let open = Arc::new(Mutex::new(Open(Some(HashMap::new()))));
        let reader = tokio::spawn(read(BufReader::new(reader), open.clone()));
        let writer = tokio::sync::Mutex::new(writer);
        Ok(Connection { agent: agent.to_owned(), next: AtomicU64::new(1), writer, open, reader })
    }

    /// The name of the agent, as far as this process knows it.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// Calls a verb. After `cancelled`, the runner is asked to answer at once.
    pub(in crate::ops) async fn call<T: DeserializeOwned>(
        &self,
        request: &Request,
        cancelled: impl Future<Output = ()>,
    ) -> Result<T> {
        let mut pending = self.send(request).await?;
        let said = tokio::select! {
            said = pending.answers.recv() => said,
            () = cancelled => {
                self.cancel(pending.id).await;
                pending.answers.recv().await
            }
        };
        match said {
            Some(Said::Result(value)) => serde_json::from_value(value).map_err(|e| self.strange(&e.to_string())),
            Some(Said::Error(error)) => Err(error),
            Some(_) => Err(self.strange("a stream where one answer was expected")),
            None => Err(gone(&self.agent, "the connection was closed")),
        }
    }

    /// Calls a verb that answers with a stream. After `cancelled`, the runner is asked to end it.
    pub(in crate::ops) fn stream<'a, T: DeserializeOwned + Send + 'a>(
        &'a self,
        request: Request,
        cancelled: impl Future<Output = ()> + Send + 'a,
    ) -> Steps<'a, T> {
        let begin = (Some(request), None::<Pending<'a>>, Some(Box::pin(cancelled)));
        stream::try_unfold(begin, async move |(request, pending, mut cancelled)| {
            let mut pending = match (request, pending) {
                (Some(request), _) => self.send(&request).await?,
                (None, Some(pending)) => pending,
                (None, None) => return Ok(None),
            };
            let said = match cancelled.as_mut() {
                None => pending.answers.recv().await,
                Some(asked) => tokio::select! {
                    said = pending.answers.recv() => said,
                    () = asked => {
                        self.cancel(pending.id).await;
                        cancelled = None;
                        pending.answers.recv().await
                    }
                },
            };
            match said {
                Some(Said::Item(value)) => {
                    let item = serde_json::from_value(value).map_err(|e| self.strange(&e.to_string()))?;
                    Ok(Some((item, (None, Some(pending), cancelled))))
                }
                Some(Said::End) => Ok(None),
                Some(Said::Error(error)) => Err(error),
                Some(Said::Result(_)) => Err(self.strange("one answer where a stream was expected")),
                None => Err(gone(&self.agent, "the connection was closed")),
            }
        })
        .boxed()
    }

    async fn send(&self, request: &Request) -> Result<Pending<'_>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = unbounded_channel();
        match &mut lock(&self.open).0 {
            Some(open) => drop(open.insert(id, sender)),
            None => return Err(gone(&self.agent, "the connection was closed")),
        }
        let pending = Pending { connection: self, id, answers };
        let line = Sent { id, request: Some(request.clone()), cancel: false };
        self.write(&line).await.map_err(|e| gone(&self.agent, &e.to_string()))?;
        Ok(pending)
    }

    async fn cancel(&self, id: u64) {
        // If it cannot be written, the connection has ended, and everything with it.
        let _ = self.write(&Sent { id, request: None, cancel: true }).await;
    }

    async fn write(&self, line: &Sent) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.writer.lock().await.write_all(&bytes).await
    }

    fn strange(&self, why: &str) -> Error {
        Error::internal(format!("the answer of the runner of {} cannot be read: {why}", self.agent))
            .hint("its agent was started by another version of orch: end it with orch kill, and it is started again")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A request whose answers are read.
#[derive(Debug)]
struct Pending<'a> {
    connection: &'a Connection,
    id: u64,
    answers: UnboundedReceiver<Said>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(open) = &mut lock(&self.connection.open).0 {
            open.remove(&self.id);
        }
    }
}

async fn read(mut reader: BufReader<OwnedReadHalf>, open: Arc<Mutex<Open>>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 => {}
            _ => break,
        }
        let Ok(received) = serde_json::from_slice::<Received>(&line) else { break };
        if let Some(waiting) = lock(&open).0.as_ref().and_then(|open| open.get(&received.id)) {
            // A caller that has gone needs no answer.
            let _ = waiting.send(received.answer);
        }
    }
    // Every waiting call finds its channel closed.
    lock(&open).0 = None;
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone(agent: &str, why: &str) -> Error {
    Error::not_running(format!("the runner of agent {agent} does not answer: {why}"))
        .hint("the agent is ending, or its attempt is over; a terminal outside of orch's agents needs no runner")
}
