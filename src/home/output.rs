//! The recorded output of an attempt. `output` contains the raw bytes of standard output and error in one file, for
//! `less` and other tools; `output.index` records the time and stream of each piece.
//!
//! Both files are created with the first byte, together with the attempt's folder if it is missing.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::files::{self, For};
use crate::model::{carriage::Lines, id::TaskId, text, time::Timestamp};

/// The stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Returns its name as in `orch logs --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        }
    }
}

/// A longer line is split when it is read back: 100 MB without a newline must not fill the memory.
const LINE_LIMIT: usize = 64 * 1024;

/// A line of the index is never longer than this: three words, two of them numbers.
const INDEX_LIMIT: u64 = 64;

/// Writes one attempt's output. A write that fails (disk full) is reported once and ends the log, not the attempt.
#[derive(Debug)]
pub struct OutputLog {
    dir: PathBuf,
    files: Option<(File, File)>,
    failed: bool,
}

impl OutputLog {
    /// Creates a log in an attempt's folder, which need not exist; nothing is written yet.
    pub fn new(dir: &Path) -> Self {
        OutputLog { dir: dir.to_owned(), files: None, failed: false }
    }

    /// Returns whether something was appended, so that its files exist.
    pub fn has_begun(&self) -> bool {
        self.files.is_some()
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// Returns the first failure; after it the log stays as it is and every further call succeeds silently.
    pub fn append(&mut self, at: Timestamp, stream: Stream, piece: &[u8]) -> io::Result<()> {
        if self.failed || piece.is_empty() {
            return Ok(());
        }
        self.try_append(at, stream, piece).inspect_err(|_| self.failed = true)
    }

    fn try_append(&mut self, at: Timestamp, stream: Stream, piece: &[u8]) -> io::Result<()> {
        if self.files.is_none() {
            super::create_dir(&self.dir)?;
            self.files = Some((open_append(&self.dir.join("output"))?, open_append(&self.dir.join("output.index"))?));
        }
        let Some((output, index)) = self.files.as_mut() else {
            return Ok(());
        };
        output.write_all(piece)?;
        let letter = if stream == Stream::Out { 'o' } else { 'e' };
        index.write_all(format!("{} {letter} {}\n", at.0, piece.len()).as_bytes())
    }
}

/// Opens the raw stream of a program that prints JSON, for appending; `output` contains the rendered text.
///
/// # Errors
/// Fails when the file cannot be opened.
pub fn open_raw(dir: &Path) -> io::Result<File> {
    open_append(&dir.join("raw.jsonl"))
}

fn open_append(path: &Path) -> io::Result<File> {
    files::open(path, For::Appending)
}

/// A line of output with its time and stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The time of its first byte.
    pub at: Timestamp,
    /// Its stream.
    pub stream: Stream,
    /// Its text without escape sequences. It ends with a carriage return where the line ended in CRLF.
    pub text: String,
}

/// Reads an attempt's output incrementally, so that it can be followed while it grows.
#[derive(Debug, Default)]
pub struct Reader {
    dir: PathBuf,
    index_at: u64,
    output_at: u64,
    out: Partial,
    err: Partial,
}

#[derive(Debug, Default)]
struct Partial {
    at: Timestamp,
    line: Lines,
}

impl Reader {
    /// Creates a reader at the beginning of an attempt's output.
    pub fn new(dir: &Path) -> Self {
        Reader { dir: dir.to_owned(), ..Reader::default() }
    }

    /// Calls `each` for every complete line since the last call; with `to_end`, also for a last line without a
    /// newline.
    ///
    /// # Errors
    /// Fails when a file cannot be read; an output that does not exist (yet) is empty.
    pub fn read(&mut self, to_end: bool, mut each: impl FnMut(Line)) -> io::Result<()> {
        let (Some(mut index), Some(mut output)) = (
            open_at(&self.dir.join("output.index"), self.index_at)?,
            open_at(&self.dir.join("output"), self.output_at)?,
        ) else {
            return Ok(());
        };
        let mut entry = Vec::new();
        // As bytes: an entry that is not text is not a number either, and must not hide the entries that follow.
        while (&mut index).take(INDEX_LIMIT).read_until(b'\n', &mut entry)? > 0 && entry.ends_with(b"\n") {
            let text = String::from_utf8_lossy(&entry).into_owned();
            let mut words = text.split_whitespace();
            let at = Timestamp(words.next().and_then(|w| w.parse().ok()).unwrap_or(0));
            let stream = if words.next() == Some("e") { Stream::Err } else { Stream::Out };
            let len: u64 = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
            let mut piece = (&mut output).take(len);
            let mut chunk = Vec::new();
            loop {
                chunk.clear();
                if (&mut piece).take(LINE_LIMIT as u64).read_to_end(&mut chunk)? == 0 {
                    break;
                }
                // Counts the bytes read, not the length in the index: the index may claim more than any file contains.
                self.output_at += chunk.len() as u64;
                self.partial(stream).feed(at, stream, &chunk, &mut each);
            }
            self.index_at += entry.len() as u64;
            entry.clear();
        }
        if to_end {
            for stream in [Stream::Out, Stream::Err] {
                self.partial(stream).flush(stream, &mut each);
            }
        }
        Ok(())
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

impl Partial {
    fn feed(&mut self, at: Timestamp, stream: Stream, chunk: &[u8], each: &mut impl FnMut(Line)) {
        for part in chunk.split_inclusive(|b| *b == b'\n') {
            if self.line.bytes().is_empty() {
                self.at = at;
            }
            self.line.push(part);
            if part.ends_with(b"\n") || self.line.bytes().len() >= LINE_LIMIT {
                self.flush(stream, each);
            }
        }
    }
    fn flush(&mut self, stream: Stream, each: &mut impl FnMut(Line)) {
        let line = std::mem::take(&mut self.line);
        if !line.bytes().is_empty() {
            let mut text = text::printed(line.bytes());
            if text.ends_with('\n') {
                text.pop();
            }
            each(Line { at: self.at, stream, text });
        }
    }
}

fn open_at(path: &Path, offset: u64) -> io::Result<Option<BufReader<File>>> {
    use std::io::{Seek, SeekFrom};
    match files::open(path, For::Reading) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(offset))?;
            Ok(Some(BufReader::new(file)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// How many bytes at the end of an output are read for its last lines.
const LAST_READ: u64 = 4096;

/// Returns the last one or two lines that an attempt's program printed, each cut to 160 columns and safe for a
/// terminal, and the time of the last piece. `None` if it has printed nothing (except white space).
///
/// # Errors
/// Fails when a file cannot be read; an output that does not exist is empty.
pub fn last_lines(dir: &Path) -> io::Result<Option<(Timestamp, String)>> {
    const LINES: usize = 2;
    const COLUMNS: usize = 160;
    let end = end_of(&dir.join("output"), LAST_READ)?;
    let text = text::plain(&end);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let last = lines[lines.len().saturating_sub(LINES)..].iter().map(|line| text::one_line(line, COLUMNS));
    let index = end_of(&dir.join("output.index"), 128)?;
    let index = String::from_utf8_lossy(&index);
    let at = index.lines().next_back().and_then(|entry| entry.split(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(Some((Timestamp(at), last.collect::<Vec<_>>().join("\n"))))
}

/// Returns the last bytes of a file, at most `most`.
fn end_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = match files::open(path, For::Reading) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok(end)
}

/// Returns the attempts of a task that have a folder: number and path, oldest first.
pub fn attempts(task_dir: &Path) -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(task_dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path())))
        .collect();
    found.sort();
    found
}

/// An attempt that has left output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its task.
    pub task: TaskId,
    /// Its number.
    pub attempt: u32,
    /// Its folder.
    pub dir: PathBuf,
    /// When its output last grew.
    pub changed: Timestamp,
}

/// Returns the attempts of a task that have left output, the newest first.
pub fn kept(task: &TaskId, task_dir: &Path) -> Vec<Kept> {
    let changed = |dir: &Path| fs::metadata(dir.join("output.index")).and_then(|index| index.modified()).ok();
    let of_attempt = |(attempt, dir): (u32, PathBuf)| {
        let since = changed(&dir)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Kept { task: task.clone(), attempt, dir, changed: Timestamp(since.as_millis() as u64) })
    };
    attempts(task_dir).into_iter().rev().filter_map(of_attempt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_with_their_stream_also_while_they_grow() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = OutputLog::new(dir.path());
        let mut reader = Reader::new(dir.path());
        let mut seen = Vec::new();
        reader.read(false, |l| seen.push(l)).unwrap();
        log.append(Timestamp(1), Stream::Out, b"one\ntw").unwrap();
        log.append(Timestamp(2), Stream::Err, b"\x1b[31moops\x1b[0m\n").unwrap();
        reader.read(false, |l| seen.push(l)).unwrap();
        log.append(Timestamp(3), Stream::Out, b"o\nthree").unwrap();
        reader.read(true, |l| seen.push(l)).unwrap();
        let line = |at, stream, text: &str| Line { at: Timestamp(at), stream, text: text.into() };
        assert_eq!(
            seen,
            [
                line(1, Stream::Out, "one"),
                line(2, Stream::Err, "oops"),
                line(1, Stream::Out, "two"),
                line(3, Stream::Out, "three"),
            ]
        );
    }

    #[test]
    fn a_line_without_end_is_read_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        OutputLog::new(dir.path()).append(Timestamp(1), Stream::Out, &vec![b'x'; 3 * LINE_LIMIT]).unwrap();
        let mut lengths = Vec::new();
        Reader::new(dir.path()).read(true, |l| lengths.push(l.text.len())).unwrap();
        assert_eq!(lengths, [LINE_LIMIT; 3]);
    }
}
