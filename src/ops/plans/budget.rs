//! What a plan may use.

use super::Ops;
use crate::{
    error::Error,
    plan::{Mistake, Plan},
};

impl Ops {
    /// Tasks of a plan with a budget whose programs report no money, or no tokens: nothing would enforce that.
    pub(super) fn unmetered(&self, plan: &Plan) -> Vec<Mistake> {
        let (money, tokens) = (plan.max_cost_usd.is_some(), plan.max_tokens.is_some());
        let mut mistakes = Vec::new();
        for task in plan.tasks.iter().filter(|_| money || tokens) {
            let name = task.role.as_deref().unwrap_or_else(|| self.default_role());
            let Some(role) = self.config.roles.get(name) else { continue };
            let keys = [("max_cost_usd", money, false), ("max_tokens", false, tokens)];
            for (key, money, tokens) in keys {
                if let Err(Error { message, .. }) = self.reports(role, money, tokens) {
                    let what = format!("cannot be kept within the plan's {key}: {message}");
                    mistakes.push(Mistake::new(task.at, format!("tasks.{}.role", task.key), what));
                }
            }
        }
        mistakes
    }
}
