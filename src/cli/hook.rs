//! `orch hook`: what an agent's program calls at the turns of its work.

use std::io::Read;

use super::{Session, args, stdio::End};
use crate::{
    error::{Error, Kind},
    home::Home,
    ops::{self, Caller},
};

/// A program passes a tool's whole answer to its hooks, and not all of that is anybody's business here.
const LIMIT: u64 = 64 << 20;

pub(super) async fn run(args: &args::Hook, session: &mut Session) -> Result<u8, End> {
    // Programs take 2 for "don't let this happen", which is for nobody here to say.
    let failed = |e: Error| Error { kind: Kind::Failed, ..e };
    let call = match &args.call {
        Some(call) => call.clone(),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(LIMIT).read_to_end(&mut bytes);
            read.map_err(|e| Error::failed(format!("standard input does not read: {e}")))?;
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
        // A sessions.toml that is being edited must not keep an agent's runner from hearing what its program does.
        (Err(_), Some(home)) => ops::note_hook(&Home::new(home), &caller, args.program, &call).map_err(failed)?,
        (Err(e), None) => return Err(failed(e).into()),
    }
    Ok(0)
}
