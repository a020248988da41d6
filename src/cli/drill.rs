//! `orch drill`.

use std::time::Duration;

use serde_json::json;

use super::{Session, args, end::End, render};
use crate::{
    drill::{self, FAULTS, Options, faults},
    error::{Error, Kind},
};

/// A shorter one would end before the first fault, a longer one is a mistyped unit.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The fastest even pace that still means something: each task is a process of its own.
const FASTEST: f64 = 200.0;

pub(super) async fn run(args: &args::Drill, session: &mut Session) -> Result<u8, End> {
    let options = options(args)?;
    if args.list {
        let list: Vec<_> =
            FAULTS.iter().map(|f| json!({"fault": f.name, "groups": f.groups, "what": f.what})).collect();
        session.answer(&list, |_, view| render::drill::list(view))?;
        return Ok(0);
    }
    if !session.json {
        session.out.text(&render::drill::beginning(&options, &session.view))?;
        session.out.flush()?;
    }
    let report = drill::run(&options).await?;
    session.answer(&report, render::drill::report)?;
    Ok(if report.violations.is_empty() { 0 } else { Kind::Failed.exit_code() })
}

fn options(args: &args::Drill) -> Result<Options, Error> {
    if !(SHORTEST..=LONGEST).contains(&args.duration) {
        return Err(Error::usage("a drill takes at least 500ms, and at most 7d").hint("such as --duration 20s"));
    }
    if let Some(rate) = args.rate.filter(|rate| !(*rate > 0.0 && *rate <= FASTEST)) {
        return Err(Error::usage(format!("{rate} tasks a second: more than 0, and at most {FASTEST}")));
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let tasks = args.rate.map_or(args.tasks as usize, |rate| (rate * args.duration.as_secs_f64()).ceil() as usize);
    Ok(Options {
        seed,
        faults: faults::select(&args.faults)?,
        tasks,
        agents: args.agents as u32,
        duration: args.duration,
        rate: args.rate,
        keep: args.keep,
        replay: replay(args, seed),
    })
}

/// The command that does the same again.
fn replay(args: &args::Drill, seed: u64) -> String {
    let (faults, agents, ms) = (args.faults.join(","), args.agents, args.duration.as_millis());
    let load = args.rate.map_or_else(|| format!("--tasks {}", args.tasks), |rate| format!("--rate {rate}"));
    format!("orch drill --seed {seed} --faults {faults} {load} --agents {agents} --duration {ms}ms")
}
