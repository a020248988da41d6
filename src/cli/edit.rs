//! `orch edit`.

use super::{
    Session, args,
    stdio::{self, End},
};
use crate::{
    ops::{Edits, Wanted},
    view::task,
};

pub(super) async fn run(args: args::Edit, session: &mut Session) -> Result<u8, End> {
    let text = args.text.map(stdio::text).transpose()?;
    let after = (args.after_nothing || !args.after.is_empty()).then_some(args.after);
    let edits = Edits {
        text,
        role: args.role,
        priority: args.priority,
        after,
        labels: args.label,
        timeout: args.timeout,
        deadline: args.deadline,
        retries: args.retries,
    };
    let client = session.client().await?;
    let id = client.find_task(&args.task, Wanted::Task).await?;
    let edited = client.edit(id, edits).await?;
    session.answer(&edited, |edited, _| task::edited(edited))?;
    Ok(0)
}
