//! `orch logs`.

use super::{
    Session, args,
    end::End,
    exit,
    out::{self, Out},
    render::{View, stream},
};
use crate::ops::types::{LogLine, LogQuery};

pub(super) async fn run(args: args::Logs, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let query = LogQuery { agent: args.agent, task: args.task, last: args.lines, grep: args.grep };
    let Session { out, view, json, .. } = session;
    if !args.follow {
        let lines = ops.logs(&query).await?;
        for line in &lines {
            print(line, out, view, *json)?;
        }
        if lines.is_empty() && query.last > 0 && !*json {
            exit::note(&nothing(&query));
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

/// An empty page says nothing, not even that the question was understood.
fn nothing(query: &LogQuery) -> String {
    match (&query.grep, &query.task, &query.agent) {
        (Some(_), ..) => "no line matches".to_owned(),
        (None, Some(task), _) => format!("{task} has printed nothing"),
        (None, None, Some(agent)) => format!("{agent} has printed nothing"),
        (None, None, None) => "no agent has printed anything yet".to_owned(),
    }
}
