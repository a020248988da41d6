//! The agents as a whole: `orch agents`, `orch spawn`, `orch kill`, `orch scale`.

use serde_json::json;

use super::{Session, args, end::End, render};
use crate::model::{agent::AgentState, text::count};

pub(super) async fn agents(session: &mut Session) -> Result<u8, End> {
    let agents = session.ops()?.agents().await?;
    session.answer(&agents, |agents, view| match agents.is_empty() {
        true => "no agents: they start when there is something to do\n".to_owned(),
        false => render::agent::agents(agents, view),
    })?;
    Ok(0)
}

pub(super) async fn spawn(args: &args::Spawn, session: &mut Session) -> Result<u8, End> {
    let agent = session.ops()?.spawn(&args.role).await?;
    session.answer(&agent, |agent, _| match agent {
        Some(a) => format!("{} is {} (orch attach {})\n", a.id, a.state, a.id),
        None => format!("one more {} was asked for, and has not started yet; orch status says more\n", args.role),
    })?;
    Ok(0)
}

pub(super) async fn kill(args: &args::Kill, session: &mut Session) -> Result<u8, End> {
    let agent = session.ops()?.kill(&args.agent).await?;
    session.answer(&agent, |a, _| match a.state {
        AgentState::Stopping => format!("{} was told to stop; orch why {} shows how far it is\n", a.id, a.id),
        state if a.master => format!("{} is {state}; the supervisor starts it anew\n", a.id),
        state => format!("{} is {state}\n", a.id),
    })?;
    Ok(0)
}

pub(super) async fn scale(args: &args::Scale, session: &mut Session) -> Result<u8, End> {
    let changed = session.ops()?.scale(&args.role, args.n).await?;
    session.answer(&json!({"role": args.role, "agents": args.n, "changed": changed}), |_, _| {
        let request = match args.n {
            Some(n) => count(n, "agent", "agents"),
            None => "as many agents as sessions.toml says".to_owned(),
        };
        format!("{}: {request}{}\n", args.role, if changed { "" } else { " already" })
    })?;
    Ok(0)
}
