//! `orch plan`.

use std::path::Path;

use super::{
    Session,
    args::{self, PlanVerb},
    stdio::{self, End},
};
use crate::{
    error::{Error, Kind},
    home::files,
    model::plan::PlanState,
    ops::types::{PlanSource, Rerun},
    view::plan as view,
};

/// Largest file.
const LARGEST: u64 = 64 << 20;

pub(super) async fn run(args: args::Plan, session: &mut Session) -> Result<u8, End> {
    match args.verb {
        None => submit(args.source, session).await,
        Some(PlanVerb::Submit(source)) => submit(source, session).await,
        Some(PlanVerb::Check(source)) => {
            let of_file = source.file.clone().unwrap_or_default();
            let checked = session.client().await?.check_plan(read(source)?).await?;
            let ok = checked.ok;
            let name = checked.file.as_ref().map_or(of_file, |file| file.display().to_string());
            session.answer(&checked, |checked, page| view::checked(checked, &name, page))?;
            Ok(if ok { 0 } else { Kind::Usage.exit_code() })
        }
        Some(PlanVerb::List(args)) => {
            let plans = session.reader().await?.plans(args.last).await?;
            session.answer(&plans, |plans, page| view::list(plans, page))?;
            Ok(0)
        }
        Some(PlanVerb::Show(args)) => show(args, session).await,
        Some(PlanVerb::Cancel(args)) => {
            let client = session.client().await?;
            let id = client.find_plan(args.plan).await?;
            let changed = client.cancel_plan(id).await?;
            session.answer(&changed, |changed, _| view::cancelled(changed))?;
            let is_as_requested = changed.state != PlanState::Succeeded && changed.state != PlanState::Failed;
            Ok(if is_as_requested { 0 } else { Kind::Failed.exit_code() })
        }
        Some(PlanVerb::Retry(args)) => {
            let client = session.client().await?;
            let id = client.find_plan(args.plan).await?;
            let which = match (args.only, args.downstream) {
                (Some(key), _) => Rerun::Only(key),
                (None, Some(key)) => Rerun::Downstream(key),
                (None, None) => Rerun::Failed,
            };
            let changed = client.retry_plan(id, which).await?;
            session.answer(&changed, |changed, _| view::retried(changed))?;
            Ok(if changed.tasks.is_empty() { Kind::Failed.exit_code() } else { 0 })
        }
    }
}

/// Shows a plan: also where a verb about a task is given a plan's id.
pub(super) async fn show(args: args::PlanShow, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let id = client.find_plan(args.plan).await?;
    let detail = client.show_plan(id).await?;
    match (args.dot, args.mermaid) {
        (true, _) => session.out.text(&view::dot(&detail))?,
        (_, true) => session.out.text(&view::mermaid(&detail))?,
        _ => session.answer(&detail, view::page)?,
    }
    Ok(0)
}

async fn submit(source: args::Source, session: &mut Session) -> Result<u8, End> {
    let submitted = session.client().await?.submit_plan(read(source)?).await?;
    session.answer(&submitted, |submitted, _| format!("{}\n", submitted.id))?;
    Ok(0)
}

fn read(source: args::Source) -> Result<PlanSource, End> {
    let args::Source { file, template, var: vars, text, key } = source;
    if template.is_some() {
        if let (Some(_), Some(_)) = (&file, &text) {
            return Err(Error::usage("what the plan is for is given twice").hint("leave out --text").into());
        }
        return Ok(PlanSource { template, vars, text: text.or(file), key, ..PlanSource::default() });
    }
    let file = file.ok_or_else(|| Error::usage("no plan is named").hint("orch plan FILE submits one"))?;
    let document = match file.as_str() {
        "-" => stdio::text(file)?,
        _ => files::read_text(Path::new(&file), LARGEST).map_err(|e| {
            Error::usage(format!("{file} can't be read: {e}")).hint("name a TOML or JSON file with a plan")
        })?,
    };
    Ok(PlanSource { document, vars, text, key, ..PlanSource::default() })
}
