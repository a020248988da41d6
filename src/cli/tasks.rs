//! `orch tasks`.

use super::{Session, args, exit::End, render};
use crate::ops::types::TaskFilter;

pub(super) async fn run(args: args::Tasks, session: &mut Session) -> Result<u8, End> {
    let filter = TaskFilter { state: args.state, role: args.role, parent: args.parent, limit: None };
    let tasks = session.ops()?.tasks(filter).await?;
    session.answer(&tasks, |tasks, view| render::task::tasks(tasks, args.tree, view))?;
    Ok(0)
}
