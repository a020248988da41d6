//! `orch agents`, `orch spawn`, `orch kill`.

use super::{Session, args, stdio::End};
use crate::view::agent;

pub(super) async fn list(session: &mut Session) -> Result<u8, End> {
    let agents = session.reader().await?.agents().await?;
    session.answer(&agents, |agents, view| match agents.is_empty() {
        true => "no agents: they start when there is something to do\n".to_owned(),
        false => agent::list(agents, view),
    })?;
    Ok(0)
}

pub(super) async fn spawn(args: &args::Spawn, session: &mut Session) -> Result<u8, End> {
    let agent = session.client().await?.spawn(args.role.clone()).await?;
    session.answer(&agent, |agent, _| agent::spawned(&args.role, agent.as_ref()))?;
    Ok(0)
}

pub(super) async fn kill(args: &args::Kill, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let agent = client.kill(client.find_agent(&args.target).await?).await?;
    session.answer(&agent, |agent, _| agent::killed(agent))?;
    Ok(0)
}
