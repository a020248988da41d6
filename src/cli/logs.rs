//! `orch logs`.

use super::{
    Session, args,
    exit::End,
    out::{self, Out},
    render::{View, stream},
};
use crate::ops::types::{LogLine, LogQuery};

pub(super) async fn run(args: args::Logs, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let query = LogQuery { agent: args.agent, task: args.task, last: args.lines, grep: args.grep };
    let Session { out, view, json, .. } = session;
    if !args.follow {
        for line in ops.logs(&query).await? {
            print(&line, out, view, *json)?;
        }
        return Ok(0);
    }
    let mut written = Ok(());
    let mut each = |line: LogLine| {
        written = print(&line, out, view, *json).and_then(|()| out.flush());
        written.is_ok()
    };
    tokio::select! {
        followed = ops.follow_logs(&query, &mut each) => followed?,
        end = out::unread() => return Err(end),
    }
    written?;
    Ok(0)
}

fn print(line: &LogLine, out: &mut Out, view: &View, json: bool) -> Result<(), End> {
    if json { out.json(line, false) } else { out.text(&stream::log_line(line, view)) }
}
