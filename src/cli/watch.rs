//! `orch status --watch`: the status, kept up to date. Asked for once a second, drawn only when it looks different.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use super::{Session, end::End, out, render, screen::Screen, status, terminal};
use crate::{
    error::Error,
    ops::{Ops, types::Status},
};

const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    if session.view.terminal && !session.json { on_screen(&ops, session).await } else { as_lines(&ops, session).await }
}

/// On a terminal, in place, until it is left.
async fn on_screen(ops: &Ops, session: &mut Session) -> Result<u8, End> {
    let no_signals = |e| Error::internal(format!("signals cannot be waited for: {e}"));
    let mut resized = signal(SignalKind::window_change()).map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut screen = Screen::open()?;
    let attach = status::attach_hint(ops.config());
    let mut tick = ticks();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = resized.recv() => screen.forget(),
            _ = hangup.recv() => return Ok(0),
            _ = terminate.recv() => return Ok(0),
            _ = interrupt.recv() => return Ok(0),
            () = screen.left() => return Ok(0),
        }
        session.view = terminal::view();
        let status = ops.status().await?;
        screen.draw(&render::status::watched(&status, &attach, &session.view), terminal::size())?;
    }
}

/// Into a pipe or a file: a page, or a line of JSON, whenever it is another one.
async fn as_lines(ops: &Ops, session: &mut Session) -> Result<u8, End> {
    let attach = status::attach_hint(ops.config());
    let mut tick = ticks();
    let mut last = None;
    let unread = out::unread();
    tokio::pin!(unread);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            end = &mut unread => return Err(end),
        }
        session.view = terminal::view();
        let status = ops.status().await?;
        let facts = facts(&status);
        if last.as_ref() == Some(&facts) {
            continue;
        }
        last = Some(facts);
        if session.json {
            session.out.json(&status, false)?;
        } else {
            session.out.text(&render::status::status(&status, &attach, &session.view))?;
            session.out.text("\n")?;
        }
        session.out.flush()?;
    }
}

/// What a status says, without the ages that change by themselves.
fn facts(status: &Status) -> String {
    let mut status = status.clone();
    status.supervisor.uptime_ms = None;
    for agent in &mut status.agents {
        agent.heartbeat_age_ms = None;
        agent.rss_bytes = None;
    }
    format!("{status:?}")
}

fn ticks() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
