//! What the program prints: to the pane as it comes, to the log, and its end kept for the answer.

use std::{io, path::Path, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
};

use super::{pane::Pane, redact::Redactor, tail::Tail};
use crate::{
    home::output::{OutputLog, Stream},
    model::time::Timestamp,
};

/// The size of a piece: that of a pipe's default buffer would be 64 KiB, and a quarter is enough per wake-up.
const PIECE: usize = 16 * 1024;
/// How long what is left in the pipes may take after everybody who could write to them has been ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Both streams of one program.
pub(super) struct Output {
    out: Source,
    err: Source,
    log: OutputLog,
    pane: Pane,
    redactor: Redactor,
}

struct Source {
    pipe: Option<Box<dyn AsyncRead + Unpin + Send>>,
    buffer: Vec<u8>,
    stream: Stream,
    redactor: Redactor,
    tail: Tail,
}

impl Output {
    pub fn new(child: &mut Child, dir: &Path, pane: Pane, redactor: Redactor) -> Self {
        let out = child.stdout.take().map(|p| Box::new(p) as Box<dyn AsyncRead + Unpin + Send>);
        let err = child.stderr.take().map(|p| Box::new(p) as Box<dyn AsyncRead + Unpin + Send>);
        let source = |pipe, stream| Source {
            pipe,
            buffer: Vec::new(),
            stream,
            redactor: redactor.again(),
            tail: Tail::default(),
        };
        Output {
            out: source(out, Stream::Out),
            err: source(err, Stream::Err),
            log: OutputLog::new(dir),
            pane,
            redactor: redactor.again(),
        }
    }

    /// Waits for a piece and passes it on; sleeps for ever once both streams have ended.
    pub async fn pump(&mut self) {
        let (source, piece) = tokio::select! {
            piece = self.out.read() => (&mut self.out, piece),
            piece = self.err.read() => (&mut self.err, piece),
        };
        let shown = match piece {
            Ok(0) | Err(_) => {
                source.pipe = None;
                source.redactor.finish()
            }
            Ok(n) => source.redactor.feed(&source.buffer[..n]),
        };
        if shown.is_empty() {
            return;
        }
        source.tail.push(&shown);
        if let Err(e) = self.log.append(Timestamp::now(), source.stream, &shown) {
            tracing::error!("the output log ends here: {e}");
            self.pane.say(&format!("orch: the output can't be logged any more: {e}"));
        }
        self.pane.show(shown);
    }

    /// Reads what is left after the program and all it had started have ended.
    pub async fn drain(&mut self) {
        let all = async {
            while self.out.pipe.is_some() || self.err.pipe.is_some() {
                self.pump().await;
            }
        };
        // Somebody whom we could not end (another user's process) may hold a pipe for ever.
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("a pipe of the program stays open; what comes through it now is lost");
        }
    }

    /// The end of standard output.
    pub fn text(&self) -> String {
        self.out.tail.text()
    }
    /// Whether that is not all.
    pub fn is_cut(&self) -> bool {
        self.out.tail.is_cut()
    }
    /// The last line of standard error that says something.
    pub fn last_error(&self) -> Option<String> {
        self.err.tail.text().lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned)
    }
    /// A text that did not come through the pipes.
    pub fn redacted(&self, text: String) -> String {
        self.redactor.text(text)
    }
    /// Data that did not come through the pipes.
    pub fn redacted_data(&self, data: Value) -> Value {
        self.redactor.data(data)
    }
}

impl Source {
    async fn read(&mut self) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        // Most no-op tasks print nothing: the buffer comes with the first byte.
        if self.buffer.is_empty() {
            self.buffer.resize(PIECE, 0);
        }
        pipe.read(&mut self.buffer).await
    }
}
