//! `orch logs`.

use super::{Session, args, errors, stdio::End};
use crate::{ops::types::LogQuery, view::log};

pub(super) async fn run(args: args::Logs, session: &mut Session) -> Result<u8, End> {
    let ops = session.client().await?;
    let query = LogQuery { agent: args.agent, task: args.task, last: args.lines, grep: args.grep };
    if !args.follow {
        let lines = ops.logs(query.clone()).await?;
        for line in &lines {
            session.item(line, log::line)?;
        }
        if lines.is_empty() && query.last > 0 && !session.json {
            errors::note(&log::nothing(&query));
        }
        return Ok(0);
    }
    session.follow(ops.follow_logs(query), log::line).await
}
