//! What an agent could try to use more than its budget, and what a person cannot undo by mistake.

use orch::{
    model::{
        budget::Change,
        cause::Cause,
        task::{TaskResult, TaskState, Usage},
    },
    store::{
        edit::Edit,
        spend::{Allowance, Budget},
        tasks::{Again, NewTask, Report},
    },
};

use super::{check, fixture::*};

/// As an agent asks.
const AGENT: Again = Again { even_succeeded: false, by_agent: true, allowed_tools: Vec::new() };

fn used(report: Report, cost_usd: f64, tokens: u64) -> Report {
    let usage = Usage { cost_usd, input_tokens: tokens, ..Usage::default() };
    Report { result: Some(TaskResult { usage: Some(usage), ..TaskResult::default() }), ..report }
}

#[tokio::test]
async fn an_agents_retry_lifts_no_budget() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let own = Spec { max_cost_usd: Some(0.4), retries: 9, ..task("x").spec };
    let id = world.delegate(&NewTask { spec: own, ..task("x") }).await;
    let claimed = world.claim(&agent).await;
    let state = world.store.finish(&used(report(&agent, &claimed, Cause::Transient), 0.5, 1)).await.unwrap();
    assert_eq!(state, TaskState::Held);
    assert_eq!(refusal(world.store.retry_as(&id, "a test", &AGENT).await), "for_person");
    check::structures(&world).await;

    // One that has failed runs again with what is left, which is nothing.
    world.store.cancel(std::slice::from_ref(&id), "a test").await.unwrap();
    let again = world.store.retry_as(&id, "a test", &AGENT).await.unwrap();
    assert_eq!(again.to, TaskState::Ready);
    assert_eq!(world.try_claim(&agent).await, None);
    assert_eq!(world.state(&id).await, TaskState::Held);
    // A person allows the same again.
    assert_eq!(world.store.retry(&id, "a test").await.unwrap().to, TaskState::Ready);
    world.claim(&agent).await;
    check::structures(&world).await;
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_before_it_told_its_cost_is_no_estimate() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let cents = |cents: u64| Allowance { micro_usd: Some(cents * 10_000), tokens: None };
    let (role, account) = (ROLE.into(), "claude".into());
    let budget = Budget { role, account, day: cents(500), expected: cents(250), ..Budget::default() };
    world.store.set_budget(&budget).await.unwrap();
    world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&used(report(&agent, &claimed, Cause::Timeout), 0.0, 100_000)).await.unwrap();
    let known = world.store.budgets(&[ROLE.to_owned()]).await.unwrap().roles.remove(0).1;
    assert_eq!(known.expected.micro_usd, Some(2_500_000));
}

#[tokio::test]
async fn what_waits_to_be_accepted_is_not_edited_and_what_has_no_budget_is_not_raised() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let raised = world.store.set_cap_of_task(&id, Some(Change::More(5_000_000)), None, "a test").await;
    assert_eq!(refusal(raised), "no_budget");
    world.store.set_cap_of_task(&id, Some(Change::To(5_000_000)), None, "a test").await.unwrap();
    world.store.set_cap_of_task(&id, Some(Change::More(5_000_000)), None, "a test").await.unwrap();
    world.store.cancel(std::slice::from_ref(&id), "a test").await.unwrap();

    let accepted = Spec { approval: Some(orch::model::approval::ApprovalRule::After), ..task("y").spec };
    let id = world.delegate(&NewTask { spec: accepted, ..task("y") }).await;
    let claimed = world.claim(&agent).await;
    world.finish(&agent, &claimed, Cause::Success).await;
    assert_eq!(world.state(&id).await, TaskState::Held);
    let edit = Edit { text: Some("another".into()), ..Edit::default() };
    let max_wait = orch::model::task::MAX_WAIT;
    assert_eq!(refusal(world.store.edit(&id, &edit, max_wait, "a test").await), "awaits_acceptance");
    assert_eq!(refusal(world.store.retry_as(&id, "a test", &AGENT).await), "for_person");
    check::structures(&world).await;
}
