//! The end of an attempt that was to draft a plan (`orch plan --from`): a plan with mistakes is no success.

use std::sync::Arc;

use crate::{
    drivers::Verdict,
    model::{cause::Cause, end_code::EndCode},
    ops::{Caller, Ops},
    runner::{Agent, attempt::start::capability_of},
    store::tasks::Claimed,
};

/// Checks the plan in an answer, of which `printed` is the text where the verdict has none. A good one becomes the result:
/// as text for the person who approves it, and as data. What is wrong with another one is the reason for which the attempt
/// failed; the next one continues the conversation with it immediately.
pub(in crate::runner) fn check(agent: &Agent, claimed: &Claimed, verdict: &mut Verdict, printed: &str) {
    if verdict.cause != Cause::Success {
        return;
    }
    let launch = &agent.launch;
    let config = agent.home.policy().map_or_else(|| launch.policy.clone(), |policy| policy.config);
    let attempt = Some(capability_of(agent, claimed));
    let caller = Caller::Agent { agent: launch.agent.clone(), role: launch.role.name.clone(), attempt };
    let ops = Ops::on(Arc::new(config), caller, agent.store.clone()).with_redactor(launch.redactor());
    let as_data = verdict.data.as_ref().filter(|data| data.get("tasks").is_some()).map(ToString::to_string);
    let answer = as_data.as_deref().or(verdict.text.as_deref()).unwrap_or(printed);
    match ops.read_draft(answer) {
        Ok(draft) => {
            verdict.data = Some(draft.data());
            verdict.text = Some(draft.outline);
        }
        Err(why) => {
            (verdict.cause, verdict.code, verdict.reason) = (Cause::Transient, EndCode::PlanMistakes, why);
            verdict.retry_after = Some(std::time::Duration::ZERO);
        }
    }
}
