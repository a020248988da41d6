//! Renders a program's JSON stream for people: the only renderer of all drivers' events. The rendered lines go to the
//! pane and to the attempt's log; the raw stream is kept next to it.

use std::{fs::File, io::Write, path::Path, time::Instant};

use crate::{
    drivers::{Conversation, Ending, Event, Transcript},
    home::output,
    model::{
        duration::human,
        text::{in_one_line, one_line, plain},
        time::Timestamp,
    },
    runner::output::{
        hooked::Hooked,
        lines::{COLUMNS, changes, failed, spent},
        metering::Metering,
        runaway::Runaway,
    },
    store::tasks::Metered,
};

/// A longer line is only in the raw file: an answer of many MiB is unreadable, and a line is buffered in memory.
const LONGEST_LINE: usize = 32 << 20;
/// What matters in a line of standard error is at its beginning.
const LONGEST_ERROR: usize = 4 << 10;
/// Reads one program's stream.
pub(in crate::runner) struct Reading {
    transcript: Box<dyn Transcript>,
    conversation: Conversation,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    /// The same for standard error.
    error_line: Vec<u8>,
    /// Whether its beginning was shown already, because it is long.
    error_line_is_shown: bool,
    /// Whether the current line is too long, and its rest is skipped.
    skipping: bool,
    raw: Option<File>,
    last_text: String,
    /// The conversation's name, where the program was started with one.
    given: Option<String>,
    metering: Metering,
    /// What its hooks report, where its stream does not say it all.
    hooked: Option<Hooked>,
    runaway: Runaway,
    /// How the program repeats itself without an end, in words.
    repeats: Option<String>,
}

impl Reading {
    /// Reads for a program whose attempt has this folder, and whose conversation was given this name.
    pub fn new(transcript: Box<dyn Transcript>, dir: &Path, given: Option<String>, metering: Metering) -> Self {
        let raw = output::open_raw(dir).inspect_err(|e| tracing::error!("the raw lines are not kept: {e}")).ok();
        let conversation = Conversation::default();
        let hooked = transcript.reads_hooks().then(|| Hooked::of(dir));
        Reading {
            transcript,
            conversation,
            line: Vec::new(),
            error_line: Vec::new(),
            error_line_is_shown: false,
            skipping: false,
            raw,
            last_text: String::new(),
            given,
            metering,
            hooked,
            runaway: Runaway::default(),
            repeats: None,
        }
    }

    /// Processes a piece of the stream; returns what is to be shown of it.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        if let Some(Err(e)) = self.raw.as_mut().map(|raw| raw.write_all(piece)) {
            // Logged once, then not again: the disk is full, and the attempt continues.
            tracing::error!("the raw lines end here: {e}");
            self.raw = None;
        }
        let mut shown = String::new();
        for part in piece.split_inclusive(|b| *b == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.skipping |= part.len() > room;
            if !self.skipping {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line(&mut shown);
            }
        }
        shown.into_bytes()
    }

    /// Processes a piece of standard error; returns what is to be shown: whole lines as they are, without noise.
    pub fn feed_errors(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        for part in piece.split_inclusive(|b| *b == b'\n') {
            // For a longer line the beginning is enough, and its rest is shown as it comes.
            let room = LONGEST_ERROR.saturating_sub(self.error_line.len());
            let (head, rest) = part.split_at(part.len().min(room));
            self.error_line.extend_from_slice(head);
            if !rest.is_empty() && !std::mem::replace(&mut self.error_line_is_shown, true) {
                shown.extend_from_slice(&self.error_line);
            }
            shown.extend_from_slice(rest);
            if part.ends_with(b"\n") {
                shown.extend(self.end_error_line());
            }
        }
        shown
    }

    /// Ends standard error: the rest has no newline.
    pub fn finish_errors(&mut self) -> Vec<u8> {
        self.end_error_line()
    }

    fn end_error_line(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.error_line);
        let is_shown = std::mem::take(&mut self.error_line_is_shown);
        let text = String::from_utf8_lossy(&line);
        let mut after = String::new();
        for event in self.transcript.error_line(text.trim()) {
            self.conversation.take(&event);
            // The line itself may not say in plain words what was refused.
            if matches!(event, Event::Needs { .. }) {
                self.show(&event, &mut after);
            }
        }
        let is_left_out = is_shown || self.transcript.is_noise(text.trim());
        let mut shown = if is_left_out { Vec::new() } else { line };
        shown.extend_from_slice(after.as_bytes());
        shown
    }

    /// Ends the stream: the rest has no newline.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut shown = String::new();
        self.end_line(&mut shown);
        self.read_hooks(&mut shown);
        shown.into_bytes()
    }

    /// Returns what was reported so far.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// Adds what its hooks have recorded of turns that were about to end.
    pub fn answered_before(&mut self, said: &[String]) {
        said.iter().for_each(|said| self.conversation.answered_before(said));
    }

    /// Returns in words how the program repeats itself without an end, if it does.
    pub fn repeats(&self) -> Option<&str> {
        self.repeats.as_deref()
    }

    /// Returns what to store with the task of the totals that the program has reported.
    pub fn metered(&self) -> Option<&Metered> {
        self.metering.metered()
    }

    fn end_line(&mut self, shown: &mut String) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skipping) {
            self.conversation.take(&Event::Unknown { shown: None });
            shown.push_str(&format!(
                "orch: a line of more than {} MiB is left out; it is in raw.jsonl\n",
                LONGEST_LINE >> 20
            ));
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.read_hooks(shown);
        for mut event in self.transcript.line(line) {
            if let Event::Started { session: session @ None, .. } = &mut event {
                session.clone_from(&self.given);
            }
            if let Event::Usage(usage) = &mut event {
                *usage = self.metering.own(usage, self.conversation.session.as_deref());
            }
            let repeats = self.runaway.see(Instant::now(), &event);
            self.repeats = self.repeats.take().or(repeats);
            self.conversation.take(&event);
            self.show(&event, shown);
        }
    }

    /// Reads what the hooks have reported since the last line: the program runs them before it goes on.
    fn read_hooks(&mut self, shown: &mut String) {
        for hook in self.hooked.as_mut().map(Hooked::next).unwrap_or_default() {
            for event in self.transcript.hooked(hook) {
                self.conversation.take(&event);
                self.show(&event, shown);
            }
        }
    }

    fn show(&mut self, event: &Event, shown: &mut String) {
        let line = match event {
            Event::Started { session, model } => {
                let session = session.as_deref().unwrap_or("without a name");
                let model = model.as_ref().map(|model| format!(" · {model}")).unwrap_or_default();
                format!("── conversation {session}{model}")
            }
            Event::Text(text) => {
                self.last_text.clone_from(text);
                text.trim_end().to_owned()
            }
            Event::ToolCall { name, summary } => format!("⏺ {name}({summary})"),
            Event::ToolResult { ok: true, summary } => match one_line(summary, COLUMNS).as_str() {
                "" => return,
                summary => format!("  ⎿ {summary}"),
            },
            Event::ToolResult { ok: false, summary } => format!("  ⎿ failed: {}", failed(summary)),
            Event::Changes(lines) => match changes(lines).as_str() {
                "" => return,
                lines => lines.to_owned(),
            },
            Event::Note(text) => format!("── {}", one_line(text, 2 * COLUMNS)),
            Event::Window(_)
            | Event::Usage(_)
            | Event::KeptIn { .. }
            | Event::Turn
            | Event::Answers
            | Event::HandedOver => return,
            Event::Needs { what, of } => format!("── needs {what}: {of}"),
            Event::Asks(asked) => format!("── {}", in_one_line(&asked.to_string(), COLUMNS)),
            Event::RateLimited { until } => match until.and_then(|until| until.from_now(Timestamp::now())) {
                Some(left) => format!("── a limit is reached, for {}", human(left)),
                None => "── a limit is reached".to_owned(),
            },
            Event::Retrying { attempt, of, after, why, .. } => {
                let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
                let count = attempt.map(|attempt| format!(" ({attempt}{of})")).unwrap_or_default();
                let after = if after.is_zero() { String::new() } else { format!(" in {}", human(*after)) };
                format!("── tries again{after}{count}: {why}")
            }
            Event::Result { text, ending } => self.end(text.as_deref(), ending),
            Event::Unknown { shown: Some(line) } => one_line(line, 10 * COLUMNS),
            Event::Unknown { shown: None } => return,
        };
        shown.push_str(&plain(line.as_bytes()));
        shown.push('\n');
    }

    fn end(&self, text: Option<&str>, ending: &Ending) -> String {
        let mut lines = Vec::new();
        // In most programs the answer repeats the last message.
        lines.extend(text.filter(|text| text.trim() != self.last_text.trim()).map(|text| text.trim_end().to_owned()));
        let spent = self.conversation.usage.as_ref().map(spent).unwrap_or_default();
        lines.push(match ending {
            Ending::Done => format!("── done{spent}"),
            Ending::Failed(_, reason) => format!("── ended: {}{spent}", one_line(reason, 2 * COLUMNS)),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::DriverKind,
        drivers::{self, AgentOptions},
        model::wait::Wait,
    };

    const STREAM: &str = concat!(
        r#"{"type":"system","subtype":"init","session_id":"s1","model":"m"}"#,
        "\n\r\n",
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"héllo\u001b[31m\nworld"}]}}"#,
        "\nno JSON \u{1b}]0;x\u{7}at all\n",
        r#"{"type":"system","subtype":"api_retry","attempt":2,"max_retries":10,"retry_delay_ms":5000,"error":"overloaded"}"#,
        "\n",
        r#"{"type":"result","subtype":"success","is_error":false,"result":"bye","usage":{"input_tokens":1,"output_tokens":2}}"#,
    );
    const SHOWN: &str = "── conversation s1 · m\nhéllo\nworld\nno JSON at all\n\
                         ── tries again in 5.0s (2 of 10): overloaded\nbye\n── done · 1 tokens in, 2 out\n";

    fn reading(dir: &Path) -> Reading {
        Reading::new(
            drivers::of(DriverKind::Claude).unwrap().transcript(&AgentOptions::default()).unwrap(),
            dir,
            None,
            Metering::default(),
        )
    }

    #[test]
    fn wherever_the_stream_is_cut_the_same_lines_are_shown_and_it_is_kept() {
        for size in [1, 2, 3, 7, 64, 100_000] {
            let dir = tempfile::tempdir().unwrap();
            let mut reading = reading(dir.path());
            let mut shown: Vec<u8> = STREAM.as_bytes().chunks(size).flat_map(|piece| reading.feed(piece)).collect();
            shown.extend(reading.finish());
            assert_eq!(String::from_utf8(shown).unwrap(), SHOWN, "in pieces of {size}");
            assert!(reading.conversation().is_done());
            assert_eq!(std::fs::read_to_string(dir.path().join("raw.jsonl")).unwrap(), STREAM);
        }
    }

    #[test]
    fn a_line_without_end_is_left_out_and_the_next_one_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut reading = reading(dir.path());
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            assert!(reading.feed(&piece).is_empty());
        }
        assert!(reading.line.len() <= LONGEST_LINE);
        let shown = String::from_utf8(reading.feed(format!("x\n{STREAM}\n").as_bytes())).unwrap();
        assert_eq!(shown, format!("orch: a line of more than 32 MiB is left out; it is in raw.jsonl\n{SHOWN}"));
    }

    #[test]
    fn standard_error_is_read_wherever_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let transcript = drivers::of(DriverKind::Gemini).unwrap().transcript(&AgentOptions::default()).unwrap();
        let mut reading = Reading::new(transcript, dir.path(), None, Metering::default());
        let said = format!("{}\nAttempt 1 failed. Retrying with backoff... Error: x\n", "y".repeat(9_000));
        said.as_bytes().chunks(7).for_each(|piece| drop(reading.feed_errors(piece)));
        assert!(matches!(reading.conversation().waits_for(), Some(Wait::Service(_))));
        reading.feed(b"{\"type\":\"message\",\"role\":\"assistant\",\"delta\":true,\"content\":\"I\"}\n");
        assert_eq!(reading.conversation().waits_for(), None);
    }

    #[test]
    fn what_is_refused_on_standard_error_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let transcript = drivers::of(DriverKind::Codex).unwrap().transcript(&AgentOptions::default()).unwrap();
        let mut reading = Reading::new(transcript, dir.path(), None, Metering::default());
        let said =
            "x ERROR codex_core::tools::router: error=patch rejected: writing outside of the project; rejected\n";
        let noise = "Reading prompt from stdin...\n";
        for size in [9, 100_000] {
            let text = format!("{noise}{said}cut");
            let mut shown: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|piece| reading.feed_errors(piece)).collect();
            shown.extend(reading.finish_errors());
            let refused = "── needs permission: apply_patch(writing outside of the project)\n";
            assert_eq!(String::from_utf8(shown).unwrap(), format!("{said}{refused}cut"), "in pieces of {size}");
        }
        let long = "y".repeat(3 * LONGEST_ERROR) + "\n";
        let shown: Vec<u8> = long.as_bytes().chunks(1000).flat_map(|piece| reading.feed_errors(piece)).collect();
        assert!(String::from_utf8(shown).unwrap() == long);
    }

    #[test]
    fn a_tool_that_failed_shows_its_output_and_an_edit_its_change() {
        let dir = tempfile::tempdir().unwrap();
        let mut reading = reading(dir.path());
        let output: String = (1..=30).map(|n| format!("line {n}\\n")).collect();
        let lines = [
            r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Grep","input":{"pattern":"fn x","path":"src"}}]}}"#.to_owned(),
            r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Edit","input":{"file_path":"a.rs","old_string":"a\nb","new_string":"a\nc"}}]}}"#.to_owned(),
            format!(r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","is_error":true,"content":"{output}"}}]}}}}"#),
        ];
        let shown = String::from_utf8(reading.feed((lines.join("\n") + "\n").as_bytes())).unwrap();
        assert!(
            shown.starts_with("⏺ Grep(fn x in src)\n⏺ Edit(a.rs)\n    -b\n    +c\n  ⎿ failed: line 1\n"),
            "{shown}"
        );
        assert!(shown.contains("    ... 18 lines ...\n    line 20\n") && shown.ends_with("    line 30\n"), "{shown}");
    }

    #[test]
    fn a_missing_folder_does_not_end_the_attempt() {
        let mut reading = reading(Path::new("/nonexistent"));
        assert!(!reading.feed(format!("{STREAM}\n").as_bytes()).is_empty());
    }
}
