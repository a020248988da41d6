//! `orch status`, and what other verbs know about looking at the master.

use super::{Session, end::End, render};
use crate::{
    config::Config,
    error::{Kind, Result},
    ops::types::Status,
};

pub(super) async fn run(session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let status = ops.status().await?;
    let attach = attach_hint(ops.config());
    session.answer(&status, |s, view| render::status::status(s, &attach, view))?;
    Ok(code(&status))
}

/// 3 where the supervisor is stopped, though everything was answered.
pub(super) fn code(status: &Status) -> u8 {
    if status.supervisor.state == "running" { 0 } else { Kind::NotRunning.exit_code() }
}

/// What a person types to see the master's terminal.
pub(super) fn attach_hint(config: &Config) -> String {
    match config.tmux.socket.as_deref() {
        None => format!("tmux attach -t {}", config.master.session),
        // Where the socket is private, the short form is the one to remember.
        Some(_) => "orch attach".to_owned(),
    }
}
