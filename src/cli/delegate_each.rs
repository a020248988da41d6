//! `orch delegate --each`: one task for each line of a file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde_json::Value;

use super::{Session, args, delegate, errors, stdio::End};
use crate::{
    error::{Error, Result},
    ops::{delegate::TOGETHER, types::Delegate},
};

/// The tasks of one step together are not much larger: they wait in memory for Redis to take them.
const BYTES_TOGETHER: usize = 8 << 20;
/// A longer line is no text that would be accepted, not even as JSON.
const LONGEST_LINE: u64 = 16 << 20;

pub(super) async fn run(mut args: args::Delegate, session: &mut Session) -> Result<u8, End> {
    let file = args.each.take().unwrap_or_default();
    let template = match args.text.len() {
        0 => None,
        _ => Some(delegate::one_text(std::mem::take(&mut args.text))?),
    };
    if template.as_ref().is_some_and(|text| !text.contains("{}")) {
        return Err(Error::usage("--each: TEXT does not contain {}, so that all tasks would be the same")
            .hint("write {} where the line belongs: orch delegate --each FILE 'Review {}'; or leave TEXT out")
            .into());
    }
    let all = delegate::request(args, String::new());
    let ops = session.client().await?;
    let mut lines = Lines::open(&file)?;
    let mut accepted = 0;
    loop {
        let tasks = lines.next_tasks(template.as_deref(), &all)?;
        let Some((first, last)) = tasks.first().zip(tasks.last()).map(|(a, b)| (a.0.clone(), b.0.clone())) else {
            session.out.flush()?;
            if accepted == 0 && !session.json {
                errors::note(&format!("{} has no lines: nothing was delegated", lines.name));
            }
            return Ok(0);
        };
        let answer = ops.delegate_all(tasks).await.map_err(|e| {
            let message =
                format!("{first} to {last} were not accepted, and {accepted} before them were: {}", e.message);
            Error { message, ..e }
        })?;
        // They are all of one kind: once is enough.
        if let Some(note) = answer.iter().find_map(|one| one.note.as_ref()).filter(|_| accepted == 0 && !session.json) {
            errors::note(note);
        }
        accepted += answer.len();
        for delegated in &answer {
            if session.json {
                session.out.json(delegated, false)?;
            } else {
                session.out.text(&format!("{}\n", delegated.id))?;
            }
        }
        session.out.flush()?;
    }
}

/// The lines of a file, as they come.
struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    number: usize,
}

impl Lines {
    fn open(file: &Path) -> Result<Lines> {
        if file == Path::new("-") {
            let reader = Box::new(BufReader::new(io::stdin()));
            return Ok(Lines { name: "standard input".into(), reader, number: 0 });
        }
        let name = file.display().to_string();
        let opened = File::open(file).map_err(|e| {
            Error::usage(format!("--each {name}: it can't be read: {e}"))
                .hint("name a file with a task per line, or - for standard input")
        })?;
        Ok(Lines { name, reader: Box::new(BufReader::new(opened)), number: 0 })
    }

    /// The tasks of the next lines, each with where it stands: as many as are accepted in one step.
    fn next_tasks(&mut self, template: Option<&str>, all: &Delegate) -> Result<Vec<(String, Delegate)>> {
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        while tasks.len() < TOGETHER && bytes < BYTES_TOGETHER {
            let Some(line) = self.next_line()? else { break };
            bytes += line.len();
            let place = format!("line {} of {}", self.number, self.name);
            let task =
                task(&line, template, all).map_err(|e| Error { message: format!("{place}: {}", e.message), ..e })?;
            tasks.push((place, task));
        }
        Ok(tasks)
    }

    /// The next line that is not empty.
    fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            let mut line = Vec::new();
            let read = io::Read::take(&mut self.reader, LONGEST_LINE).read_until(b'\n', &mut line);
            let unreadable = |why: &str| {
                Error::usage(format!("line {} of {}: {why}", self.number + 1, self.name))
                    .hint("write one task per line, as text or as a JSON object")
            };
            if read.map_err(|e| unreadable(&format!("it can't be read: {e}")))? == 0 {
                return Ok(None);
            }
            if line.len() as u64 == LONGEST_LINE {
                return Err(unreadable("it is longer than 16 MiB"));
            }
            let line = String::from_utf8(line).map_err(|_| unreadable("it is not UTF-8"))?;
            self.number += 1;
            let line = line.trim_end_matches(['\n', '\r']);
            if !line.trim().is_empty() {
                return Ok(Some(line.to_owned()));
            }
        }
    }
}

/// The task of one line. What the line does not say is as for all.
fn task(line: &str, template: Option<&str>, all: &Delegate) -> Result<Delegate> {
    if let Some(template) = template {
        return Ok(Delegate { text: template.replace("{}", line), ..all.clone() });
    }
    // A script may begin with a brace as well; what reads as an object is one, and what almost does is a mistake.
    let object = match serde_json::from_str::<serde_json::Map<String, Value>>(line) {
        Ok(object) => object,
        Err(e) if line.trim_start().starts_with("{\"") => {
            return Err(Error::usage(format!("it begins like JSON, and is none: {e}"))
                .hint("correct it; as a text, put it into the object: {\"text\": \"...\"}"));
        }
        Err(_) => return Ok(Delegate { text: line.to_owned(), ..all.clone() }),
    };
    let task: Delegate = serde_json::from_value(object.into()).map_err(|e| {
        Error::usage(format!("its JSON does not describe a task: {e}"))
            .hint("write it like {\"text\": \"run the tests\", \"role\": \"shell\"}")
    })?;
    task.completed(all).map_err(Error::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        Lines { name: "a file".into(), reader: Box::new(io::Cursor::new(text.to_owned().into_bytes())), number: 0 }
    }

    #[test]
    fn a_line_is_a_text_or_an_object_and_says_more_than_the_options() {
        let all = Delegate { role: Some("shell".into()), retries: Some(1), ..Delegate::default() };
        let text = "one\r\n\n{ echo two; }\n{\"text\": \"three\", \"role\": \"other\", \"key\": \"k\"}";
        let tasks = lines(text).next_tasks(None, &all).unwrap();
        let told: Vec<_> = tasks.iter().map(|(at, t)| (at.as_str(), t.text.as_str(), t.role.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("line 1 of a file", "one", Some("shell")),
                ("line 3 of a file", "{ echo two; }", Some("shell")),
                ("line 4 of a file", "three", Some("other")),
            ]
        );
        assert_eq!((tasks[2].1.key.as_deref(), tasks[2].1.retries), (Some("k"), Some(1)));
    }

    #[test]
    fn in_a_template_the_line_is_only_text() {
        let tasks = lines("a.rs\n{\"text\": \"x\"}\n").next_tasks(Some("Review {}, {}"), &Delegate::default()).unwrap();
        assert_eq!(tasks[0].1.text, "Review a.rs, a.rs");
        assert_eq!(tasks[1].1.text, "Review {\"text\": \"x\"}, {\"text\": \"x\"}");
    }

    #[test]
    fn what_is_no_task_is_refused_with_its_line() {
        for (text, why) in [
            ("ok\n{\"txt\": 1}\n", "line 2 of a file: its JSON does not describe a task"),
            ("{}", "missing field `text`"),
            ("{\"text\": \"x\"", "line 1 of a file: it begins like JSON, and is none"),
        ] {
            let error = lines(text).next_tasks(None, &Delegate::default()).unwrap_err();
            assert!(error.message.contains(why) && error.hint.is_some(), "{error:?}");
        }
        let mut binary = lines("");
        binary.reader = Box::new(io::Cursor::new(b"caf\xe9\n".to_vec()));
        assert!(
            binary
                .next_tasks(None, &Delegate::default())
                .unwrap_err()
                .message
                .contains("line 1 of a file: it is not UTF-8")
        );
    }

    #[test]
    fn a_step_has_a_thousand_tasks_at_most() {
        let text = "x\n".repeat(TOGETHER + 1);
        let mut lines = lines(&text);
        let all = Delegate::default();
        let sizes = [0; 3].map(|_| lines.next_tasks(None, &all).unwrap().len());
        assert_eq!(sizes, [TOGETHER, 1, 0]);
    }
}
