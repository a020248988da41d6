//! `orch wait`.

use super::{Session, args, exit::End, render};
use crate::{error::Kind, model::task::TaskState, ops::types::Wait};

pub(super) async fn run(args: args::Wait, session: &mut Session) -> Result<u8, End> {
    let wait = Wait { ids: args.tasks, any: args.any, timeout: args.timeout };
    let ended = session.ops()?.wait(wait).await?;
    session.answer(&ended, |ended, view| ended.iter().map(|detail| render::stream::end(detail, view)).collect())?;
    let well = ended.iter().all(|detail| detail.task.state == TaskState::Succeeded);
    Ok(if well { 0 } else { Kind::Failed.exit_code() })
}
