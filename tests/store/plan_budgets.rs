//! What a plan may use: its tasks, and what these delegate, never start beyond it, and the tasks of others do not wait for it.

use std::collections::BTreeSet;

use orch::{
    model::{
        budget::Change,
        cause::Cause,
        event::EventKind,
        id::PlanId,
        plan::PlanState,
        task::{TaskResult, TaskState, Usage},
    },
    store::{
        budgets::Budgeted,
        edit::Edit,
        plans::NewPlan,
        spend::{Allowance, Budget},
        tasks::{Claimed, Report},
    },
};

use super::{check, fixture::*, plans::plan};

fn cents(cents: u64) -> Allowance {
    Allowance { micro_usd: Some(cents * 10_000), tokens: None }
}

/// Each attempt of the role is expected to use that much.
async fn expect(world: &World, each: u64) {
    let expected = cents(each);
    world
        .store
        .set_budget(&Budget { role: ROLE.into(), account: "claude".into(), expected, ..Budget::default() })
        .await
        .unwrap();
}

/// A plan of independent tasks that may use that much.
async fn submit(world: &World, cap: u64, keys: &[&str]) -> PlanId {
    let tasks: Vec<(&str, &[_])> = keys.iter().map(|key| (*key, &[][..])).collect();
    world.store.submit_plan(&NewPlan { cap: cents(cap), ..plan(&tasks) }).await.unwrap().id
}

async fn agents<const N: usize>(world: &World) -> [Agent; N] {
    let names: Vec<String> = (1..=N).map(|n| format!("shell-{n}")).collect();
    let agents = futures_util::future::join_all(names.iter().map(|name| world.agent(name))).await;
    agents.try_into().unwrap_or_else(|_| panic!("{N} agents"))
}

/// How an attempt ends that has used this many cents.
fn used(agent: &Agent, claimed: &Claimed, cents: u64) -> Report {
    let usage = Usage { cost_usd: cents as f64 / 100.0, ..Usage::default() };
    let result = Some(TaskResult { usage: Some(usage), ..TaskResult::default() });
    Report { result, ..report(agent, claimed, Cause::Success) }
}

/// How many tasks of the role an agent may take.
fn ready(world: &World) -> u64 {
    let key = world.store.keys().of("ready", ROLE);
    redis::cmd("ZCARD").arg(key).query(&mut world.raw()).unwrap()
}

async fn budget(world: &World, plan: &PlanId) -> Budgeted {
    world.store.budgets_of_plans(Some(plan)).await.unwrap().remove(0).1
}

async fn state(world: &World, plan: &PlanId) -> PlanState {
    world.store.plans(std::slice::from_ref(plan)).await.unwrap()[0].state
}

async fn raise(world: &World, plan: &PlanId, to: Change<u64>) -> (PlanState, PlanState) {
    world.store.set_cap_of_plan(plan, Some(to), None, "a test").await.unwrap()
}

#[tokio::test]
async fn tasks_of_a_plan_start_as_far_as_its_budget_has_room_and_those_of_others_go_on() {
    let server = Server::start();
    let world = server.world("n");
    let [one, two, three, four] = agents(&world).await;
    expect(&world, 30).await;
    let plan = submit(&world, 70, &["a", "b", "c", "d"]).await;
    let (first, second) = (world.claim(&one).await, world.claim(&two).await);
    let other = world.delegate(&task("of no plan")).await;
    assert_eq!(world.claim(&three).await.task.id, other);
    assert_eq!(world.try_claim(&four).await, None);
    let (row, short) = (budget(&world, &plan).await, world.store.short_plans().await.unwrap().remove(0));
    assert_eq!((row.cap, row.spent.0, row.reserved.0), (cents(70), 0, 600_000));
    assert_eq!((short.id == plan, short.is_reserved, short.tasks), (true, true, 2));
    for part in ["0.00 USD of 0.70 USD", "reserved 0.60 USD", "expected to use 0.30 USD", "0.20 USD missing"] {
        assert!(short.reason.contains(part), "{part}: {}", short.reason);
    }
    assert_eq!(state(&world, &plan).await, PlanState::Running);
    check::structures(&world).await;

    // One ends cheaper than expected: the next one is offered.
    world.store.finish(&used(&one, &first, 5)).await.unwrap();
    let third = world.claim(&one).await;
    assert_eq!(third.task.spec.plan.as_ref(), Some(&plan));
    check::structures(&world).await;
    // Then nothing of the plan runs, and too little is left: a person decides.
    world.store.finish(&used(&two, &second, 40)).await.unwrap();
    world.store.finish(&used(&one, &third, 10)).await.unwrap();
    assert_eq!(world.try_claim(&one).await, None);
    let short = world.store.short_plans().await.unwrap().remove(0);
    assert_eq!((short.is_reserved, state(&world, &plan).await), (false, PlanState::Held));
    check::structures(&world).await;
    let notices = world.store.take_notices(10).await.unwrap();
    assert_eq!(notices.iter().filter(|notice| notice.what == "held").count(), 1, "{notices:?}");

    assert_eq!(raise(&world, &plan, Change::More(1_000_000)).await, (PlanState::Held, PlanState::Running));
    let last = world.claim(&one).await;
    world.store.finish(&used(&one, &last, 40)).await.unwrap();
    assert_eq!(state(&world, &plan).await, PlanState::Succeeded);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_plan_pays_for_what_its_tasks_delegate_and_plans_within_plans_pay_too() {
    let server = Server::start();
    let world = server.world("n");
    let [one, two, three] = agents(&world).await;
    expect(&world, 10).await;
    let outer = submit(&world, 35, &["a"]).await;
    let above = world.claim(&one).await;
    world.delegate(&subtask("child", &one, &above)).await;
    let child = world.claim(&two).await;
    assert_eq!(budget(&world, &outer).await.reserved.0, 200_000);
    let mut within = plan(&[("x", &[]), ("y", &[])]);
    within.parent = Some(capability(&one, &above));
    for (_, task) in &mut within.tasks {
        task.parent = within.parent.clone();
    }
    let inner = world.store.submit_plan(&NewPlan { cap: cents(100), ..within }).await.unwrap().id;
    let third = world.claim(&three).await;
    assert_eq!(third.task.spec.plan.as_ref(), Some(&inner));
    assert_eq!((budget(&world, &outer).await.reserved.0, budget(&world, &inner).await.reserved.0), (300_000, 100_000));
    check::structures(&world).await;
    world.store.finish(&used(&two, &child, 7)).await.unwrap();
    world.store.finish(&used(&three, &third, 20)).await.unwrap();
    assert_eq!((budget(&world, &outer).await.spent.0, budget(&world, &inner).await.spent.0), (270_000, 200_000));
    assert_eq!(world.try_claim(&two).await, None, "the outer plan has no room");
    check::structures(&world).await;
    assert_eq!(state(&world, &inner).await, PlanState::Running, "the outer one decides");
    raise(&world, &outer, Change::Unlimited).await;
    assert!(world.try_claim(&two).await.is_some());
    check::structures(&world).await;
}

#[tokio::test]
async fn what_waits_for_its_plans_budget_is_edited_cancelled_and_retried_like_any_ready_task() {
    let server = Server::start();
    let world = server.world("n");
    let [one] = agents(&world).await;
    expect(&world, 30).await;
    let plan = submit(&world, 30, &["a", "b", "c", "d"]).await;
    let first = world.claim(&one).await;
    world.store.finish(&used(&one, &first, 30)).await.unwrap();
    assert_eq!(world.try_claim(&one).await, None);
    let tasks = world.store.plan_tasks(&plan).await.unwrap();
    let short = world.store.short_of(&tasks["b"]).await.unwrap().unwrap();
    assert_eq!((short.tasks, short.is_reserved), (3, false));
    assert!(short.reason.contains("0.30 USD of 0.30 that plan a plan may use"), "{}", short.reason);
    let edit = Edit { text: Some("another".into()), ..Edit::default() };
    world.store.edit(&tasks["b"], &edit, orch::model::task::MAX_WAIT, "a test").await.unwrap();
    check::structures(&world).await;
    assert_eq!(world.try_claim(&one).await, None);
    assert_eq!(world.cancel(&tasks["c"]).await, Some(TaskState::Cancelled));
    check::structures(&world).await;
    world.store.retry(&tasks["c"], "a test").await.unwrap();
    assert_eq!(world.try_claim(&one).await, None);
    check::structures(&world).await;
    // A damaged record blocks nothing.
    let key = world.store.keys().of("task", tasks["d"].as_str());
    let () = redis::cmd("HDEL").arg(key).arg("priority").query(&mut world.raw()).unwrap();
    world.store.quarantine(tasks["d"].as_str(), ROLE, "a test").await.unwrap();
    check::structures(&world).await;
    raise(&world, &plan, Change::More(1_000_000)).await;
    let claimed: BTreeSet<_> = [world.claim(&one).await.task.id].into();
    assert!(claimed.contains(&tasks["b"]) || claimed.contains(&tasks["c"]));
    check::structures(&world).await;
    let warnings = world.events().await.into_iter().filter(|event| event.kind == EventKind::BudgetWarning).count();
    assert_eq!(warnings, 1);
}

#[tokio::test]
async fn a_hundred_tasks_of_a_plan_leave_the_ready_ones_and_come_back_as_there_is_room() {
    let server = Server::start_hasty();
    let world = server.world("n");
    let [one] = agents(&world).await;
    expect(&world, 10).await;
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let plan = submit(&world, 10, &keys).await;
    let first = world.claim(&one).await;
    world.store.finish(&used(&one, &first, 10)).await.unwrap();
    while ready(&world) > 0 {
        assert_eq!(world.try_claim(&one).await, None);
    }
    check::structures(&world).await;
    raise(&world, &plan, Change::To(300_000)).await;
    assert_eq!(ready(&world), 2, "as many as fit");
    let second = world.claim(&one).await;
    // An estimate that has become smaller is noticed.
    expect(&world, 1).await;
    let () = redis::cmd("HDEL")
        .arg(world.store.keys().plain("budgets"))
        .arg(format!("learned_usd:{ROLE}"))
        .query(&mut world.raw())
        .unwrap();
    assert_eq!(world.store.offer_short().await.unwrap(), 1);
    assert!(ready(&world) > 2);
    world.store.finish(&used(&one, &second, 1)).await.unwrap();
    check::structures(&world).await;
}
