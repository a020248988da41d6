//! `orch pause`, `orch drain`, `orch resume`, `orch scale`: requests to the supervisor.

use serde_json::json;

use super::{Session, args, stdio::End};
use crate::model::text::count;

pub(super) async fn pause(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let role = args.role.as_deref();
    let changed = session.client().await?.pause(args.role.clone()).await?;
    let what = role.unwrap_or("everything");
    let undo = role.map(|r| format!(" {r}")).unwrap_or_default();
    let sentence = format!("paused {what}: nothing new starts, tasks are accepted (orch resume{undo} undoes it)");
    requested(changed, &sentence, session)
}

pub(super) async fn drain(session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.drain().await?;
    requested(changed, "draining: no new tasks are accepted, open ones are finished (orch resume undoes it)", session)
}

pub(super) async fn resume(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let changed = session.client().await?.resume(args.role.clone()).await?;
    requested(changed, &format!("{} goes on", args.role.as_deref().unwrap_or("everything")), session)
}

fn requested(changed: bool, sentence: &str, session: &mut Session) -> Result<u8, End> {
    session.answer(&json!({"changed": changed}), |_, _| {
        format!("{sentence}{}\n", if changed { "" } else { "; this was already the case" })
    })?;
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
