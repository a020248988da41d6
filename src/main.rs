//! The `orch` program: the words of the command line in, an exit code out. What it is and how it works: `lib.rs`.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    orch::cli::prepare_process(&words);
    ExitCode::from(orch::cli::run(&words))
}
