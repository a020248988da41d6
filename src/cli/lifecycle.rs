//! `orch start`, `orch restart`, `orch stop`, `orch attach`.

use std::{
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
};

use super::{Session, args, status, stdio::End};
use crate::{
    error::{Error, Kind},
    ops::Ops,
    view,
};

pub(super) async fn start(args: &args::Start, session: &mut Session) -> Result<u8, End> {
    let open = async |session: &Session| match args.adopt {
        true => session.client_to_adopt().await,
        false => session.client_as_written().await,
    };
    let mut client = open(session).await?;
    // Twice: another project may take the name meanwhile.
    if client.for_person("start")?.name_master().await? {
        client = open(session).await?;
    }
    let started = match client.for_person("start")?.start(args.paused, args.adopt).await {
        Err(e) if e.kind == Kind::Conflict && client.for_person("start")?.name_master().await? => {
            client = open(session).await?;
            client.for_person("start")?.start(args.paused, args.adopt).await?
        }
        started => started?,
    };
    let ops = client.for_person("start")?;
    let hint = status::attach_hint(&client.project().await?);
    session.answer(&started, |started, view| view::lifecycle::started(started, &hint, view))?;
    if args.attach {
        return Err(become_attached(ops, None, session).await?);
    }
    Ok(0)
}

pub(super) async fn restart(session: &mut Session) -> Result<u8, End> {
    let restarted = session.client_as_written().await?.for_person("restart")?.restart().await?;
    session.answer(&restarted, |restarted, _| view::lifecycle::restarted(restarted))?;
    Ok(0)
}

pub(super) async fn stop(args: &args::Stop, session: &mut Session) -> Result<u8, End> {
    let stopped = session.client_to_repair().await?.stop(args.drain, args.timeout).await?;
    session.answer(&stopped, |stopped, _| view::lifecycle::stopped(stopped))?;
    Ok(0)
}

pub(super) async fn reload(args: &args::Reload, session: &mut Session) -> Result<u8, End> {
    let reloaded = session.client_as_written().await?.for_person("reload")?.reload(args.dry_run).await?;
    session.answer(&reloaded, view::lifecycle::reloaded)?;
    Ok(0)
}

pub(super) async fn attach(args: &args::Attach, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    Err(become_attached(client.for_person("attach")?, args.target.as_deref(), session).await?)
}

/// Replaces this process by tmux, which shows the agent's terminal. Returns only if that failed.
async fn become_attached(ops: &Ops, agent: Option<&str>, session: &mut Session) -> Result<End, End> {
    let mut command = ops.attach_command(agent).await?;
    session.out.flush()?;
    // Within tmux the client that shows this pane is switched; that client has a terminal.
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !has_terminal && std::env::var_os("TMUX").is_none_or(|tmux| tmux.is_empty()) {
        let hint = "run it in a terminal; orch logs shows what an agent has printed";
        return Err(Error::usage("attach needs a terminal, and standard input or output is not one").hint(hint).into());
    }
    let e = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Ok(Error::config(format!("{program} cannot be started: {e}")).hint("install tmux; orch doctor says how").into())
}
