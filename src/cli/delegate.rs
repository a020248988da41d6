//! `orch delegate`.

use std::io::{self, IsTerminal, Write};

use super::{
    Session, args, errors,
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
    let (wait, keyed, role) = (args.wait, args.task.key.is_some(), args.task.role.clone());
    let text = one_text(std::mem::take(&mut args.text))?;
    let request = request(args, text);
    let ops = session.client().await?;
    let delegated = ops.delegate(request).await?;
    let role = delegated.routed_to.clone().or(role);
    if let Some(role) = delegated.routed_to.as_ref().filter(|_| !session.json) {
        errors::note(&format!("{} was routed to role {role}: orch why {0}", delegated.id));
    }
    if keyed && !delegated.created && !session.json {
        let id = &delegated.id;
        errors::note(&match delegated.differs {
            true => format!("{id} already has this key, with another text; nothing was delegated: orch show {id}"),
            false => format!("{id} already has this key; its state is {}", delegated.state),
        });
    }
    if let Some(note) = delegated.note.as_ref().filter(|_| !session.json) {
        errors::note(note);
    }
    if !delegated.needs_approval.is_empty() && !session.json {
        let rights = delegated.needs_approval.join(", ");
        errors::note(&format!(
            "{} is held until a person approves it: it needs the right to {rights} (orch approvals)",
            delegated.id
        ));
    }
    if delegated.waits_for_reload && !session.json {
        let role = role.as_deref().unwrap_or("its role");
        errors::note(&format!("{} waits: the supervisor does not know {role} yet; orch reload tells it", delegated.id));
    }
    if delegated.detached_already && !session.json {
        errors::note(
            "--detached has no effect here: nothing waits for it at its end (only an agent's task waits for its subtasks)",
        );
    }
    // Only for a caller that waits and for a person: a program that only delegates should not pay for another call.
    if (wait || io::stderr().is_terminal())
        && !session.json
        && let Some(why) = ops.holds_up(role).await?
    {
        errors::note(&session.view.with_clocks(&format!("{} waits: {why}", delegated.id)));
    }
    if wait {
        return wait_for(&ops, &delegated.id, session).await;
    }
    session.answer(&delegated, |d, _| format!("{}\n", d.id))?;
    Ok(0)
}

/// The request that the words mean.
pub(super) fn request(args: args::Delegate, text: String) -> Delegate {
    Delegate { text, labels: args.label.into_iter().collect(), ..args.task }
}

pub(super) fn one_text(words: Vec<String>) -> Result<String> {
    match words.as_slice() {
        [text] => stdio::text(text.clone()),
        [first, ..] => Err(Error::usage(format!("delegate takes one text, and got {} words", words.len()))
            .hint(format!("put quotes around all of it: orch delegate '{first} ...'"))),
        [] => Err(Error::usage("delegate takes a text")),
    }
}

/// The exit code of a program that was ended by SIGINT, as a shell shows it.
const INTERRUPTED: u8 = 128 + 2;

async fn wait_for(ops: &Client, id: &TaskId, session: &mut Session) -> Result<u8, End> {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // A person who stops waiting needs the id. Nothing depends on this line.
        let _ = writeln!(stderr, "{id} was accepted; Ctrl-C stops the waiting, not the task");
    }
    let wait = Wait { ids: vec![id.clone()], ..Wait::default() };
    let mut interrupt = stdio::interrupts()?;
    let ended = tokio::select! {
        ended = wait::noting_held(ops, wait) => ended?,
        _ = interrupt.recv() => {
            // Also where standard error is a file: without the id, the task cannot be found again.
            errors::note(&format!("{id} goes on; to wait for it again: orch wait {id}"));
            return Ok(INTERRUPTED);
        }
    };
    let Some(detail) = ended.ended.first() else {
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
}
