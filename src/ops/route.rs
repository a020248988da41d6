//! Finds the role of a task that is delegated to `auto` ([`crate::routing`]).
//!
//! Only roles to which the caller may delegate without a person's approval are considered, for the task and for the tiers to
//! which it may go on: routing adds no right. A role that the caller names is never replaced.

use super::{Delegate, Ops, delegate::takes_tasks, router};
use crate::{
    config::{DriverKind, Role},
    error::{Error, Result},
    model::routing::{AUTO, RoleScore, RoutedBy, Routing},
    plan,
    routing::{self, Candidate, Choice},
    store::records::Known,
};

/// Where a task goes.
pub(super) struct Routed {
    pub routing: Routing,
    /// The tiers above that role.
    pub tiers: Vec<String>,
}

impl Ops {
    /// Chooses the role of a task that was delegated to `auto`, and writes it into the request; `None` where the request names
    /// another one, or a role that is called so.
    ///
    /// # Errors
    /// Usage: a tag is needed although the role is named. NotFound: no role may be chosen. NotRunning: there is no Redis.
    pub(super) async fn route(&self, asked: &mut Delegate) -> Result<Option<Routed>> {
        if asked.role.as_deref() != Some(AUTO) || self.config.roles.contains_key(AUTO) {
            return match asked.needs.first() {
                Some(tag) => Err(Error::usage(format!("the tag {tag} has no effect: the task names its role"))
                    .hint("leave it out, or let orch choose the role: orch delegate --role auto --needs TAG")),
                None => Ok(None),
            };
        }
        let roles: Vec<&Role> =
            self.config.roles.values().filter(|role| takes_tasks(&self.config, role).is_ok()).collect();
        let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
        let known = self.ask(|s| s.records(&names)).await?;
        let free = self.delegable_roles();
        let inserts_result = !plan::results_in(&asked.text).is_empty();
        let candidates: Vec<Candidate<'_>> = roles
            .iter()
            .zip(known)
            .map(|(role, known)| self.candidate(role, known, free.get(role.name.as_str()).copied(), inserts_result))
            .collect();
        let choice = routing::choose(&asked.text, &asked.needs, &candidates).map_err(|left_out| nowhere(&left_out))?;
        let routing = self.ask_router(choice, &asked.text).await;
        let tiers = tiers(&routing.role, &candidates);
        asked.role = Some(routing.role.clone());
        asked.needs.clear();
        Ok(Some(Routed { routing, tiers }))
    }

    /// The choice, once the router has had its say, where one is configured and several roles are equally good.
    async fn ask_router(&self, choice: Choice, text: &str) -> Routing {
        let Choice { mut routing, equals } = choice;
        if equals.len() < 2 || self.config.router.is_empty() {
            return routing;
        }
        let asked: Vec<&RoleScore> = routing.scores.iter().filter(|one| equals.contains(&one.role)).collect();
        match router::ask(&self.config.router, &self.config.root, text, &asked).await {
            Ok(role) => (routing.role, routing.by) = (role, RoutedBy::Router),
            Err(why) => routing.router_failed = Some(why),
        }
        routing
    }

    fn candidate<'a>(
        &self,
        role: &'a Role,
        known: Known,
        needs_approval: Option<bool>,
        inserts_result: bool,
    ) -> Candidate<'a> {
        let barred = match needs_approval {
            None => Some("the caller's role may not delegate to it".to_owned()),
            Some(true) => Some("a person would have to approve it".to_owned()),
            Some(false) if role.driver == DriverKind::Shell && inserts_result => {
                Some("the text inserts a result, which must not become part of a script".to_owned())
            }
            Some(false) => known.unavailable.map(|why| format!("it starts nothing: {why}")),
        };
        let tags = role.tags.iter().map(String::as_str).chain([role.driver.as_str()]).collect();
        Candidate {
            role: &role.name,
            routes: &role.routes,
            tags,
            reads: !matches!(role.driver, DriverKind::Shell | DriverKind::Command),
            escalate_to: role.escalate_to.as_deref(),
            is_masters: role.name == self.config.master.role,
            barred,
            record: known.record,
        }
    }
}

/// The tiers above a role, up to the first that the caller may not use.
fn tiers(role: &str, candidates: &[Candidate<'_>]) -> Vec<String> {
    let find = |name: &str| candidates.iter().find(|one| one.role == name);
    let mut tiers: Vec<String> = Vec::new();
    let mut next = find(role).and_then(|one| one.escalate_to);
    while let Some(above) = next.and_then(find).filter(|one| one.barred.is_none() && tiers.len() < candidates.len()) {
        tiers.push(above.role.to_owned());
        next = above.escalate_to;
    }
    tiers
}

fn nowhere(left_out: &[RoleScore]) -> Error {
    let why: Vec<String> = left_out
        .iter()
        .map(|one| format!("{}: {}", one.role, one.left_out.as_deref().unwrap_or("it was left out")))
        .collect();
    Error::not_found(format!("no role can be chosen for this task: {}", why.join("; ")))
        .hint("name a role: orch delegate --role ROLE; or give one routes or tags in sessions.toml")
}
