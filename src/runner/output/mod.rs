//! What the program prints: to the pane as it comes, to the log, and its end kept for the answer. Of a program that has
//! the pane to itself, what its hooks tell is the same as what another prints.

pub(in crate::runner) mod pane;
pub(in crate::runner) mod redact;
pub(in crate::runner) mod tail;
pub(in crate::runner) mod transcript;

use std::{io, path::Path, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
};

use crate::runner::{
    interactive::follow::Follow, output::pane::Pane, output::redact::Redactor, output::tail::Tail,
    output::transcript::Reading,
};
use crate::{
    drivers::Conversation,
    home::output::{OutputLog, Stream},
    model::{size, time::Timestamp},
};

/// The size of a piece: that of a pipe's default buffer would be 64 KiB, and a quarter is enough per wake-up.
const PIECE: usize = 16 * 1024;
/// How long what is left in the pipes may take after everybody who could write to them has been ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Both streams of one program.
pub(in crate::runner) struct Output {
    /// Its standard output, or what its hooks tell.
    out: Source,
    err: Source,
    log: OutputLog,
    pane: Pane,
    redactor: Redactor,
    /// Of a program that tells what it does: it is read, and what it says is shown.
    reading: Option<Reading>,
    /// How much may come (`max_output`), and how much has.
    limit: u64,
    total: u64,
    was_asking: bool,
}

/// Where a stream comes from.
pub(in crate::runner) enum From {
    /// From the program itself.
    Pipe(Box<dyn AsyncRead + Unpin + Send>),
    /// From its hooks.
    Hooks(Box<Follow>),
    /// Nothing comes, or comes any more.
    Nowhere,
}

impl From {
    /// Standard output and standard error of a program, where they are ours to read.
    pub fn pipes(child: &mut Child) -> [From; 2] {
        let pipe = |pipe: Option<Box<dyn AsyncRead + Unpin + Send>>| pipe.map_or(From::Nowhere, From::Pipe);
        [
            pipe(child.stdout.take().map(|p| Box::new(p) as Box<_>)),
            pipe(child.stderr.take().map(|p| Box::new(p) as Box<_>)),
        ]
    }
}

struct Source {
    from: From,
    buffer: Vec<u8>,
    stream: Stream,
    redactor: Redactor,
    tail: Tail,
}

impl Output {
    pub fn new(
        [out, err]: [From; 2],
        dir: &Path,
        pane: Pane,
        redactor: Redactor,
        reading: Option<Reading>,
        limit: u64,
    ) -> Self {
        let source = |from, stream| Source {
            from,
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
            reading,
            limit,
            total: 0,
            was_asking: false,
        }
    }

    /// Waits for a piece and passes it on; sleeps for ever once both streams have ended.
    pub async fn pump(&mut self) {
        let (source, piece) = tokio::select! {
            piece = self.out.read() => (&mut self.out, piece),
            piece = self.err.read() => (&mut self.err, piece),
        };
        let mut shown = match piece {
            Ok(0) | Err(_) => {
                source.from = From::Nowhere;
                source.redactor.finish()
            }
            Ok(n) => source.redactor.feed(&source.buffer[..n]),
        };
        let room = self.limit.saturating_sub(self.total);
        let ends_here = self.total <= self.limit && shown.len() as u64 > room;
        self.total += shown.len() as u64;
        if shown.len() as u64 > room {
            shown.truncate(room as usize);
        }
        if ends_here && !shown.is_empty() {
            shown.push(b'\n');
        }
        let stream = source.stream;
        if let Some(reading) = self.reading.as_mut().filter(|_| stream == Stream::Out) {
            let at_end = source.has_ended();
            shown = reading.feed(&shown);
            if at_end {
                shown.extend(reading.finish());
            }
            // What stood there in JSON's way of writing it is a secret only now.
            shown = self.redactor.whole(shown);
        }
        if let Some(reading) = self.reading.as_mut().filter(|_| stream == Stream::Err) {
            reading.feed_errors(&shown);
        }
        source.tail.push(&shown);
        self.pass_on(stream, &shown);
        if ends_here {
            let note = format!("orch: the output ends here; max_output is {}\n", size::human(self.limit));
            self.pass_on(Stream::Err, note.as_bytes());
        }
    }

    /// To the log and to the pane.
    fn pass_on(&mut self, stream: Stream, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if let Err(e) = self.log.append(Timestamp::now(), stream, piece) {
            tracing::error!("the output log ends here: {e}");
            self.pane.say(&format!("orch: the output can't be logged any more: {e}"));
        }
        self.pane.show(piece);
    }

    /// Whether anything was printed, so that the attempt has a folder with its log.
    pub fn is_logged(&self) -> bool {
        self.log.has_begun()
    }

    /// Whether more came than may, in words.
    pub fn excess(&self) -> Option<String> {
        let (total, limit) = (self.total, size::human(self.limit));
        (total > self.limit).then(|| format!("over-output: it printed {total} bytes and more, max_output is {limit}"))
    }

    /// What a program has left on its terminal that ended there without a result: the nearest to an error that it prints.
    pub async fn read_screen(&mut self) {
        let From::Hooks(follow) = &self.out.from else { return };
        let lines: String = follow.last_lines().await.iter().map(|line| format!("{line}\n")).collect();
        let lines = self.redactor.wrapped(lines);
        self.err.tail.push(lines.as_bytes());
        self.pass_on(Stream::Err, lines.as_bytes());
    }

    /// Reads what is left after the program and all it had started have ended.
    pub async fn drain(&mut self) {
        if let From::Hooks(follow) = &mut self.out.from {
            self.was_asking = follow.is_asking();
            follow.has_ended();
        }
        let all = async {
            while !self.out.has_ended() || !self.err.has_ended() {
                self.pump().await;
            }
        };
        // Somebody whom we could not end (another user's process) may hold a pipe for ever.
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("a pipe of the program stays open; what comes through it now is lost");
        }
    }

    /// Whether a program on a terminal that has given a result is seen to do more all the same.
    pub async fn goes_on(&mut self) -> bool {
        let From::Hooks(follow) = &mut self.out.from else { return false };
        follow.look().await;
        follow.is_working()
    }

    /// Whether a program on a terminal was asking its user something when it ended.
    pub fn was_asking(&self) -> bool {
        self.was_asking
    }

    /// What the program has told, if it is one that does.
    pub fn told(&self) -> Option<&Conversation> {
        self.reading.as_ref().map(Reading::told)
    }

    /// The end of standard output, as it was shown.
    pub fn text(&self) -> String {
        self.out.tail.text()
    }
    /// Whether that is not all.
    pub fn is_cut(&self) -> bool {
        self.out.tail.is_cut()
    }
    /// The end of standard error.
    pub fn errors(&self) -> String {
        self.err.tail.text()
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
    fn has_ended(&self) -> bool {
        matches!(self.from, From::Nowhere)
    }

    /// The next piece, in the buffer.
    async fn read(&mut self) -> io::Result<usize> {
        let pipe = match &mut self.from {
            From::Pipe(pipe) => pipe,
            From::Hooks(follow) => {
                self.buffer = follow.next().await.lines;
                return Ok(self.buffer.len());
            }
            From::Nowhere => return std::future::pending().await,
        };
        // Most no-op tasks print nothing: the buffer comes with the first byte.
        if self.buffer.is_empty() {
            self.buffer.resize(PIECE, 0);
        }
        pipe.read(&mut self.buffer).await
    }
}
