//! `orch plan`.

use std::path::Path;

use clap::Args;
use futures_util::StreamExt;

use super::{
    Session,
    args::{self, PlanVerb},
    errors,
    stdio::{self, End},
};
use crate::{
    error::{Error, Kind},
    home::files,
    model::{
        plan::PlanState,
        question::{QuestionKind, QuestionRef},
        suggest::{nearest, printable},
    },
    ops::types::{PlanDraft, PlanSource, Rerun, Shown, Target, Wait, WaitStep},
    view::plan as view,
};

/// Largest file.
const LARGEST: u64 = 64 << 20;

pub(super) async fn run(args: args::Plan, session: &mut Session) -> Result<u8, End> {
    match args.verb {
        None if args.from.is_some() => draft(args, session).await,
        None if args.role.is_some() || args.wait => {
            Err(Error::usage("--role and --wait are for a plan that an agent drafts, with --from")
                .hint("orch plan --from 'Build the cart' --role ROLE --wait")
                .into())
        }
        None => {
            mistyped(&args.source)?;
            submit(args.source, session).await
        }
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

/// Lets an agent draft a plan.
async fn draft(args: args::Plan, session: &mut Session) -> Result<u8, End> {
    let (client, is_json) = (session.client().await?, session.json);
    let key = args.source.key;
    let drafted = client.draft_plan(PlanDraft { text: args.from.unwrap_or_default(), role: args.role, key }).await?;
    let id = drafted.id.clone();
    if !args.wait {
        if !is_json {
            errors::note(&format!("it drafts a plan; once it has: orch approvals, then orch approve {id} submits it"));
        }
        session.answer(&drafted, |drafted, _| format!("{}\n", drafted.id))?;
        return Ok(0);
    }
    errors::note(&format!("{id} drafts a plan"));
    let mut steps = client.wait_steps(Wait { ids: vec![id.clone()], ..Wait::default() });
    while let Some(step) = steps.next().await {
        if let WaitStep::Done(_) | WaitStep::Held(_) = step? {
            break;
        }
    }
    drop(steps);
    let Shown::Task(detail) = client.show(Target::Task(id.clone())).await? else {
        return Err(Error::internal("a task was expected").into());
    };
    let open = detail.questions.iter().find(|one| one.is_open() && one.kind == QuestionKind::Acceptance);
    let question = open.map(|one| QuestionRef::new(&id, one.number));
    session.answer(&detail, |detail, _| match (&detail.result, &question) {
        (Some(result), Some(question)) => format!(
            "{}\n\nsubmit it with: orch approve {question}\nor say what is to change: orch deny {question} TEXT\n",
            result.text
        ),
        _ => format!("{id} {}: {}\n", detail.task.state, detail.task.reason.as_deref().unwrap_or("no reason is known")),
    })?;
    Ok(if question.is_some() { 0 } else { Kind::Failed.exit_code() })
}

/// A verb that is none is read as the name of a file.
fn mistyped(source: &args::Source) -> Result<(), End> {
    let Some(word) = source.file.as_deref().filter(|word| source.template.is_none() && !Path::new(word).exists())
    else {
        return Ok(());
    };
    let plan = args::Plan::augment_args(clap::Command::new("plan"));
    let near = nearest(word, plan.get_subcommands().map(clap::Command::get_name));
    match (near, source.rest.as_slice()) {
        (None, []) => Ok(()),
        (Some(near), rest) => {
            let rest = rest.first().map(|word| format!(" {}", printable(word))).unwrap_or_default();
            Err(Error::usage(format!("orch plan has no verb '{}', and there is no such file", printable(word)))
                .hint(format!("did you mean: orch plan {near}{rest}"))
                .into())
        }
        (None, _) => Err(Error::usage(format!("orch plan has no verb '{}'", printable(word)))
            .hint("orch plan --help lists its verbs")
            .into()),
    }
}

fn read(source: args::Source) -> Result<PlanSource, End> {
    let args::Source { file, rest, template, var: vars, text, key, max_cost_usd } = source;
    if let (Some(file), [second, ..]) = (&file, rest.as_slice()) {
        if let Some(template) = &template {
            let text = printable(&format!("{file} {}", rest.join(" ")));
            return Err(Error::usage("what the plan is for is one text, in quotes")
                .hint(format!("orch plan --template {} '{text}'", printable(template)))
                .into());
        }
        return Err(Error::usage(format!(
            "a plan is one file, and {} and {} are two",
            printable(file),
            printable(second)
        ))
        .hint("submit them one after the other")
        .into());
    }
    if template.is_some() {
        if let (Some(_), Some(_)) = (&file, &text) {
            return Err(Error::usage("what the plan is for is given twice").hint("leave out --text").into());
        }
        return Ok(PlanSource { template, vars, text: text.or(file), key, max_cost_usd, ..PlanSource::default() });
    }
    let file = file.ok_or_else(|| Error::usage("no plan is named").hint("orch plan FILE submits one"))?;
    let document = match file.as_str() {
        "-" => stdio::text(file)?,
        _ => files::read_text(Path::new(&file), LARGEST).map_err(|e| {
            Error::usage(format!("{file} can't be read: {e}")).hint("name a TOML or JSON file with a plan")
        })?,
    };
    Ok(PlanSource { document, vars, text, key, max_cost_usd, ..PlanSource::default() })
}
