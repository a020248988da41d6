//! `orch costs`.

use super::{Session, args, stdio::End};
use crate::view::costs;

pub(super) async fn run(args: &args::Costs, session: &mut Session) -> Result<u8, End> {
    let costs = session.reader().await?.costs(args.by, args.since).await?;
    session.answer(&costs, costs::table)?;
    Ok(0)
}
