//! `orch ask`, `orch questions`, `orch answer`, `orch approve`, `orch deny`, `orch send`, `orch inbox`.

use super::{
    Session, args,
    stdio::{self, End},
};
use crate::{
    error::Kind,
    model::{attention::AttentionKind, question::Approval},
    ops::{
        Allowed, Wanted,
        types::{self, Answer},
    },
    view::messages,
};

pub(super) async fn ask(args: args::Ask, session: &mut Session) -> Result<u8, End> {
    let text = stdio::text(args.text)?;
    let ask = types::Ask { text, options: args.options, wait: !args.no_wait, timeout: args.timeout };
    let asked = session.client().await?.ask(ask).await?;
    session.answer(&asked, |asked, _| messages::asked(asked))?;
    // A "no" is a denial, whether given with `orch deny` or `orch answer`: what follows `&&` must not run.
    let no = asked.answer.as_deref().is_some_and(|answer| answer.trim().eq_ignore_ascii_case("no"));
    Ok(if no || asked.approval == Some(Approval::Denied) { Kind::Failed.exit_code() } else { 0 })
}

pub(super) async fn answer(question: &str, answer: Answer, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let question = client.find_question(question).await?;
    let answered = client.answer(question.clone(), answer).await?;
    session.answer(&answered, |answered, _| messages::answered(&question.task, answered))?;
    Ok(0)
}

pub(super) async fn allow(args: args::Approve, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let ops = client.for_person("approve --allow")?;
    let (task, tools) = (client.find_task(&args.question, Wanted::Task).await?, args.allow);
    let (mut role, mut file, mut reloaded) = (None, None, false);
    if args.role {
        let (name, written) = ops.allow_in_role(&task, &tools).await?;
        (role, file) = (Some(name), written);
        let client = session.client_as_written().await?;
        match client.for_person("approve --allow")?.reload(false).await {
            Ok(_) => reloaded = true,
            Err(e) if e.kind == Kind::NotRunning => {}
            Err(e) => return Err(e.into()),
        }
    }
    let changed = match &role {
        None => client.allow(task, tools.clone()).await?,
        Some(_) => client.retry(vec![task]).await?.remove(0),
    };
    let allowed = Allowed { tools, role, file, reloaded, task: changed };
    session.answer(&allowed, messages::allowed)?;
    Ok(0)
}

pub(super) async fn questions(session: &mut Session) -> Result<u8, End> {
    let asked = session.reader().await?.questions().await?;
    session.answer(&asked, |asked, view| messages::questions(asked, view))?;
    Ok(0)
}

pub(super) async fn approvals(session: &mut Session) -> Result<u8, End> {
    let mut asked = session.reader().await?.questions().await?;
    asked.retain(|one| one.kind == AttentionKind::Approval);
    session.answer(&asked, |asked, view| messages::approvals(asked, view))?;
    Ok(0)
}

pub(super) async fn send(args: args::Send, session: &mut Session) -> Result<u8, End> {
    let (client, text) = (session.client().await?, stdio::text(args.text)?);
    let to = match args.to.as_str() {
        "master" => args.to,
        word => client.find_any(word).await?.to_string(),
    };
    let sent = client.send(to, text).await?;
    session.answer(&sent, |sent, _| messages::sent(sent))?;
    Ok(0)
}

pub(super) async fn inbox(args: &args::Inbox, session: &mut Session) -> Result<u8, End> {
    let inbox = session.client().await?.inbox(args.wait, args.timeout).await?;
    let timed_out = args.wait && inbox.messages.is_empty();
    session.answer(&inbox, messages::inbox)?;
    Ok(if timed_out { Kind::TimedOut.exit_code() } else { 0 })
}
