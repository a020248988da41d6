//! Budgets: what running attempts have reserved and what was used never exceed a cap at a claim, however many claim at once.

use std::collections::BTreeSet;

use orch::{
    model::{
        budget::Change,
        cause::Cause,
        end_code::EndCode,
        event::EventKind,
        pace::Pace,
        task::{TaskResult, TaskState, Usage},
        time::Timestamp,
        window::Window,
    },
    store::{
        budgets::Budgeted,
        spend::{Allowance, Budget},
        tasks::{NewTask, Report},
    },
};

use super::{check, fixture::*};

/// A cap, or an estimate, of this many cents.
fn cents(cents: u64) -> Allowance {
    Allowance { micro_usd: Some(cents * 10_000), tokens: None }
}

async fn of_role(world: &World) -> Budgeted {
    world.store.budgets(&[ROLE.to_owned()]).await.unwrap().roles.remove(0).1
}

async fn set(world: &World, day: Allowance, task: Allowance, expected: Allowance) {
    let (role, account) = (ROLE.into(), "claude".into());
    world.store.set_budget(&Budget { role, account, day, task, expected, ..Budget::default() }).await.unwrap();
}

/// How an attempt ends that has used this many cents.
fn used(report: Report, cents: u64) -> Report {
    let usage = Usage { cost_usd: cents as f64 / 100.0, ..Usage::default() };
    let result = Some(TaskResult { usage: Some(usage), ..TaskResult::default() });
    Report { result, retry_after_ms: Some(0), ..report }
}

/// Agents `shell-1`, `shell-2` and so on, each with a task to claim.
async fn crowd(world: &World, n: usize) -> Vec<Agent> {
    let tasks: Vec<NewTask> = (0..n).map(|n| task(&format!("{n}"))).collect();
    world.store.delegate_all(&tasks).await.unwrap();
    let agents = (1..=n).map(|n| async move { world.agent(&format!("shell-{n}")).await });
    futures_util::future::join_all(agents).await
}

#[tokio::test]
async fn of_fifty_claims_at_once_as_many_start_as_the_budget_has_room_for() {
    let seeds = std::env::var("ORCH_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let server = Server::start_hasty();
    for seed in 0..seeds {
        let name = format!("n{seed}");
        let world = server.world(&name);
        // Each claim on one of five connections.
        let clients: Vec<World> = (0..5).map(|_| server.world(&name)).collect();
        let agents = crowd(&world, 50).await;
        // Room for exactly seven, by the cap of the role or of all roles, with something used before or not.
        let (each, rest, before) = (10 + seed % 90, seed % 7, seed % 3 * 50);
        let cap = cents(before + 7 * each + rest);
        let (own, all) = if seed % 2 == 0 { (cap, cents(1_000_000)) } else { (cents(1_000_000), cap) };
        world.store.set_budget(&Budget { day: all, ..Budget::default() }).await.unwrap();
        set(&world, own, Allowance::default(), cents(each)).await;
        let usage = Usage { cost_usd: before as f64 / 100.0, ..Usage::default() };
        world.store.meter("opus-master", ROLE, "talk", &usage, &usage).await.unwrap();

        let claims = agents.iter().enumerate().map(|(n, agent)| clients[n % 5].try_claim(agent));
        let claimed = futures_util::future::join_all(claims).await;
        let ids: BTreeSet<_> = claimed.iter().flatten().map(|claimed| claimed.task.id.clone()).collect();
        assert_eq!((claimed.iter().flatten().count(), ids.len()), (7, 7), "seed {seed}");
        let budget = of_role(&world).await;
        assert_eq!(budget.reserved.0, 7 * each * 10_000, "seed {seed}");
        check::structures(&world).await;
        if seed % 5 == 0 {
            // Each end makes room for one.
            for (agent, claimed) in agents.iter().zip(&claimed).filter_map(|(agent, one)| Some((agent, one.as_ref()?)))
            {
                world.store.finish(&used(report(agent, claimed, Cause::Success), 0)).await.unwrap();
            }
            assert_eq!(of_role(&world).await.reserved.0, 0, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn an_attempt_reserves_what_its_role_uses_and_its_end_takes_that_back() {
    let server = Server::start();
    let world = server.world("n");
    let agents = crowd(&world, 4).await;
    set(&world, cents(100), Allowance::default(), Allowance::default()).await;
    // Nothing is known: a tenth of the cap.
    let first = world.claim(&agents[0]).await;
    assert_eq!(of_role(&world).await.reserved, (100_000, 0));
    world.store.finish(&used(report(&agents[0], &first, Cause::Success), 30)).await.unwrap();
    let budget = of_role(&world).await;
    assert_eq!((budget.spent.0, budget.reserved.0, budget.expected.micro_usd), (300_000, 0, Some(300_000)));
    let (second, third) = (world.claim(&agents[1]).await, world.claim(&agents[2]).await);
    assert_eq!(of_role(&world).await.reserved.0, 600_000);
    // 0.30 used, 0.60 reserved: another 0.30 does not fit.
    assert_eq!(world.try_claim(&agents[3]).await, None);
    let (suspended, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    let why = &suspended[ROLE];
    assert_eq!((why.code.as_str(), why.until), ("budget_reserved", None));
    for part in ["0.30 USD of 1.00 USD", "reserved 0.60 USD", "expected to use 0.30 USD", "0.20 USD missing"] {
        assert!(why.reason.contains(part), "{part}: {}", why.reason);
    }
    check::structures(&world).await;

    // One ends cheaper than expected, and the agent that was refused is offered the task.
    let () = redis::cmd("DEL").arg(world.store.keys().of("wake:role", ROLE)).query(&mut world.raw()).unwrap();
    world.store.finish(&used(report(&agents[1], &second, Cause::Success), 5)).await.unwrap();
    let markers: u64 =
        redis::cmd("LLEN").arg(world.store.keys().of("wake:role", ROLE)).query(&mut world.raw()).unwrap();
    assert_eq!(markers, 1);
    let fourth = world.claim(&agents[3]).await;
    // However an attempt ends, its reservation ends with it.
    world.store.end_agent(&agents[2].id, &agents[2].incarnation, &crash()).await.unwrap();
    assert_eq!(of_role(&world).await.reserved.0, 300_000);
    world.store.quarantine(fourth.task.id.as_str(), "", "a test").await.unwrap();
    assert_eq!(of_role(&world).await.reserved, (0, 0));
    let _ = third;
    check::structures(&world).await;
}

#[tokio::test]
async fn an_estimate_beyond_the_cap_lets_one_attempt_start_and_a_cap_that_is_nearly_used_none() {
    let server = Server::start();
    let world = server.world("n");
    let agents = crowd(&world, 3).await;
    set(&world, cents(50), Allowance::default(), cents(200)).await;
    let first = world.claim(&agents[0]).await;
    assert_eq!(of_role(&world).await.reserved.0, 500_000, "all of it, and no more");
    assert_eq!(world.try_claim(&agents[1]).await, None);
    world.store.finish(&used(report(&agents[0], &first, Cause::Success), 40)).await.unwrap();
    assert_eq!(world.try_claim(&agents[1]).await, None);
    let (suspended, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    assert_eq!(suspended[ROLE].code.as_str(), "budget_day");
    assert!(suspended[ROLE].reason.contains("0.30 USD missing"), "{}", suspended[ROLE].reason);
    // A person raises it, for this role alone, and takes that back.
    let raise = async |to, default| world.store.set_cap_of_day(Some(ROLE), to, None, default, "a test").await.unwrap();
    assert!(raise(Some(Change::To(5_000_000)), false).await && !raise(Some(Change::To(5_000_000)), false).await);
    assert!(world.try_claim(&agents[1]).await.is_some());
    assert!(raise(Some(Change::Unlimited), false).await && world.try_claim(&agents[2]).await.is_some());
    assert!(raise(None, true).await);
    assert_eq!(of_role(&world).await.cap, cents(50));
    check::structures(&world).await;
}

#[tokio::test]
async fn a_program_that_reports_nothing_is_expected_to_use_nothing() {
    let server = Server::start();
    let world = server.world("n");
    let agents = crowd(&world, 30).await;
    world.store.set_budget(&Budget { day: cents(100), ..Budget::default() }).await.unwrap();
    let first = world.claim(&agents[0]).await;
    world.finish(&agents[0], &first, Cause::Success).await;
    for agent in &agents[1..] {
        world.claim(agent).await;
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn a_task_that_has_used_its_own_budget_is_held_and_goes_on_when_it_may_use_more() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    set(&world, cents(1_000), Allowance::default(), cents(300)).await;
    let own = Spec { max_cost_usd: Some(0.5), retries: 9, ..task("x").spec };
    let id = world.delegate(&NewTask { spec: own, ..task("x") }).await;
    let claimed = world.claim(&agent).await;
    assert_eq!(of_role(&world).await.reserved.0, 500_000, "what it has left, and not what its role is expected to use");
    let state = world.store.finish(&used(report(&agent, &claimed, Cause::Transient), 60)).await.unwrap();
    assert_eq!(state, TaskState::Held);
    let held = world.detail(&id).await.task;
    assert_eq!(held.code, Some(EndCode::OverBudget));
    assert!(held.reason.unwrap().contains("0.60 USD of 0.50 that this task may use"));
    let allow = async |usd: u64| world.store.set_cap_of_task(&id, Some(Change::More(usd)), None, "a test").await;
    let error = allow(100_000).await.unwrap_err();
    assert!(error.to_string().contains("over_budget") && error.to_string().contains("0.01 USD"), "{error}");
    assert_eq!(allow(110_000).await.unwrap(), (TaskState::Held, TaskState::Ready));
    check::structures(&world).await;

    // Its cap is lowered while it is ready: the claim holds it, and the next one goes on.
    let next = world.delegate(&task("y")).await;
    let lowered = world.store.set_cap_of_task(&id, Some(Change::Unlimited), None, "a test").await.unwrap();
    assert_eq!(lowered, (TaskState::Ready, TaskState::Ready));
    set(&world, cents(1_000), cents(40), cents(300)).await;
    assert_eq!(world.try_claim(&agent).await, None);
    assert_eq!(world.state(&id).await, TaskState::Held);
    assert_eq!(world.claim(&agent).await.task.id, next);
    check::structures(&world).await;
    check::history(&world).await;
}

#[tokio::test]
async fn a_person_is_warned_once_when_most_of_a_budget_is_used() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    set(&world, cents(100), Allowance::default(), cents(1)).await;
    for (used_now, warnings) in [(70, 0), (15, 1), (5, 1)] {
        world.delegate(&task("x")).await;
        let claimed = world.claim(&agent).await;
        world.store.finish(&used(report(&agent, &claimed, Cause::Success), used_now)).await.unwrap();
        // What was learned from the dear one must not keep the others from starting.
        let () = redis::cmd("HSET")
            .arg(world.store.keys().plain("budgets"))
            .arg(format!("learned_usd:{ROLE}"))
            .arg(1)
            .query(&mut world.raw())
            .unwrap();
        let warned: Vec<_> =
            world.events().await.into_iter().filter(|event| event.kind == EventKind::BudgetWarning).collect();
        assert_eq!(warned.len(), warnings, "{used_now}: {warned:?}");
    }
    let notices = world.store.take_notices(10).await.unwrap();
    assert!(notices.iter().any(|notice| notice.what == "budget"), "{notices:?}");
}

/// Two roles of one account.
async fn one_account(world: &World, slots: Option<u32>, pace: Option<Pace>) {
    let roles: Vec<String> = vec![ROLE.into(), "other".into()];
    for role in &roles {
        let slots = slots.map(|most| (most, roles.clone()));
        let budget = Budget { role: role.clone(), account: "team".into(), slots, pace, ..Budget::default() };
        world.store.set_budget(&budget).await.unwrap();
    }
}

fn of_other(text: &str) -> NewTask {
    NewTask { spec: Spec { role: "other".into(), ..task(text).spec }, ..task(text) }
}

#[tokio::test]
async fn roles_of_one_account_run_no_more_attempts_than_it_may() {
    let server = Server::start();
    let world = server.world("n");
    one_account(&world, Some(2), None).await;
    let agents = [
        world.agent("shell-1").await,
        world.agent_of("other-1", "other").await,
        world.agent_of("other-2", "other").await,
    ];
    for _ in 0..2 {
        world.delegate(&task("x")).await;
        world.delegate(&of_other("y")).await;
    }
    assert_eq!(world.store.suspensions(&[ROLE.into()]).await.unwrap().rooms, [(ROLE.to_owned(), 2)].into());
    let (first, second) = (world.claim(&agents[0]).await, world.claim(&agents[1]).await);
    assert_eq!(world.try_claim(&agents[2]).await, None);
    let (held, _) = world.store.suspended(&["other".into()]).await.unwrap();
    assert_eq!((held["other"].code.as_str(), held["other"].until), ("account_slots", None));
    // An end of one role offers the slot to the other.
    let list = world.store.keys().of("wake:role", "other");
    let () = redis::cmd("DEL").arg(&list).query(&mut world.raw()).unwrap();
    world.finish(&agents[0], &first, Cause::Success).await;
    let markers: u64 = redis::cmd("LLEN").arg(&list).query(&mut world.raw()).unwrap();
    assert_eq!(markers, 1);
    let third = world.claim(&agents[2]).await;
    assert_eq!(world.try_claim(&agents[0]).await, None);
    // One that waits for its subtasks takes no slot: they could not run otherwise.
    let below = world.delegate(&subtask("below", &agents[2], &third)).await;
    world.store.mark_waiting(&capability(&agents[2], &third), &[below], LONG).await.unwrap();
    assert!(world.try_claim(&agents[0]).await.is_some());
    let _ = second;
    check::structures(&world).await;
}

#[tokio::test]
async fn an_account_starts_no_more_attempts_in_a_time_than_it_may() {
    let server = Server::start();
    let world = server.world("n");
    one_account(&world, None, Some("3/60s".parse().unwrap())).await;
    let agents = crowd(&world, 6).await;
    let other = world.agent_of("other-1", "other").await;
    world.delegate(&of_other("y")).await;
    for agent in &agents[..3] {
        world.claim(agent).await;
    }
    assert_eq!((world.try_claim(&agents[3]).await, world.try_claim(&other).await), (None, None));
    let (held, _) = world.store.suspended(&[ROLE.into(), "other".into()]).await.unwrap();
    assert_eq!(held.values().map(|one| one.code.as_str()).collect::<Vec<_>>(), ["start_rate"; 2]);
    assert!(held[ROLE].until.is_some() && held[ROLE].reason.contains("3 per 60 s"), "{held:?}");
    let later = |ms: u64| {
        let key = world.store.keys().plain("clock_offset");
        let () = redis::cmd("SET").arg(key).arg(ms).query(&mut world.raw()).unwrap();
    };
    // One every 20 s from then on, and three again after a minute without any.
    later(20_000);
    assert!(world.try_claim(&other).await.is_some() && world.try_claim(&agents[3]).await.is_none());
    later(40_000);
    assert!(world.try_claim(&agents[3]).await.is_some() && world.try_claim(&agents[4]).await.is_none());
    later(140_000);
    assert!(world.try_claim(&agents[4]).await.is_some() && world.try_claim(&agents[5]).await.is_some());
    check::structures(&world).await;
}

#[tokio::test]
async fn nothing_starts_while_more_of_a_window_is_used_than_a_role_may_use() {
    let server = Server::start();
    let world = server.world("n");
    let (role, account, window_use) = (ROLE.to_owned(), "team".to_owned(), Some(0.9));
    world.store.set_budget(&Budget { role, account, window_use, ..Budget::default() }).await.unwrap();
    let agents = crowd(&world, 3).await;
    let now = world.store.now().await.unwrap();
    let window = |name: &str, used, ends: u64| Window {
        name: name.into(),
        used: Some(used),
        is_full: false,
        resets_at: Some(Timestamp(now.0 + ends)),
    };
    let report = async |windows: &[Window]| world.store.record_windows(ROLE, windows).await.unwrap();
    report(&[window("five_hour", 0.5, 60_000), window("seven_day", 0.89, 600_000)]).await;
    assert!(world.try_claim(&agents[0]).await.is_some());
    report(&[window("five_hour", 0.93, 60_000)]).await;
    assert_eq!(world.try_claim(&agents[1]).await, None);
    let (held, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    let why = &held[ROLE];
    assert_eq!((why.code.as_str(), why.until), ("account_window", Some(Timestamp(now.0 + 60_000))));
    assert!(why.reason.contains("93 % of the window five_hour of account team"), "{}", why.reason);
    let seen: Vec<_> =
        world.store.windows().await.unwrap().into_iter().map(|one| (one.window.name, one.window.used)).collect();
    assert_eq!(seen, [("five_hour".into(), Some(0.93)), ("seven_day".into(), Some(0.89))]);
    // It ends, and a new one begins.
    let key = world.store.keys().plain("clock_offset");
    let () = redis::cmd("SET").arg(key).arg(61_000).query(&mut world.raw()).unwrap();
    assert!(world.try_claim(&agents[1]).await.is_some());
    assert_eq!(world.store.windows().await.unwrap().len(), 1);
    check::structures(&world).await;
}
