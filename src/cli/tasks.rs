//! `orch tasks`.

use super::{Session, args, end::End, exit, render};
use crate::ops::types::TaskFilter;

pub(super) async fn run(args: args::Tasks, session: &mut Session) -> Result<u8, End> {
    let all = args.state.is_none() && args.role.is_none() && args.parent.is_none();
    let filter = TaskFilter { state: args.state, role: args.role, parent: args.parent, below: args.tree, limit: None };
    let listed = session.ops()?.tasks(filter).await?;
    for damaged in &listed.damaged {
        exit::note(&format!("{damaged}; it is left out of this list"));
    }
    let tasks = listed.tasks;
    let all = all && listed.damaged.is_empty();
    session.answer(&tasks, |tasks, view| match tasks.is_empty() && all {
        true => "no tasks yet; orch delegate --role shell 'echo hello' submits one\n".to_owned(),
        false => render::task::tasks(tasks, args.tree, view),
    })?;
    Ok(0)
}
