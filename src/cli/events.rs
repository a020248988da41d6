//! `orch events`.

use super::{
    Session, args,
    end::End,
    out::{self, Out},
    render::{View, stream},
};
use crate::model::event::Event;

pub(super) async fn run(args: &args::Events, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let Session { out, view, json, .. } = session;
    let events = ops.events(args.lines).await?;
    for event in &events {
        print(event, out, view, *json)?;
    }
    if !args.follow {
        return Ok(0);
    }
    out.flush()?;
    // Without a last one there is none yet, or none was asked for.
    let after = events.last().map_or(if args.lines == 0 { "$" } else { "-" }, |e| e.id.as_str());
    let mut written = Ok(());
    let mut each = |event: Event| {
        written = print(&event, out, view, *json).and_then(|()| out.flush());
        written.is_ok()
    };
    tokio::select! {
        followed = ops.follow_events(after, &mut each) => followed?,
        end = out::unread() => return Err(end),
    }
    written?;
    Ok(0)
}

fn print(event: &Event, out: &mut Out, view: &View, json: bool) -> Result<(), End> {
    if json { out.json(event, false) } else { out.text(&stream::event(event, view)) }
}
