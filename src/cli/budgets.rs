//! `orch budget`, and `orch approve --budget`.

use super::{
    Session,
    args::{self, BudgetVerb},
    stdio::End,
};
use crate::{
    error::Error,
    model::{budget::Scope, id::PlanId},
    ops::{Budgets, Wanted},
    view::budgets,
};

pub(super) async fn run(args: args::Budget, session: &mut Session) -> Result<u8, End> {
    match args.verb {
        None => show(None, session).await,
        Some(BudgetVerb::Show(args)) => show(args.scope, session).await,
        Some(BudgetVerb::Set(args)) => {
            let client = session.client().await?;
            let changed = client.set_budget(args.scope, args.cost, args.tokens, args.default).await?;
            session.answer(&changed, budgets::changed)?;
            Ok(0)
        }
    }
}

async fn show(scope: Option<Scope>, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let mut found = client.budgets().await?;
    if let Some(scope) = scope {
        let name = match scope {
            Scope::Task(word) => client.find_task(&word, Wanted::Task).await?.to_string(),
            Scope::Plan(word) => Scope::Plan(client.find_plan(word).await?.to_string()).to_string(),
            other => other.to_string(),
        };
        let budgets = found.budgets.into_iter().filter(|row| row.scope == name).collect();
        found = Budgets { budgets, windows: Vec::new() };
        if found.budgets.is_empty() {
            return Err(Error::not_found(format!("{name} has no budget, and nothing is reserved for it"))
                .hint(format!("set one: orch budget set {name} --cost 5"))
                .into());
        }
    }
    session.answer(&found, budgets::table)?;
    Ok(0)
}

pub(super) async fn approve(args: args::Approve, session: &mut Session) -> Result<u8, End> {
    let client = session.client().await?;
    let scope = match args.question.parse::<PlanId>() {
        Ok(plan) => Scope::Plan(plan.to_string()),
        Err(_) => Scope::Task(args.question),
    };
    let changed = client.set_budget(scope, args.budget, args.tokens, false).await?;
    session.answer(&changed, budgets::changed)?;
    Ok(0)
}
