//! `toy`: a minimal driver that shows how one is added, and that a test uses (`tests::toy`). Its program is a script
//! that the test writes. The stream has the shape of claude's.

use std::ffi::OsString;

use super::{
    AgentOptions, Capabilities, Commands, Driver, DriverKind, Flags, HomeFiles, IDLE_SHARE, Instead, Job, Key,
    Manifest, Program, Refusal, Start, Totals, Transcript, common::stream_json::StreamJson,
};
use crate::drivers::common::program::Allow;

/// Runs `toy`.
pub(super) struct Toy;

const PROGRAM: Program = Program {
    name: "toy",
    install: "make toy",
    tested_with: "1.0.0",
    log_in: "run toy login",
    tells_when_done: true,
    allow: Allow::Otherwise("in the role"),
};
const MANIFEST: Manifest = Manifest {
    program: Some(PROGRAM),
    is_offered: false,
    capabilities: Capabilities {
        conversation: true,
        mcp: false,
        hooks: false,
        denials: false,
        money: false,
        tokens: true,
        interactive: false,
    },
    totals: Totals::NONE,
    idle_share: IDLE_SHARE,
    keys: &[Key::MaxTurns],
    permission_modes: &[],
    flags: Flags { named: &[(&["--turns"], Instead::Key("max_turns"))], settings: None },
    secrets: &["TOY_API_KEY"],
    settings: &["TOY_*"],
    in_sandbox: &[],
    home: HomeFiles::NONE,
    starter: "",
};

impl Driver for Toy {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        job.check(DriverKind::Toy)?;
        let mut args: Vec<OsString> = Vec::new();
        if let Some(turns) = job.role.options.max_turns {
            args.extend(["--turns".into(), turns.to_string().into()]);
        }
        args.extend(job.role.options.args.iter().map(OsString::from));
        Ok(Start { program: PROGRAM.name.into(), args, prompt_on_stdin: true, ..Start::default() })
    }

    fn commands(&self, _options: &AgentOptions) -> Commands {
        Commands::Asks
    }

    fn transcript(&self, _options: &AgentOptions) -> Option<Box<dyn Transcript>> {
        Some(Box::new(StreamJson::default()))
    }
}
