//! `orch hook`: what an agent's program calls at the turns of its work.

use std::io::Read;

use super::{Session, args, exit::End};
use crate::error::Error;

/// A program passes a tool's whole answer to its hooks, and not all of that is anybody's business here.
const LIMIT: u64 = 64 << 20;

pub(super) async fn run(args: &args::Hook, session: &mut Session) -> Result<u8, End> {
    let call = match &args.call {
        Some(call) => call.clone(),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(LIMIT).read_to_end(&mut bytes);
            read.map_err(|e| Error::usage(format!("standard input does not read: {e}")))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let handed = session.ops()?.hook(args.program, &call).await?;
    if !handed.print.is_empty() {
        session.out.text(&handed.print)?;
    }
    handed.done();
    Ok(0)
}
