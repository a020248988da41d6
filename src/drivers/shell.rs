//! `shell`: the task's text is a shell script.

use super::{Driver, Job, Manifest, Refusal, Start};

/// Runs the text with `/bin/sh`, from its file: an argument could hold 128 KiB at most, a text has up to 1 MiB.
pub(super) struct Shell;

impl Driver for Shell {
    fn manifest(&self) -> &'static Manifest {
        &Manifest::GENERIC
    }

    fn start(&self, job: &Job) -> Result<Start, Refusal> {
        Ok(Start { program: "/bin/sh".into(), args: vec![job.prompt_file.into()], ..Start::default() })
    }
}
