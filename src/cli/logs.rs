//! `orch logs`.

use super::{
    Session, args, errors,
    stdio::{self, End},
};
use crate::{
    ops::types::{LogLine, LogQuery},
    view::log,
};

pub(super) async fn run(args: args::Logs, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let query = LogQuery { agent: args.agent, task: args.task, last: args.lines, grep: args.grep };
    if !args.follow {
        let lines = ops.logs(&query).await?;
        for line in &lines {
            session.item(line, log::line)?;
        }
        if lines.is_empty() && query.last > 0 && !session.json {
            errors::note(&log::nothing(&query));
        }
        return Ok(0);
    }
    let mut written = Ok(());
    let mut each = |line: LogLine| {
        written = session.item(&line, log::line).and_then(|()| session.out.flush());
        written.is_ok()
    };
    tokio::select! {
        followed = ops.follow_logs(&query, &mut each) => followed?,
        end = stdio::closed() => return Err(end),
    }
    written?;
    Ok(0)
}
