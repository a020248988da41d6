//! `orch pause`, `orch drain`, `orch resume`.

use serde_json::json;

use super::{Session, args, end::End};

pub(super) async fn pause(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let role = args.role.as_deref();
    let changed = session.ops()?.pause(role).await?;
    let what = role.unwrap_or("everything");
    let undo = role.map(|r| format!(" {r}")).unwrap_or_default();
    told(
        changed,
        format!("paused {what}: nothing new starts, tasks are accepted (orch resume{undo} undoes it)"),
        session,
    )
}

pub(super) async fn drain(session: &mut Session) -> Result<u8, End> {
    let changed = session.ops()?.drain().await?;
    told(changed, "draining: nothing new is accepted, what there is gets done (orch resume undoes it)".into(), session)
}

pub(super) async fn resume(args: &args::OneRole, session: &mut Session) -> Result<u8, End> {
    let changed = session.ops()?.resume(args.role.as_deref()).await?;
    told(changed, format!("{} goes on", args.role.as_deref().unwrap_or("everything")), session)
}

fn told(changed: bool, sentence: String, session: &mut Session) -> Result<u8, End> {
    session.answer(&json!({"changed": changed}), |_, _| {
        format!("{sentence}{}\n", if changed { "" } else { "; it was so already" })
    })?;
    Ok(0)
}
