//! `orch start`, `orch stop`, `orch attach`.

use std::{
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
};

use super::{Session, args, end::End, render, status};
use crate::{error::Error, ops::Ops};

pub(super) async fn start(args: &args::Start, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    let started = ops.start().await?;
    let hint = status::attach_hint(ops.config());
    session.answer(&started, |started, view| render::answer::started(started, &hint, view))?;
    if args.attach {
        return Err(become_attached(&ops, None, session).await?);
    }
    Ok(0)
}

pub(super) async fn stop(args: &args::Stop, session: &mut Session) -> Result<u8, End> {
    let stopped = session.ops()?.stop(args.drain, args.timeout).await?;
    session.answer(&stopped, |stopped, _| render::answer::stopped(stopped))?;
    Ok(0)
}

pub(super) async fn attach(args: &args::Attach, session: &mut Session) -> Result<u8, End> {
    let ops = session.ops()?;
    Err(become_attached(&ops, args.agent.as_deref(), session).await?)
}

/// Becomes tmux: the terminal is the agent's from here on. Returns only if that did not work.
async fn become_attached(ops: &Ops, agent: Option<&str>, session: &mut Session) -> Result<End, End> {
    let mut command = ops.attach_command(agent).await?;
    session.out.flush()?;
    // Within tmux it is the client of this pane that is switched, which has one.
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !has_terminal && std::env::var_os("TMUX").is_none_or(|tmux| tmux.is_empty()) {
        let hint = "type it at a terminal; what an agent has printed is in: orch logs";
        return Err(Error::usage("attach needs a terminal: here standard input or output is none").hint(hint).into());
    }
    let e = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Ok(Error::config(format!("{program} cannot be started: {e}")).hint("install tmux; orch doctor says how").into())
}
