//! `orch pause`, `orch drain`, `orch resume`, `orch scale`: requests to the supervisor.

use serde_json::json;

use super::{Session, args, stdio::End};
use crate::{model::text::count, view::requests};

pub(super) async fn pause(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.pause(args.role.clone()).await?;
    session.answer(&json!({"changed": changed}), |_, view| requests::paused(args.role.as_deref(), changed, view))?;
    Ok(0)
}

pub(super) async fn drain(session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.drain().await?;
    session.answer(&json!({"changed": changed}), |_, _| requests::draining(changed))?;
    Ok(0)
}

pub(super) async fn dismiss(session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.dismiss().await?;
    session.answer(&json!({"changed": changed}), |_, _| requests::dismissed(changed))?;
    Ok(0)
}

pub(super) async fn resume(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.resume(args.role.clone()).await?;
    session.answer(&json!({"changed": changed}), |_, _| requests::resumed(args.role.as_deref(), changed))?;
    Ok(0)
}

pub(super) async fn scale(args: &args::Scale, session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.scale(args.role.clone(), args.n).await?;
    session.answer(&json!({"role": args.role, "agents": args.n, "changed": changed}), |_, _| {
        let request = match args.n {
            Some(n) => count(n, "agent", "agents"),
            None => "as many agents as sessions.toml says".to_owned(),
        };
        format!("{}: {request}{}\n", args.role, if changed { "" } else { " already" })
    })?;
    Ok(0)
}
