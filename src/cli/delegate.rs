//! `orch delegate`.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use serde_json::Value;

use super::{
    Session, args, delegate_each, errors,
    stdio::{self, End},
    tasks, wait,
};
use crate::{
    error::{Error, Kind, Result},
    model::{id::TaskId, task::TaskState},
    ops::{
        Client,
        types::{Delegate, Wait},
    },
};

pub(super) async fn run(mut args: args::Delegate, session: &mut Session) -> Result<u8, End> {
    if args.each.is_some() {
        return delegate_each::run(args, session).await;
    }
    let (wait, keyed, role) = (args.wait, args.key.is_some(), args.role.clone());
    let text = one_text(std::mem::take(&mut args.text))?;
    let request = request(args, text)?;
    let ops = session.client().await?;
    let delegated = ops.delegate(request).await?;
    if keyed && !delegated.created && !session.json {
        errors::note(&format!("{} already has this key; its state is {}", delegated.id, delegated.state));
    }
    if !delegated.needs_approval.is_empty() && !session.json {
        let rights = delegated.needs_approval.join(", ");
        errors::note(&format!("{} is held until a person approves it: its role may {rights}", delegated.id));
    }
    // Only for a caller that waits and for a person: a program that only delegates should not pay for another call.
    if (wait || io::stderr().is_terminal())
        && !session.json
        && let Some(why) = ops.holds_up(role).await?
    {
        errors::note(&format!("{} waits: {why}", delegated.id));
    }
    if wait {
        return wait_for(&ops, &delegated.id, session).await;
    }
    session.answer(&delegated, |d, _| format!("{}\n", d.id))?;
    Ok(0)
}

/// The request that the words mean. What depends on the caller's folder is read here.
pub(super) fn request(args: args::Delegate, text: String) -> Result<Delegate> {
    Ok(Delegate {
        text,
        role: args.role,
        priority: args.priority,
        timeout: args.timeout,
        retries: args.retries,
        after: args.after,
        context: args.context.as_deref().map(context).transpose()?,
        artifacts: args.artifact,
        key: args.key,
        labels: args.label.into_iter().collect(),
        cwd: args.cwd.map(|dir| absolute(&dir)).transpose()?,
    })
}

pub(super) fn one_text(words: Vec<String>) -> Result<String> {
    match words.as_slice() {
        [text] => stdio::text(text.clone()),
        [first, ..] => Err(Error::usage(format!("delegate takes one text, and got {} words", words.len()))
            .hint(format!("put quotes around all of it: orch delegate '{first} ...'"))),
        [] => Err(Error::usage("delegate takes a text")),
    }
}

fn context(text: &str) -> Result<Value> {
    let (json, what) = match text.strip_prefix('@') {
        None => (text.to_owned(), "--context".to_owned()),
        Some(file) => {
            let what = format!("--context @{file}");
            let unreadable = |e| {
                Error::usage(format!("{what} can't be read: {e}"))
                    .hint("name a file that holds JSON, or write the JSON itself")
            };
            (std::fs::read_to_string(file).map_err(unreadable)?, what)
        }
    };
    serde_json::from_str(&json).map_err(|e| {
        Error::usage(format!("{what} is not JSON: {e}")).hint("write it like --context '{\"file\": \"a.rs\"}'")
    })
}

pub(super) fn absolute(dir: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(dir).map_err(|e| Error::usage(format!("--cwd {}: {e}", dir.display())))
}

async fn wait_for(ops: &Client, id: &TaskId, session: &mut Session) -> Result<u8, End> {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // A person who stops waiting needs the id. Nothing depends on this line.
        let _ = writeln!(stderr, "{id} was accepted; Ctrl-C stops the waiting, not the task");
    }
    let wait = Wait { ids: vec![id.clone()], any: false, timeout: None };
    let ended = wait::noting_held(ops, wait).await?;
    let Some(detail) = ended.first() else {
        return Err(Error::internal(format!("no answer about {id}")).into());
    };
    if session.json {
        session.out.json(detail, session.view.colour)?;
        return Ok(if detail.task.state == TaskState::Succeeded { 0 } else { Kind::Failed.exit_code() });
    }
    tasks::print_result(detail, session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_argument() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        assert_eq!(one_text(words(&["echo hello"])), Ok("echo hello".into()));
        let several = one_text(words(&["fix", "the", "tests"])).unwrap_err();
        assert_eq!(several.kind, Kind::Usage);
        assert!(several.hint.unwrap().contains("quotes"));
    }

    #[test]
    fn context_is_json_or_a_file_of_it() {
        assert_eq!(context("[1]"), Ok(serde_json::json!([1])));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.json");
        std::fs::write(&file, "{\"a\": 2}").unwrap();
        assert_eq!(context(&format!("@{}", file.display())), Ok(serde_json::json!({"a": 2})));
        assert_eq!(context("{a}").unwrap_err().kind, Kind::Usage);
        assert!(context("@/nowhere.json").unwrap_err().message.contains("/nowhere.json"));
    }
}
