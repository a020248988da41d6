//! `orch hook`: called by an agent's program when something happens in its conversation.

use std::io::Read;

use super::{Session, args, stdio::End};
use crate::error::{Error, Kind};

/// Largest input that is read: programs pass a tool's whole answer to their hooks.
const LIMIT: u64 = 64 << 20;

pub(super) async fn run(args: &args::Hook, session: &mut Session) -> Result<u8, End> {
    // To programs, exit code 2 means that the hook forbids what is about to happen, which orch never does.
    let failed = |e: Error| Error { kind: Kind::Failed, ..e };
    let call = match &args.call {
        Some(call) => call.clone(),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(LIMIT).read_to_end(&mut bytes);
            read.map_err(|e| Error::failed(format!("standard input cannot be read: {e}")))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let client = session.client().await.map_err(failed)?;
    let handed = client.hook(args.program, call).await.map_err(failed)?;
    if !handed.print.is_empty() {
        session.out.text(&handed.print)?;
        session.out.flush()?;
    }
    if handed.to_confirm {
        client.hook_done().await.map_err(failed)?;
    }
    Ok(0)
}
