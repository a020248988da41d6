//! `orch wait`.

use super::{Session, args, errors, stdio::End};
use crate::{
    error::Kind,
    model::{
        task::{Task, TaskState},
        text::one_line,
    },
    ops::types::Wait,
    view::task::life,
};

pub(super) async fn run(args: args::Wait, session: &mut Session) -> Result<u8, End> {
    let wait = Wait { ids: args.tasks, any: args.any, timeout: args.timeout };
    let ended = session.ops()?.wait_telling(wait, &mut note_held).await?;
    session.answer(&ended, |ended, view| ended.iter().map(|detail| life::end_in_one_line(detail, view)).collect())?;
    let well = ended.iter().all(|detail| detail.task.state == TaskState::Succeeded);
    Ok(if well { 0 } else { Kind::Failed.exit_code() })
}

/// Without this note, a wait for a task that waits for a person would look as if the task were at work.
pub(super) fn note_held(task: &Task) {
    let reason = task.reason.as_ref().map(|reason| format!(": {}", one_line(reason, 200))).unwrap_or_default();
    errors::note(&format!("{} is held{reason}; it goes on after: orch retry {}", task.id, task.id));
}
