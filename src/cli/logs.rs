//! `orch logs`.

use futures_util::StreamExt;

use super::{Session, args, errors, stdio::End};
use crate::{
    ops::{
        Client, Wanted,
        types::{LogFound, LogQuery, Target},
    },
    view::log,
};

pub(super) async fn run(args: args::Logs, session: &mut Session) -> Result<u8, End> {
    let ops = if args.follow { session.client().await? } else { session.reader().await? };
    let mut query = LogQuery { last: args.lines, grep: args.grep, ..LogQuery::default() };
    if let Some(word) = &args.target {
        match ops.find_any(word).await? {
            Target::Task(task) => query.task = Some(task),
            Target::Agent(agent) => query.agent = Some(agent),
            Target::Plan(plan) => query.plan = Some(plan),
        }
    }
    if let Some(word) = &args.task {
        query.task = Some(ops.find_task(word, Wanted::LastTask).await?);
    }
    if !args.follow {
        return print(&ops, query, session).await;
    }
    session.follow(ops.follow_logs(query), log::line).await
}

/// Prints lines as they are found, and notes how far the search has looked where that is not obvious.
async fn print(ops: &Client, query: LogQuery, session: &mut Session) -> Result<u8, End> {
    let (mut lines, mut found) = (0, ops.search_logs(query.clone()));
    while let Some(found) = found.next().await {
        match found? {
            LogFound::Line(line) => {
                session.item(&line, log::line)?;
                lines += 1;
                // A pattern's hits come one by one.
                if query.grep.is_some() {
                    session.out.flush()?;
                }
            }
            LogFound::Looked(looked) => {
                session.out.flush()?;
                if let (Some(note), false) = (log::looked(&query, lines, &looked, &session.view), session.json) {
                    errors::note(&note);
                }
            }
        }
    }
    Ok(0)
}
