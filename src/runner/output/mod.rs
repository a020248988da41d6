//! The output of the program: written to the pane as it arrives and to the log; its end is kept for the answer. For a
//! program that has the pane to itself, the lines of its hooks take the place of its output.

mod hooked;
mod lines;
pub(in crate::runner) mod metering;
pub(in crate::runner) mod pane;
pub(in crate::runner) mod runaway;
pub(in crate::runner) mod tail;
pub(in crate::runner) mod transcript;

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
};

use crate::runner::{interactive::follow::Follow, output::pane::Pane, output::tail::Tail, output::transcript::Reading};
use crate::{
    drivers::Conversation,
    home::{
        self,
        output::{OutputLog, Stream},
    },
    model::{secret::Redactor, size, time::Timestamp},
    mux,
    store::{agents::Used, tasks::Metered},
};

/// Bytes per read. The default buffer of a pipe would be 64 KiB; a quarter is enough per wake-up.
const PIECE: usize = 16 * 1024;
/// How long reading the rest of the pipes may take after all known writers were ended.
const DRAIN: Duration = Duration::from_secs(2);

/// How long reading the terminal may take before a program is asked to end.
const SCREEN: Duration = Duration::from_millis(500);
/// The file with what a program on a terminal showed last.
const LAST_SCREEN: &str = "screen.txt";

/// Both streams of one program.
pub(in crate::runner) struct Output {
    /// Its standard output, or the lines of its hooks.
    out: Source,
    err: Source,
    log: OutputLog,
    pane: Pane,
    redactor: Redactor,
    /// Reads the stream of a program that reports its state, and renders it.
    reading: Option<Reading>,
    /// How much may be printed (`max_output`), and how much was.
    limit: u64,
    total: u64,
    was_asking: bool,
    /// What the terminal showed before a program on it was asked to end.
    last_screen: Option<mux::Screen>,
}

/// The source of a stream.
pub(in crate::runner) enum From {
    /// A pipe of the program.
    Pipe(Box<dyn AsyncRead + Unpin + Send>),
    /// The file of its hooks.
    Hooks(Box<Follow>),
    /// No data, or no more data.
    Nowhere,
}

impl From {
    /// Takes standard output and standard error of a program, where they are piped.
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
            redactor: redactor.clone(),
            tail: Tail::default(),
        };
        Output {
            out: source(out, Stream::Out),
            err: source(err, Stream::Err),
            log: OutputLog::new(dir),
            pane,
            redactor: redactor.clone(),
            reading,
            limit,
            total: 0,
            was_asking: false,
            last_screen: None,
        }
    }

    /// Waits for a piece and forwards it; waits forever once both streams have ended.
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
            // A secret that JSON had escaped becomes visible only now.
            shown = self.redactor.whole(shown);
        }
        source.tail.push(&shown);
        if let Some(reading) = self.reading.as_mut().filter(|_| stream == Stream::Err) {
            let at_end = source.has_ended();
            shown = reading.feed_errors(&shown);
            if at_end {
                shown.extend(reading.finish_errors());
            }
        }
        self.forward(stream, &shown);
        if ends_here {
            let note = format!("orch: the output ends here; max_output is {}\n", size::human(self.limit));
            self.forward(Stream::Err, note.as_bytes());
        }
    }

    /// Forwards a piece to the log and to the pane.
    fn forward(&mut self, stream: Stream, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if let Err(e) = self.log.append(Timestamp::now(), stream, piece) {
            tracing::error!("the output log ends here: {e}");
            self.pane.print(&format!("orch: the output can no longer be logged: {e}"));
        }
        self.pane.show(piece);
    }

    /// Returns whether anything was printed, so that the attempt has a folder with its log.
    pub fn is_logged(&self) -> bool {
        self.log.has_begun()
    }

    /// Returns whether more was printed than allowed, in words.
    pub fn excess(&self) -> Option<String> {
        let (total, limit) = (self.total, size::human(self.limit));
        (total > self.limit).then(|| format!("over-output: it printed {total} bytes and more, max_output is {limit}"))
    }

    /// Returns in words how the program repeats itself without an end, if it does.
    pub fn repeats(&self) -> Option<String> {
        self.reading.as_ref()?.repeats().map(str::to_owned)
    }

    /// Reads what a program that ended without a result has left on its terminal: the closest thing to an error
    /// message.
    pub async fn read_screen(&mut self) {
        let From::Hooks(follow) = &self.out.from else { return };
        let lines: String = follow.last_lines().await.iter().map(|line| format!("{line}\n")).collect();
        let lines = self.redactor.wrapped(lines);
        self.err.tail.push(lines.as_bytes());
        self.forward(Stream::Err, lines.as_bytes());
    }

    /// Reads what a program on a terminal shows, before it is asked to end.
    pub async fn keep_screen(&mut self) {
        let From::Hooks(follow) = &self.out.from else { return };
        self.last_screen = tokio::time::timeout(SCREEN, follow.shown()).await.ok().flatten();
    }

    /// Writes what the terminal showed last into the folder of the attempt, and shows it in the pane again, where the program
    /// has taken it away with its end. The terminal is ours again.
    pub fn show_screen(&mut self, dir: &Path) {
        let Some(screen) = self.last_screen.take().filter(|screen| !screen.text.trim().is_empty()) else { return };
        let is_shown = |c: &char| *c == '\n' || !c.is_control();
        let text: String = self.redactor.wrapped(screen.text).chars().filter(is_shown).chain(['\n']).collect();
        if let Err(e) = home::write_atomically(&dir.join(LAST_SCREEN), text.as_bytes()) {
            tracing::warn!("the last screen of the program is not kept: {e}");
        }
        if screen.alternate {
            self.pane.show(text.replace('\n', "\r\n").as_bytes());
        }
    }

    /// Reads what is left after the program and all that it has started have ended.
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
        // A process that we could not end (another user's) may keep a pipe open forever.
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("a pipe of the program stays open; further output on it is lost");
        }
    }

    /// Returns whether a program on a terminal is seen to continue although it has given a result.
    pub async fn goes_on(&mut self) -> bool {
        let From::Hooks(follow) = &mut self.out.from else { return false };
        follow.look().await;
        follow.is_working()
    }

    /// Returns whether a program on a terminal was asking its user something when it ended.
    pub fn was_asking(&self) -> bool {
        self.was_asking
    }

    /// Returns what the program has reported, if it reports.
    pub fn conversation(&self) -> Option<&Conversation> {
        self.reading.as_ref().map(Reading::conversation)
    }

    /// Adds what the hooks of a program without a screen have recorded of turns that were about to end.
    pub fn answered_before(&mut self, said: &[String]) {
        if let Some(reading) = &mut self.reading {
            reading.answered_before(said);
        }
    }

    /// Returns what the program has reported to have used so far.
    pub fn used(&self) -> Option<Used> {
        let usage = self.conversation()?.usage.clone()?;
        Some(Used { usage, metered: self.metered() })
    }

    /// Returns what to store with the task of the totals that the program has reported.
    pub fn metered(&self) -> Option<Metered> {
        self.reading.as_ref()?.metered().cloned()
    }

    /// Returns the end of standard output, as it was shown.
    pub fn text(&self) -> String {
        self.out.tail.text()
    }
    /// Returns whether earlier output is missing from it.
    pub fn is_cut(&self) -> bool {
        self.out.tail.is_cut()
    }
    /// Returns the end of standard error.
    pub fn errors(&self) -> String {
        self.err.tail.text()
    }
}

impl Source {
    fn has_ended(&self) -> bool {
        matches!(self.from, From::Nowhere)
    }

    /// Reads the next piece into the buffer.
    async fn read(&mut self) -> io::Result<usize> {
        let pipe = match &mut self.from {
            From::Pipe(pipe) => pipe,
            From::Hooks(follow) => {
                self.buffer = follow.next().await.lines;
                return Ok(self.buffer.len());
            }
            From::Nowhere => return std::future::pending().await,
        };
        // Many attempts print nothing: the buffer is allocated with the first byte.
        if self.buffer.is_empty() {
            self.buffer.resize(PIECE, 0);
        }
        pipe.read(&mut self.buffer).await
    }
}
