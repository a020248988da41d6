//! `orch events`.

use super::{
    Session, args,
    stdio::{self, End},
};
use crate::{model::event::Event, view};

pub(super) async fn run(args: &args::Events, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let events = ops.events(args.lines).await?;
    for event in &events {
        session.item(event, view::event::event)?;
    }
    if !args.follow {
        return Ok(0);
    }
    session.out.flush()?;
    // Without a last event: from now on where none was asked for, else from the first one.
    let after = events.last().map_or(if args.lines == 0 { "$" } else { "-" }, |e| e.id.as_str());
    let mut written = Ok(());
    let mut each = |event: Event| {
        written = session.item(&event, view::event::event).and_then(|()| session.out.flush());
        written.is_ok()
    };
    tokio::select! {
        followed = ops.follow_events(after, &mut each) => followed?,
        end = stdio::closed() => return Err(end),
    }
    written?;
    Ok(0)
}
