//! The command line of `scripts/bench`.

use std::process::ExitCode;

use crate::groups::{GROUPS, Group};

/// The parsed arguments.
pub struct Arguments {
    /// Print JSON instead of a table.
    pub json: bool,
    /// The groups to measure, in the order of [`GROUPS`].
    pub groups: Vec<&'static Group>,
}

/// Parses the arguments; `Err` is the exit code with which to end immediately.
pub fn parse(words: &[String]) -> Result<Arguments, ExitCode> {
    let (mut json, mut names) = (false, Vec::new());
    for word in words {
        match word.as_str() {
            "--json" => json = true,
            // Cargo passes `--bench` to a benchmark.
            "--bench" => {}
            "--help" | "-h" => {
                println!("scripts/bench [--json] [NAME...]\n\nMeasures what orch promises. NAME is any of:");
                GROUPS.iter().for_each(|group| println!("  {:<11} {}", group.name, group.about));
                println!("\nORCH_BENCH_PROGRAM=PATH measures another build of orch than the one of these sources.");
                return Err(ExitCode::SUCCESS);
            }
            name if GROUPS.iter().any(|group| group.name == name) => names.push(name),
            other => {
                let known: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
                eprintln!("bench: there is no figure '{other}'; there are {}", known.join(", "));
                return Err(ExitCode::from(2));
            }
        }
    }
    let groups = GROUPS.iter().filter(|group| names.is_empty() || names.contains(&group.name)).collect();
    Ok(Arguments { json, groups })
}
