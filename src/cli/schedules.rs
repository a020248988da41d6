//! `orch schedule`.

use serde_json::json;

use super::{
    Session,
    args::{self, ScheduleVerb},
    stdio::End,
};
use crate::view::schedule as view;

pub(super) async fn run(args: args::Schedule, session: &mut Session) -> Result<u8, End> {
    match args.verb.unwrap_or(ScheduleVerb::List) {
        ScheduleVerb::List => {
            let schedules = session.reader().await?.schedules().await?;
            session.answer(&schedules, |schedules, page| view::list(schedules, page))?;
        }
        ScheduleVerb::Why(one) => {
            let why = session.reader().await?.explain_schedule(one.name).await?;
            session.answer(&why, view::why)?;
        }
        ScheduleVerb::Run(one) => {
            let requested = session.client().await?.run_schedule(one.name).await?;
            session.answer(&requested, |requested, _| view::requested(requested))?;
        }
        ScheduleVerb::Pause(one) => {
            let changed = session.client().await?.pause_schedule(one.name.clone()).await?;
            let answer = json!({"name": one.name, "paused": true, "changed": changed});
            session.answer(&answer, |_, _| view::paused(&one.name, changed))?;
        }
        ScheduleVerb::Resume(one) => {
            let changed = session.client().await?.resume_schedule(one.name.clone()).await?;
            let answer = json!({"name": one.name, "paused": false, "changed": changed});
            session.answer(&answer, |_, _| view::resumed(&one.name, changed))?;
        }
    }
    Ok(0)
}
