//! `orch status`, once or kept up to date on the screen.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior},
};

use super::{
    Session,
    screen::{Key, Screen},
    stdio::{self, End},
};
use crate::{
    error::{Error, Kind, Result},
    ops::{Client, Project, types::Status},
    view,
};

/// How often ages are redrawn, without a request.
const REDRAW: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &mut Session) -> Result<u8, End> {
    let ops = session.client().await?;
    let status = ops.status().await?;
    let attach = attach_hint(&ops.project().await?);
    session.answer(&status, |status, view| view::status::page(status, &attach, view))?;
    Ok(code(&status))
}

/// `orch status --all`: every project of this machine.
pub(super) async fn all(session: &mut Session) -> Result<u8, End> {
    let projects = session.client().await?.for_person("status --all")?.projects().await?;
    session.answer(&projects, |projects, view| view::status::projects(projects, view))?;
    Ok(0)
}

/// Exit code 3 where the supervisor is stopped, although everything was answered.
pub(super) fn code(status: &Status) -> u8 {
    if status.supervisor.state == "running" { 0 } else { Kind::NotRunning.exit_code() }
}

/// The command that shows the master's terminal.
pub(super) fn attach_hint(project: &Project) -> String {
    match project.tmux_socket {
        None => format!("tmux attach -t {}", project.master),
        // With a private socket the tmux command is long; this one is short.
        Some(_) => "orch attach".to_owned(),
    }
}

/// `orch status --watch`: drawn again after each change.
pub(super) async fn watch(session: &mut Session) -> Result<u8, End> {
    let ops = session.client().await?;
    if session.view.terminal && !session.json { on_screen(&ops, session).await } else { as_lines(&ops, session).await }
}

/// On a terminal, in place, until the reader leaves.
async fn on_screen(ops: &Client, session: &mut Session) -> Result<u8, End> {
    let no_signals = |e| Error::internal(format!("signals cannot be received: {e}"));
    let mut resized = signal(SignalKind::window_change()).map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut screen = Screen::open()?;
    let attach = attach_hint(&ops.project().await?);
    let mut changes = ops.watch_status();
    let mut redraw = tokio::time::interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Status, Instant)> = None;
    loop {
        tokio::select! {
            change = changes.next() => last = change.transpose()?.map(|status| (status, Instant::now())),
            _ = redraw.tick() => {}
            _ = resized.recv() => screen.forget(),
            _ = hangup.recv() => return Ok(0),
            _ = terminate.recv() => return Ok(0),
            _ = interrupt.recv() => return Ok(0),
            key = screen.key() => match key {
                Key::Leave => return Ok(0),
                Key::Scroll(by) => screen.scroll(by, view::terminal::size()),
            },
        }
        session.look_again();
        if let Some((status, read)) = &last {
            let page = view::status::watched(&status.after(read.elapsed()), &attach, &session.view);
            screen.draw(&session.view.encode(page), view::terminal::size())?;
        }
    }
}

/// Into a pipe or a file: a page, or a line of JSON, after each change.
async fn as_lines(ops: &Client, session: &mut Session) -> Result<u8, End> {
    let attach = attach_hint(&ops.project().await?);
    let mut changes = ops.watch_status();
    let mut last = None;
    let closed = stdio::closed();
    tokio::pin!(closed);
    loop {
        let status = tokio::select! {
            change = changes.next() => match change {
                Some(status) => status?,
                None => return Ok(0),
            },
            end = &mut closed => return Err(end),
        };
        let facts = facts(&status);
        if last.as_ref() == Some(&facts) {
            continue;
        }
        last = Some(facts);
        session.look_again();
        session.item(&status, |status, view| view::status::page(status, &attach, view) + "\n")?;
        session.out.flush()?;
    }
}

/// What a status says, without the ages, which always change.
fn facts(status: &Status) -> String {
    let mut status = status.clone();
    status.supervisor.uptime_ms = None;
    for agent in &mut status.agents {
        agent.heartbeat_age_ms = None;
        agent.rss_bytes = None;
    }
    format!("{status:?}")
}
