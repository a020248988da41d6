//! The runner's end of an agent's socket: serves one connection.

use std::{collections::HashMap, sync::Arc};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{
        Semaphore,
        mpsc::{Sender, channel},
        oneshot,
    },
    task::JoinSet,
};

use super::{LONGEST, Received, Request, Said, Sent};
use crate::{
    error::Error,
    model::suggest::{nearest, printable},
    ops::{
        Ops,
        verbs::{Execution, VERBS},
    },
};

/// Requests of one connection that are executed at a time. Further ones wait in the socket.
const AT_A_TIME: usize = 256;
/// A longer line is read while no other such line is.
const ORDINARY: u64 = 1 << 20;
static LONG_LINES: Semaphore = Semaphore::const_new(1);
/// Answers that wait to be written. A program that does not read delays only itself.
const UNREAD: usize = 64;

/// Serves one connection as the caller of `ops`, until the other side closes it. Waits and streams end with it; a call
/// that has begun is completed, as it might have taken effect already.
pub async fn serve(stream: UnixStream, ops: Arc<Ops>) {
    let (reader, mut writer) = stream.into_split();
    let (answers, mut lines) = channel::<Vec<u8>>(UNREAD);
    let writing = tokio::spawn(async move {
        let mut batch = Vec::new();
        while let Some(line) = lines.recv().await {
            batch.clear();
            batch.extend_from_slice(&line);
            // Answers that are ready together are written together.
            while let Ok(line) = lines.try_recv() {
                batch.extend_from_slice(&line);
            }
            if writer.write_all(&batch).await.is_err() {
                return;
            }
        }
    });
    let mut running = JoinSet::new();
    let mut cancels: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    let mut reader = BufReader::new(reader);
    loop {
        while running.len() >= AT_A_TIME {
            running.join_next().await;
        }
        while running.try_join_next().is_some() {}
        cancels.retain(|_, cancel| !cancel.is_closed());
        let Some(line) = next_line(&mut reader).await else { break };
        let sent = match serde_json::from_slice::<Sent>(&line) {
            Ok(sent) => sent,
            Err(e) => {
                let id = serde_json::from_slice::<Id>(&line).map_or(0, |found| found.id);
                say(&answers, id, Said::Error(not_understood(&line, &e))).await;
                continue;
            }
        };
        if sent.request.is_none() && !sent.cancel {
            say(&answers, sent.id, Said::Error(no_request())).await;
        }
        if sent.cancel
            && let Some(cancel) = cancels.remove(&sent.id)
        {
            let _ = cancel.send(());
        }
        if let Some(request) = sent.request {
            let (cancel, cancelled) = oneshot::channel();
            cancels.insert(sent.id, cancel);
            running.spawn(answer(ops.clone(), sent.id, request, cancelled, answers.clone()));
        }
    }
    // The waits of a program that has gone are over.
    cancels.clear();
    drop(answers);
    while running.join_next().await.is_some() {}
    let _ = writing.await;
}

#[derive(serde::Deserialize)]
struct Id {
    id: u64,
}

/// The next line; `None` at the end, or where it is too long to be one of ours.
async fn next_line(reader: &mut BufReader<tokio::net::unix::OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut read = reader.take(ORDINARY).read_until(b'\n', &mut line).await.ok()?;
    if read as u64 == ORDINARY && !line.ends_with(b"\n") {
        // One at a time of all connections: a program that sends nothing but beginnings fills no memory with them.
        let _turn = LONG_LINES.acquire().await.ok()?;
        read = reader.take(LONGEST).read_until(b'\n', &mut line).await.ok()?;
    }
    (read > 0 && line.ends_with(b"\n")).then_some(line)
}

async fn answer(ops: Arc<Ops>, id: u64, request: Request, cancelled: oneshot::Receiver<()>, answers: Sender<Vec<u8>>) {
    let cancelled = async move { drop(cancelled.await) };
    match ops.execute(request, cancelled) {
        Execution::Once(answer) => {
            let said = answer.await.map_or_else(Said::Error, Said::Result);
            say(&answers, id, said).await;
        }
        Execution::Stream(mut items) => {
            loop {
                let item = tokio::select! {
                    item = items.next() => item,
                    // Nobody reads it any more.
                    () = answers.closed() => return,
                };
                match item {
                    Some(Ok(item)) => say(&answers, id, Said::Item(item)).await,
                    Some(Err(error)) => return say(&answers, id, Said::Error(error)).await,
                    None => return say(&answers, id, Said::End).await,
                }
            }
        }
    }
}

async fn say(answers: &Sender<Vec<u8>>, id: u64, answer: Said) {
    let mut line = serde_json::to_vec(&Received { id, answer }).unwrap_or_default();
    line.push(b'\n');
    // A program that has gone reads nothing.
    let _ = answers.send(line).await;
}

/// How a program sends a request.
const SHAPE: &str = r#"one request per line: {"id": 1, "request": {"method": "show", "params": {...}}}"#;

fn no_request() -> Error {
    Error::usage("the line is no request: it needs an id (a number) and a request").hint(SHAPE)
}

/// Returns what is wrong with a line. A program may have written it by hand, so nothing is blamed on a version alone.
fn not_understood(line: &[u8], why: &serde_json::Error) -> Error {
    let Ok(sent) = serde_json::from_slice::<Value>(line) else {
        return Error::usage(format!("the line is no JSON: {why}")).hint(SHAPE);
    };
    let Some(request) = sent.get("request").filter(|_| sent["id"].is_u64()) else {
        return no_request();
    };
    let Some(method) = request["method"].as_str() else {
        return Error::usage("the request names no method").hint(SHAPE);
    };
    let version = "if an orch has sent it, it is of another version than the agent's runner: end the agent with orch kill, and it is started again";
    if !VERBS.contains(&method) {
        let said = format!("the agent's runner knows no method {:?}", printable(method));
        return Error::usage(said).hint(match nearest(method, VERBS.iter().copied()) {
            Some(nearest) => format!("do you mean {nearest:?}? {version}"),
            None => version.to_owned(),
        });
    }
    // serde names the field; the place in the line is that of the machine's own text.
    let why = why.to_string();
    let why = why.rsplit_once(" at line").map_or(why.as_str(), |(why, _)| why);
    Error::usage(format!("the parameters of {method} are wrong: {}", printable(why))).hint(version)
}
