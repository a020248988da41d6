//! `orch wait`.

use futures_util::StreamExt;

use super::{Session, args, errors, stdio::End};
use crate::{
    error::{Error, Kind, Result},
    model::{
        task::{TaskDetail, TaskState},
        text::one_line,
    },
    ops::{
        Client, Wanted,
        types::{Wait, WaitStep},
    },
    view::task::life,
};

pub(super) async fn run(args: args::Wait, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let ids = client.find_tasks(&args.tasks, Wanted::LastTask).await?;
    let wait = Wait { ids, any: args.any, timeout: args.timeout };
    let ended = noting_held(&client, wait).await?;
    session.answer(&ended, |ended, view| ended.iter().map(|detail| life::end_in_one_line(detail, view)).collect())?;
    let well = ended.iter().all(|detail| detail.task.state == TaskState::Succeeded);
    Ok(if well { 0 } else { Kind::Failed.exit_code() })
}

/// Waits, and notes on standard error each task that begins to wait for a person: without the note, it would look as if the
/// task were at work.
pub(super) async fn noting_held(ops: &Client, wait: Wait) -> Result<Vec<TaskDetail>> {
    let limit = wait.timeout;
    let mut steps = ops.wait_steps(wait);
    while let Some(step) = steps.next().await {
        match step? {
            WaitStep::Looked(_) => {}
            WaitStep::Held(task) => {
                let reason = task.reason.map(|reason| format!(": {}", one_line(&reason, 200))).unwrap_or_default();
                errors::note(&format!("{} is held{reason}; it goes on after: orch retry {}", task.id, task.id));
            }
            WaitStep::Done(waited) => return waited.in_time(limit),
        }
    }
    Err(Error::internal("the wait has ended without an answer"))
}
