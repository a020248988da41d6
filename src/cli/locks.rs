//! `orch lock`, `orch unlock`, `orch locks`.

use super::{Session, args, stdio::End};
use crate::{model::lock::LockMode, ops::LockRequest, view::locks as view};

pub(super) async fn lock(args: args::Lock, session: &mut Session) -> Result<u8, End> {
    let args::Lock { patterns, read, reason, ttl } = args;
    let mode = if read { LockMode::Read } else { LockMode::Write };
    let locked = session.client().await?.lock(LockRequest { patterns, mode, reason, ttl }).await?;
    session.answer(&locked, |locked, _| view::locked(locked))?;
    Ok(0)
}

pub(super) async fn unlock(args: args::Unlock, session: &mut Session) -> Result<u8, End> {
    let unlocked = session.client().await?.unlock(args.what).await?;
    session.answer(&unlocked, |unlocked, _| view::unlocked(unlocked))?;
    Ok(0)
}

pub(super) async fn list(session: &mut Session) -> Result<u8, End> {
    let locks = session.reader().await?.locks().await?;
    session.answer(&locks, view::list)?;
    Ok(0)
}
