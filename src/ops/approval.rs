//! `approval = "before"`: what a person is asked before a task runs.

use super::{Caller, Delegate, Ops, escalation::Asks};
use crate::{
    config::Role,
    error::Result,
    model::{approval::ApprovalRule, escalation::Escalation, task::Usage},
};

impl Ops {
    /// When a person is asked about a task: as its caller says, or as its role does, which an agent does not overrule.
    pub(super) fn approval_of(&self, role: &Role, asked: &Delegate) -> Option<ApprovalRule> {
        let of_role = role.approval;
        let rule = match &self.caller {
            Caller::Person(_) => asked.approval.unwrap_or(of_role),
            _ if of_role != ApprovalRule::None => of_role,
            _ => asked.approval.unwrap_or(of_role),
        };
        (rule != ApprovalRule::None).then_some(rule)
    }

    /// What a person is asked before a task runs that needs it by its role, or by its caller.
    pub(super) async fn approval_before(&self, role: &Role, asked: &Delegate) -> Result<Escalation> {
        let names = std::slice::from_ref(&role.name);
        let expected =
            self.ask(|s| s.budgets_of_day(names)).await?.roles.into_iter().next().map(|(_, one)| one.expected);
        let known = expected.map(|expected| (expected.micro_usd.map(Usage::of_micro_usd), expected.tokens));
        let cost = match known.unwrap_or_default() {
            (Some(usd), _) if usd > 0.0 => format!("about {usd:.2} USD per attempt"),
            (_, Some(tokens)) if tokens > 0 => format!("about {tokens} tokens per attempt"),
            _ => "not known".to_owned(),
        };
        let above = self.tasks_above(None).await?;
        let folder = asked.cwd.clone().unwrap_or_else(|| role.cwd.clone());
        let who = self.caller.in_words();
        let rights = self.rights_in_words(role);
        let asks = Asks { who, role: "", to: role, folder: &folder, above: &above };
        Ok(asks.approval(asked, &rights, &cost))
    }
}
