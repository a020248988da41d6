//! What an attempt is charged: what its program reports while it runs and at its end, and an estimate of what it was cut off
//! before it could report. No way of ending an attempt makes it free.

use orch::{
    model::{
        budget::Change,
        cause::Cause,
        end_code::EndCode,
        event::EventKind,
        task::{TaskResult, TaskState, Usage},
    },
    store::{
        agents::{Directive, Pulse, Used},
        spend::{Allowance, Budget},
        tasks::{Claimed, Metered, NewTask, Report},
    },
};

use super::{check, fixture::*};

fn usage(tokens: u64, cents: u64) -> Usage {
    Usage { input_tokens: tokens, cost_usd: cents as f64 / 100.0, ..Usage::default() }
}

fn with(report: Report, usage: Usage) -> Report {
    let result = Some(TaskResult { usage: Some(usage), ..TaskResult::default() });
    Report { result, retry_after_ms: Some(0), ..report }
}

fn cents(cents: u64) -> Allowance {
    Allowance { micro_usd: Some(cents * 10_000), tokens: None }
}

/// A role with a cap per day, whose program reports both, and an estimate of its first attempt.
async fn set(world: &World, day: Allowance, expected: Allowance) {
    let reports = (true, true);
    let budget = Budget { role: ROLE.into(), account: "claude".into(), day, expected, reports, ..Budget::default() };
    world.store.set_budget(&budget).await.unwrap();
}

/// Lets Redis's clock go on.
fn later(world: &World, ms: u64) {
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(ms).query(&mut world.raw()).unwrap();
}

async fn spent(world: &World) -> (u64, u64, u64) {
    let budget = world.store.budgets(&[ROLE.to_owned()]).await.unwrap().roles.remove(0).1;
    (budget.spent.0, budget.spent.1, budget.reserved.0)
}

async fn beat(world: &World, agent: &Agent, claimed: &Claimed, usage: Usage, metered: Option<Metered>) -> Directive {
    let pulse = Pulse { used: Some(Used { usage, metered }), ..pulse(claimed) };
    world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse).await.unwrap()
}

#[tokio::test]
async fn an_attempt_that_is_cancelled_before_its_program_tells_its_price_pays_by_its_tokens() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let (agent, other) = (world.agent("shell-1").await, world.agent("shell-2").await);
    world.delegate(&task("first")).await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&with(report(&agent, &claimed, Cause::Success), usage(1_000, 50))).await.unwrap();

    // A parent that cancels its subtasks in time would spend nothing otherwise.
    let parent = world.delegate(&task("parent")).await;
    let above = world.claim(&agent).await;
    let child = world.delegate(&subtask("child", &agent, &above)).await;
    let below = world.claim(&other).await;
    world.cancel(&child).await;
    let state = world.store.finish(&with(report(&other, &below, Cause::Cancelled), usage(400, 0))).await.unwrap();
    assert_eq!(state, TaskState::Cancelled);
    let detail = world.detail(&child).await;
    assert_eq!((detail.usage.cost_usd, detail.usage.estimated_usd, detail.usage.input_tokens), (0.2, 0.2, 400));
    assert_eq!(detail.attempts[0].usage.as_ref().unwrap().estimated_usd, 0.2);
    assert_eq!(world.detail(&parent).await.tree_usage.cost_usd, 0.2);
    assert_eq!(spent(&world).await.0, 700_000);
    let known = world.store.budgets(&[ROLE.to_owned()]).await.unwrap().roles.remove(0).1;
    assert_eq!(known.expected.micro_usd, Some(500_000), "an estimate teaches nothing");
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn an_attempt_that_dies_before_its_program_tells_anything_pays_by_its_time() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    world.claim(&agent).await;
    later(&world, 300_000);
    world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    let used = world.detail(&id).await.usage;
    // Nothing is known of the role: half of the time that takes all that was reserved.
    assert!((0.49..0.51).contains(&used.cost_usd) && used.cost_usd == used.estimated_usd, "{used:?}");
    check::structures(&world).await;

    // A program that may report, and does not as a rule, owes nothing.
    let budget = Budget { role: "tool".into(), account: "tool".into(), expected: cents(100), ..Budget::default() };
    world.store.set_budget(&budget).await.unwrap();
    let tool = world.agent_of("tool-1", "tool").await;
    let id = world.delegate(&NewTask { spec: Spec { role: "tool".into(), ..task("y").spec }, ..task("y") }).await;
    let claimed = world.claim(&tool).await;
    later(&world, 900_000);
    world.cancel(&id).await;
    world.finish(&tool, &claimed, Cause::Cancelled).await;
    assert!(world.detail(&id).await.usage.is_nothing());
    check::structures(&world).await;
}

#[tokio::test]
async fn what_a_program_reports_while_it_runs_is_charged_then_and_taken_off_what_it_has_reserved() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let agent = world.agent("shell-1").await;
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(spent(&world).await, (0, 0, 1_000_000));
    for (tokens, now, expected) in [
        (100, 30, (300_000, 100, 700_000)),
        // Sent again, and after a lost reply.
        (100, 30, (300_000, 100, 700_000)),
        // A program that counts from zero again has used no less.
        (50, 10, (300_000, 100, 700_000)),
        (900, 120, (1_200_000, 900, 0)),
    ] {
        assert_eq!(beat(&world, &agent, &claimed, usage(tokens, now), None).await, Directive::Go);
        assert_eq!(spent(&world).await, expected, "{tokens} {now}");
        check::structures(&world).await;
    }
    assert_eq!(world.detail(&id).await.usage, usage(900, 120));
    // It dies: what is known stays.
    world.store.end_agent(&agent.id, &agent.incarnation, &crash()).await.unwrap();
    let detail = world.detail(&id).await;
    assert_eq!((detail.usage.clone(), detail.attempts[0].usage.clone()), (usage(900, 120), Some(usage(900, 120))));
    assert_eq!(spent(&world).await, (1_200_000, 900, 0));
    check::structures(&world).await;
    // What its runner has left on the disk is more, and arrives late, twice.
    for _ in 0..2 {
        let late = with(report(&agent, &claimed, Cause::Success), usage(1_000, 150));
        assert_eq!(refusal(world.store.finish(&late).await), "stale");
    }
    assert_eq!(world.detail(&id).await.usage, usage(1_000, 150));
    check::structures(&world).await;
}

#[tokio::test]
async fn the_end_of_an_attempt_charges_what_was_not_charged_before() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let agent = world.agent("shell-1").await;
    for (last, sum) in [(usage(500, 70), usage(500, 70)), (usage(10, 1), usage(200, 40)), (usage(0, 0), usage(200, 40))]
    {
        let id = world.delegate(&task("x")).await;
        let claimed = world.claim(&agent).await;
        beat(&world, &agent, &claimed, usage(200, 40), None).await;
        world.store.finish(&with(report(&agent, &claimed, Cause::Success), last)).await.unwrap();
        let detail = world.detail(&id).await;
        assert_eq!((&detail.usage, detail.attempts[0].usage.as_ref()), (&sum, Some(&sum)));
        check::structures(&world).await;
    }
    // What cannot be true counts as none, and is recorded once.
    let id = world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    for _ in 0..3 {
        beat(&world, &agent, &claimed, usage(0, 10_000_000), None).await;
    }
    world.store.finish(&with(report(&agent, &claimed, Cause::Success), usage(0, 10_000_000))).await.unwrap();
    assert!(world.detail(&id).await.usage.is_nothing());
    let refused = world.events().await.into_iter().filter(|event| event.kind == EventKind::UsageRefused);
    assert_eq!(refused.count(), 1);
    check::structures(&world).await;
}

#[tokio::test]
async fn an_attempt_that_reaches_the_cap_of_its_task_is_ended_and_goes_on_when_it_may_use_more() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let agent = world.agent("shell-1").await;
    let own = Spec { max_cost_usd: Some(0.5), retries: 0, ..task("x").spec };
    let id = world.delegate(&NewTask { spec: own, ..task("x") }).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(claimed.left.micro_usd, Some(500_000));
    assert_eq!(beat(&world, &agent, &claimed, usage(1, 39), None).await, Directive::Go);
    let warned = async || world.events().await.iter().filter(|e| e.kind == EventKind::BudgetWarning).count();
    assert_eq!(warned().await, 0);
    assert_eq!(beat(&world, &agent, &claimed, usage(2, 41), None).await, Directive::Go);
    assert_eq!(warned().await, 1, "while it runs");
    let over = beat(&world, &agent, &claimed, usage(3, 52), None).await;
    let Directive::OverBudget(why) = &over else { panic!("{over:?}") };
    assert!(why.contains("0.52 USD of 0.50"), "{why}");
    // Also of a heartbeat that reports nothing new.
    let silent = world.store.heartbeat(&agent.id, &agent.incarnation, LEASE, &pulse(&claimed)).await.unwrap();
    assert_eq!(silent, over);
    let ended = Report { code: EndCode::OverBudget, ..report(&agent, &claimed, Cause::NeedsPerson) };
    assert_eq!(world.store.finish(&with(ended, usage(3, 52))).await.unwrap(), TaskState::Held);
    let held = world.detail(&id).await.task;
    assert_eq!((held.code, held.failures), (Some(EndCode::OverBudget), 0));
    let more = world.store.set_cap_of_task(&id, Some(Change::More(500_000)), None, "a test").await.unwrap();
    assert_eq!(more, (TaskState::Held, TaskState::Ready));
    let again = world.claim(&agent).await;
    assert_eq!(again.left.micro_usd, Some(480_000));
    check::structures(&world).await;

    // A program that ends itself at its price has not failed either, where that is what the task may use.
    let ended = Report { code: EndCode::BoundReached, ..report(&agent, &again, Cause::Permanent) };
    assert_eq!(world.store.finish(&with(ended, usage(3, 49))).await.unwrap(), TaskState::Held);
    assert_eq!(world.detail(&id).await.task.failures, 0);
    check::structures(&world).await;
    // Raised while its program is being ended, it goes on at once.
    world.store.set_cap_of_task(&id, Some(Change::More(500_000)), None, "a test").await.unwrap();
    let last = world.claim(&agent).await;
    let ended = Report { code: EndCode::OverBudget, ..report(&agent, &last, Cause::NeedsPerson) };
    assert_eq!(world.store.finish(&with(ended, usage(1, 1))).await.unwrap(), TaskState::Delayed);
    assert_eq!(world.store.release_due().await.unwrap().0, 1);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn the_next_total_of_a_conversation_has_what_was_estimated_of_it() {
    let server = Server::start();
    let world = server.world("n");
    set(&world, cents(1_000), cents(100)).await;
    let agent = world.agent("shell-1").await;
    world.delegate(&task("first")).await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&with(report(&agent, &claimed, Cause::Success), usage(1_000, 100))).await.unwrap();

    let id = world.delegate(&task("x")).await;
    let money = |cents: u64| usage(0, cents);
    let metered = |before: u64, total: u64| {
        Some(Metered { conversation: "c".into(), before: money(before), total: money(total) })
    };
    // Cut off: 300 tokens are 30 cents; it was 25.
    let claimed = world.claim(&agent).await;
    let end = with(report(&agent, &claimed, Cause::Timeout), usage(300, 0));
    world.store.finish(&Report { metered: metered(0, 0), ..end }).await.unwrap();
    assert_eq!(world.detail(&id).await.usage.cost_usd, 0.3);
    world.store.release_due().await.unwrap();
    let claimed = world.claim(&agent).await;
    let end = with(report(&agent, &claimed, Cause::Transient), usage(200, 85));
    world.store.finish(&Report { metered: metered(0, 85), ..end }).await.unwrap();
    let used = world.detail(&id).await.usage;
    assert_eq!((used.cost_usd * 100.0).round(), 85.0, "the total of the conversation: {used:?}");
    world.store.release_due().await.unwrap();
    let claimed = world.claim(&agent).await;
    let end = with(report(&agent, &claimed, Cause::Success), usage(200, 15));
    world.store.finish(&Report { metered: metered(85, 100), ..end }).await.unwrap();
    assert_eq!((world.detail(&id).await.usage.cost_usd * 100.0).round(), 100.0);
    check::structures(&world).await;
}
