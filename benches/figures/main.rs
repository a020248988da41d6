//! The figures that orch promises, measured on the real program: `scripts/bench`.
//!
//! Each group of figures gets its own [`world::World`]: a temporary ORCH_HOME with its private Redis, a private tmux
//! socket, and a sessions.toml with defaults except for the agents that the figure is about. Everything in it is ended
//! when the group is done, also after Ctrl-C or a timeout, and its folder is removed at the end.
//!
//! Machines differ, and may be busy with other work. Most figures therefore have a reference: the time or rate of the
//! bare system for the same work, measured in the same run. Compare the ratio of the two, and check the load in the
//! same row.

mod arguments;
mod clock;
#[path = "../../tests/common/disk.rs"]
mod disk;
#[allow(dead_code, unused_imports)] // The module is shared; the figures use a part of it.
#[path = "../../tests/store/fixture.rs"]
mod fixture;
mod groups;
#[path = "../../tests/store/lock_fleet.rs"]
mod lock_fleet;
#[allow(dead_code, unused_imports)] // The module is shared; the figures use a part of it.
#[path = "../../tests/model_server/mod.rs"]
mod model_server;
mod peers;
mod processes;
mod table;
mod world;

use std::{process::ExitCode, time::Duration};

use groups::Group;
use table::Row;
use tokio::signal::unix::{SignalKind, signal};

/// Errors are only printed for a person, so they need no type.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    if clock::is_claude() {
        return clock::stamp_and_become_claude();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, pipe] = words.as_slice()
        && word == clock::STAMP
    {
        return clock::stamp(pipe);
    }
    let arguments = match arguments::parse(&words) {
        Ok(arguments) => arguments,
        Err(end) => return end,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("bench: {e}");
            return ExitCode::FAILURE;
        }
    };
    let (rows, whole) = runtime.block_on(measure(&arguments.groups));
    world::remove_all();
    // An abandoned group may still wait for something that will not happen.
    runtime.shutdown_background();
    if arguments.json {
        println!("{}", table::json(&rows));
    } else {
        print!("{}", table::text(&rows));
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns all rows, and whether every group was completed.
async fn measure(groups: &[&'static Group]) -> (Vec<Row>, bool) {
    let (mut rows, mut whole) = (Vec::new(), true);
    for group in groups {
        eprintln!("bench: {} ... (load {:.1})", group.name, processes::load());
        let work = tokio::task::spawn_blocking(group.run);
        let outcome = tokio::select! {
            outcome = work => outcome.unwrap_or_else(|panic| Err(panic.to_string().into())),
            () = tokio::time::sleep(group.limit) => Err(format!("not done after {:?}", group.limit).into()),
            () = interrupted() => {
                eprintln!("bench: interrupted");
                return (rows, false);
            }
        };
        world::end_all();
        match outcome {
            Ok(more) => rows.extend(more),
            Err(e) => {
                eprintln!("bench: {} failed: {e}", group.name);
                whole = false;
            }
        }
        // Keeps this group's last writes and exiting processes out of the next group's figures.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    (rows, whole)
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Returns the median of the values; zero if there are none.
fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// Returns the smallest value that `p` percent of all values do not exceed.
fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
