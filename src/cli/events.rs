//! `orch events`.

use super::{Session, args, stdio::End};
use crate::view;

pub(super) async fn run(args: &args::Events, session: &mut Session) -> Result<u8, End> {
    let ops = if args.follow { session.client().await? } else { session.reader().await? };
    let events = ops.events(args.lines).await?;
    for event in &events {
        session.item(event, view::event::event)?;
    }
    if !args.follow {
        return Ok(0);
    }
    session.out.flush()?;
    // Without a last event: from now on where none was asked for, else from the first one.
    let after = events.last().map_or(if args.lines == 0 { "$" } else { "-" }, |e| e.id.as_str()).to_owned();
    session.follow(ops.follow_events(after), view::event::event).await
}
