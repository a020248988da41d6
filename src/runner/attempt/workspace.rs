//! The folder of one attempt: what its program is given, and where it leaves its result.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    drivers::ResultFile,
    home::{self, Home},
    model::{question::Question, task::Task},
    store::tasks::Claimed,
};

#[cfg(test)]
mod fuzz;

/// A result file larger than this is not read: its text could not be stored whole anyway.
const LARGEST_RESULT: u64 = 4 * 1024 * 1024;

/// What a program finds at `ORCH_CONTEXT`.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    task: &'a Task,
    /// What persons have answered to earlier attempts.
    answers: Vec<&'a Question>,
}

/// One attempt's folder.
pub(in crate::runner) struct Workspace {
    pub dir: PathBuf,
    pub prompt: PathBuf,
    pub context: PathBuf,
    pub result: PathBuf,
}

impl Workspace {
    /// Makes the folder with the prompt and the task as JSON.
    pub fn create(home: &Home, claimed: &Claimed, prompt: &str) -> io::Result<Self> {
        let dir = home.run(&claimed.task.id, claimed.attempt);
        home::create_dir(&dir)?;
        let workspace = Workspace {
            prompt: dir.join("prompt"),
            context: dir.join("context.json"),
            result: dir.join("answer.json"),
            dir,
        };
        home::write_new(&workspace.prompt, prompt.as_bytes())?;
        let answers = claimed.questions.iter().filter(|question| question.answer.is_some()).collect();
        let context = Context { task: &claimed.task, answers };
        home::write_new(&workspace.context, &serde_json::to_vec(&context)?)?;
        Ok(workspace)
    }

    /// What the program left, or why that does not read.
    pub fn read_result(&self) -> Result<Option<ResultFile>, String> {
        read(&self.result).map_err(|why| format!("its result file {} does not read: {why}", self.result.display()))
    }
}

fn read(path: &Path) -> Result<Option<ResultFile>, String> {
    let meta = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
        Ok(meta) => meta,
    };
    if !meta.is_file() {
        return Err("it is not a file".into());
    }
    if meta.len() > LARGEST_RESULT {
        return Err(format!("it has {} MiB, 4 at most", meta.len() >> 20));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    // An object, and not a list of a struct's fields in their order, which would read as well.
    let fields: serde_json::Map<_, _> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    serde_json::from_value(fields.into()).map(Some).map_err(|e| e.to_string())
}
