//! `orch wait`.

use super::{Session, args, end::End, exit, render};
use crate::{
    error::Kind,
    model::{
        task::{Task, TaskState},
        text::one_line,
    },
    ops::types::Wait,
};

pub(super) async fn run(args: args::Wait, session: &mut Session) -> Result<u8, End> {
    let wait = Wait { ids: args.tasks, any: args.any, timeout: args.timeout };
    let ended = session.ops()?.wait_telling(wait, &mut tell_held).await?;
    session.answer(&ended, |ended, view| ended.iter().map(|detail| render::stream::end(detail, view)).collect())?;
    let well = ended.iter().all(|detail| detail.task.state == TaskState::Succeeded);
    Ok(if well { 0 } else { Kind::Failed.exit_code() })
}

/// Whoever waits for a task that waits for a person would wait for ever, and not know it.
pub(super) fn tell_held(task: &Task) {
    let reason = task.reason.as_ref().map(|reason| format!(": {}", one_line(reason, 200))).unwrap_or_default();
    exit::note(&format!("{} is held{reason}; it goes on after: orch retry {}", task.id, task.id));
}
