//! `orch hook`: called by an agent's program when something happens in its conversation.

use std::io::Read;

use super::{Session, args, stdio::End};
use crate::{
    error::{Error, Kind},
    home::Home,
    ops::{self, Caller},
};

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
    let caller = Caller::from_env().map_err(failed)?;
    let home = std::env::var_os("ORCH_HOME").filter(|home| !home.is_empty());
    match (session.ops(), home) {
        (Ok(ops), _) => {
            let handed = ops.hook(args.program, &call).await.map_err(failed)?;
            if !handed.print.is_empty() {
                session.out.text(&handed.print)?;
            }
            handed.done();
        }
        // A sessions.toml that is being edited must not hide from the runner what its program does.
        (Err(_), Some(home)) => ops::note_hook(&Home::new(home), &caller, args.program, &call).map_err(failed)?,
        (Err(e), None) => return Err(failed(e).into()),
    }
    Ok(0)
}
