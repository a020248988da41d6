//! `orch status`, once or kept up to date on the screen.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

use super::{
    Session,
    screen::Screen,
    stdio::{self, End},
};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    ops::{Ops, types::Status},
    view,
};

const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let status = ops.status().await?;
    let attach = attach_hint(ops.config());
    session.answer(&status, |status, view| view::status::page(status, &attach, view))?;
    Ok(code(&status))
}

/// Exit code 3 where the supervisor is stopped, although everything was answered.
pub(super) fn code(status: &Status) -> u8 {
    if status.supervisor.state == "running" { 0 } else { Kind::NotRunning.exit_code() }
}

/// The command that shows the master's terminal.
pub(super) fn attach_hint(config: &Config) -> String {
    match config.tmux.socket.as_deref() {
        None => format!("tmux attach -t {}", config.master.session),
        // With a private socket the tmux command is long; this one is short.
        Some(_) => "orch attach".to_owned(),
    }
}

/// `orch status --watch`.
pub(super) async fn watch(session: &mut Session) -> Result<u8, End> {
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
    let attach = attach_hint(ops.config());
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
        session.view = view::terminal::view();
        let status = ops.status().await?;
        screen.draw(&view::status::watched(&status, &attach, &session.view), view::terminal::size())?;
    }
}

/// Into a pipe or a file: a page, or a line of JSON, whenever it is another one.
async fn as_lines(ops: &Ops, session: &mut Session) -> Result<u8, End> {
    let attach = attach_hint(ops.config());
    let mut tick = ticks();
    let mut last = None;
    let closed = stdio::closed();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            end = &mut closed => return Err(end),
        }
        session.view = view::terminal::view();
        let status = ops.status().await?;
        let facts = facts(&status);
        if last.as_ref() == Some(&facts) {
            continue;
        }
        last = Some(facts);
        if session.json {
            session.out.json(&status, false)?;
        } else {
            session.out.text(&view::status::page(&status, &attach, &session.view))?;
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
