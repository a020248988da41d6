//! What was used is summed once; what may not be used, or not now, is not begun.

use std::time::Duration;

use orch::{
    model::{
        cause::Cause,
        task::{TaskResult, TaskState, Usage},
    },
    store::{
        spend::{Allowance, Budget},
        tasks::{Metered, NewTask, Report},
    },
};

use super::{check, fixture::*};

fn used(cost_usd: f64) -> Option<TaskResult> {
    let usage = Some(Usage { input_tokens: 100, output_tokens: 10, cost_usd });
    Some(TaskResult { usage, ..TaskResult::default() })
}

async fn costs(world: &World, kind: &str, name: &str) -> (u64, f64) {
    let spent = world.store.spent(1).await.unwrap();
    spent
        .iter()
        .find(|s| s.kind == kind && s.name == name)
        .map_or((0, 0.0), |s| (s.usage.input_tokens, s.usage.cost_usd))
}

fn budget(day: Allowance, task: Allowance) -> Budget {
    Budget { role: ROLE.into(), account: "claude".into(), day, task, unavailable: None }
}

#[tokio::test]
async fn usage_is_summed_once_whoever_reports_it_how_often() {
    let server = Server::start();
    let world = server.world("n");
    let parent = world.delegate(&task("parent")).await;
    let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
    let above = world.claim(&one).await;
    let child = world.delegate(&subtask("child", &one, &above)).await;
    let below = world.claim(&two).await;
    let report_below = Report { result: used(0.25), retry_after_ms: Some(0), ..report(&two, &below, Cause::Transient) };
    world.store.finish(&report_below).await.unwrap();
    world.store.finish(&report_below).await.unwrap();
    world.store.release_due().await.unwrap();
    let again = world.claim(&two).await;
    // Given up before it could report: what it used counts all the same, and once.
    world.store.end_agent(&two.id, &two.incarnation, &crash()).await.unwrap();
    for _ in 0..2 {
        let late = Report { result: used(0.5), ..report(&two, &again, Cause::Success) };
        assert_eq!(refusal(world.store.finish(&late).await), "stale");
    }
    let report_above = Report { result: used(1.0), ..report(&one, &above, Cause::Success) };
    world.store.finish(&report_above).await.unwrap();

    let (parent, child) = (world.detail(&parent).await, world.detail(&child).await);
    assert_eq!((child.usage.cost_usd, child.usage.input_tokens), (0.75, 200));
    assert_eq!((parent.usage.cost_usd, parent.tree_usage.cost_usd), (1.0, 1.75));
    let each: Vec<_> = child.attempts.iter().map(|a| a.usage.as_ref().map(|u| u.cost_usd)).collect();
    assert_eq!(each, [Some(0.25), Some(0.5)]);
    for (kind, name, expected) in
        [("all", "", (300, 1.75)), ("role", ROLE, (300, 1.75)), ("agent", "shell-2", (200, 0.75))]
    {
        assert_eq!(costs(&world, kind, name).await, expected, "{kind} {name}");
    }
    let tasks = world.store.spent_by_tasks().await.unwrap();
    assert_eq!(tasks.len(), 2);
    check::structures(&world).await;
}

/// A report of an attempt whose program has used `total` of a conversation in all, of which `before` had been counted when
/// the task was claimed.
fn of_conversation(report: Report, name: &str, before: f64, total: f64) -> Report {
    let money = |cost_usd| Usage { cost_usd, ..Usage::default() };
    let metered = Metered { conversation: name.to_owned(), before: money(before), total: money(total) };
    Report { result: used(total - before), metered: Some(metered), ..report }
}

#[tokio::test]
async fn a_conversation_that_is_resumed_counts_by_what_it_has_used_more() {
    let server = Server::start();
    let world = server.world("n");
    let id = world.delegate(&task("x")).await;
    let one = world.agent("shell-1").await;
    let cost = async || (world.detail(&id).await.usage.cost_usd * 100.0).round();
    let mut expected = 0.0;
    for (name, total, sum) in [("a", 0.25, 25.0), ("a", 0.5, 50.0), ("a", 1.25, 125.0), ("b", 0.5, 175.0)] {
        let claimed = world.claim(&one).await;
        let before = claimed.counted.as_ref().filter(|counted| counted.conversation == name);
        let before = before.map_or(0.0, |counted| counted.usage.cost_usd);
        let end = Report { retry_after_ms: Some(0), ..report(&one, &claimed, Cause::Transient) };
        world.store.finish(&of_conversation(end, name, before, total)).await.unwrap();
        expected = sum;
        assert_eq!(cost().await, expected, "{name} {total}");
        world.store.release_due().await.unwrap();
    }
    assert_eq!(costs(&world, "role", ROLE).await.1 * 100.0, expected);
    assert_eq!(world.store.overcounted_days(1).await.unwrap(), Vec::<u64>::new());
    check::structures(&world).await;
}

#[tokio::test]
async fn a_late_report_of_a_resumed_conversation_is_counted_once_in_either_order() {
    for late_first in [true, false] {
        let server = Server::start();
        let world = server.world("n");
        let id = world.delegate(&task("x")).await;
        let (one, two) = (world.agent("shell-1").await, world.agent("shell-2").await);
        let first = world.claim(&one).await;
        world.store.end_agent(&one.id, &one.incarnation, &crash()).await.unwrap();
        world.store.retry(&id, "a test").await.unwrap();
        let second = world.claim(&two).await;
        let late = of_conversation(report(&one, &first, Cause::Success), "a", 0.0, 0.5);
        let last = of_conversation(report(&two, &second, Cause::Success), "a", 0.0, 1.25);
        for is_late in [late_first, !late_first] {
            match is_late {
                true => assert_eq!(refusal(world.store.finish(&late).await), "stale"),
                false => drop(world.store.finish(&last).await.unwrap()),
            }
        }
        assert_eq!(world.detail(&id).await.usage.cost_usd, 1.25, "late first: {late_first}");
        check::structures(&world).await;
    }
}

#[tokio::test]
async fn a_day_that_an_earlier_release_began_is_marked() {
    let server = Server::start();
    let world = server.world("n");
    let one = world.agent("shell-1").await;
    world.delegate(&task("x")).await;
    let claimed = world.claim(&one).await;
    world.store.finish(&Report { result: used(0.25), ..report(&one, &claimed, Cause::Success) }).await.unwrap();
    assert_eq!(world.store.overcounted_days(2).await.unwrap(), Vec::<u64>::new());
    let today = world.store.spent(1).await.unwrap()[0].day;
    let _: () = redis::cmd("HDEL")
        .arg(format!("orch:{{n}}:usage:{today}"))
        .arg("counts_resumes_once")
        .query(&mut world.raw())
        .unwrap();
    assert_eq!(world.store.overcounted_days(2).await.unwrap(), [today]);
}

#[tokio::test]
async fn what_belongs_to_no_task_is_added_once_by_the_total_of_its_conversation() {
    let server = Server::start();
    let world = server.world("n");
    let told = async |conversation: &str, tokens: u64| {
        let total = Usage { input_tokens: tokens, output_tokens: 1, cost_usd: 0.5 };
        world.store.meter("opus-master", "opus", conversation, &total, &total).await.unwrap();
    };
    for tokens in [10, 10, 40, 30] {
        told("one", tokens).await;
    }
    assert_eq!(costs(&world, "agent", "opus-master").await, (40, 0.5), "a total that shrinks takes nothing back");
    told("two", 5).await;
    for (kind, name) in [("all", ""), ("role", "opus"), ("agent", "opus-master")] {
        assert_eq!(costs(&world, kind, name).await, (45, 1.0), "{kind} {name}");
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn what_a_conversation_has_used_before_it_was_taken_up_is_nobodys() {
    let server = Server::start();
    let world = server.world("n");
    let told = async |tokens: u64, own: u64| {
        let usage = |input_tokens| Usage { input_tokens, ..Usage::default() };
        world.store.meter("opus-master", "opus", "old", &usage(tokens), &usage(own)).await.unwrap();
        costs(&world, "all", "").await.0
    };
    assert_eq!(told(1_000_000, 0).await, 0, "a person has resumed it, and said nothing yet");
    assert_eq!((told(1_000_010, 10).await, told(1_000_010, 10).await), (10, 10));
    assert_eq!(told(1_000_030, 0).await, 30, "what is known of it counts for who follows");
    let usage = Usage { input_tokens: 700, output_tokens: 0, cost_usd: 0.0 };
    let own = Usage { input_tokens: 7, ..usage.clone() };
    world.store.meter("opus-master", "opus", "another", &usage, &own).await.unwrap();
    assert_eq!(costs(&world, "agent", "opus-master").await.0, 37);
    check::structures(&world).await;
}

#[tokio::test]
async fn a_role_beyond_what_it_may_use_a_day_starts_nothing_until_midnight() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let day = Allowance { micro_usd: Some(1_000_000), tokens: None };
    world.store.set_budget(&budget(day, Allowance::default())).await.unwrap();
    for _ in 0..3 {
        world.delegate(&task("x")).await;
    }
    for _ in 0..2 {
        let claimed = world.claim(&agent).await;
        let report = Report { result: used(0.5), ..report(&agent, &claimed, Cause::Success) };
        world.store.finish(&report).await.unwrap();
    }
    assert_eq!(world.try_claim(&agent).await, None);
    let (held, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    assert_eq!(held[ROLE].until.unwrap().0 % 86_400_000, 0, "midnight");
    assert!(held[ROLE].reason.contains("1.00 USD of 1.00"), "{held:?}");
    let (seen, _) = world.store.suspended(&["other".into()]).await.unwrap();
    assert!(seen.is_empty(), "another role goes on");
    // Before all limits: it can't be started at all.
    let unavailable = Some("its program is not on PATH".to_owned());
    world
        .store
        .set_budget(&Budget { unavailable: unavailable.clone(), ..budget(Allowance::default(), Allowance::default()) })
        .await
        .unwrap();
    assert_eq!(world.try_claim(&agent).await, None);
    let (held, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    assert_eq!((held[ROLE].until, Some(held[ROLE].reason.clone()), &held[ROLE].account), (None, unavailable, &None));
    // More is allowed, and it can be: at once.
    world.store.set_budget(&budget(Allowance::default(), Allowance::default())).await.unwrap();
    assert!(world.try_claim(&agent).await.is_some());
    check::structures(&world).await;
}

#[tokio::test]
async fn all_roles_together_have_a_day_and_it_ends() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let day = Allowance { micro_usd: None, tokens: Some(110) };
    world.store.set_budget(&Budget { day, ..Budget::default() }).await.unwrap();
    world.delegate(&task("x")).await;
    world.delegate(&task("y")).await;
    let claimed = world.claim(&agent).await;
    let report = Report { result: used(0.0), ..report(&agent, &claimed, Cause::Success) };
    world.store.finish(&report).await.unwrap();
    assert_eq!(world.try_claim(&agent).await, None);
    let () = redis::cmd("SET")
        .arg(world.store.keys().plain("clock_offset"))
        .arg(86_400_000)
        .query(&mut world.raw())
        .unwrap();
    assert!(world.try_claim(&agent).await.is_some(), "the next day");
}

#[tokio::test]
async fn a_task_beyond_its_own_limit_is_held_before_its_next_attempt() {
    let server = Server::start();
    let world = server.world("n");
    let agent = world.agent("shell-1").await;
    let limit = Allowance { micro_usd: Some(500_000), tokens: None };
    world.store.set_budget(&budget(Allowance::default(), limit)).await.unwrap();
    let id = world.delegate(&NewTask { spec: Spec { retries: 9, ..task("x").spec }, ..task("x") }).await;
    let fail = async |cost| {
        let claimed = world.claim(&agent).await;
        let report =
            Report { result: used(cost), retry_after_ms: Some(0), ..report(&agent, &claimed, Cause::Transient) };
        world.store.finish(&report).await.unwrap()
    };
    assert_eq!(fail(0.3).await, TaskState::Delayed);
    world.store.release_due().await.unwrap();
    assert_eq!(fail(0.3).await, TaskState::Held);
    let held = world.detail(&id).await;
    assert!(held.task.reason.as_deref().unwrap().contains("0.60 USD of 0.50"), "{:?}", held.task.reason);
    world.store.retry(&id, "a test").await.unwrap();
    assert_eq!(fail(0.3).await, TaskState::Delayed, "a person has allowed it as much again");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_rate_limit_holds_back_all_roles_of_its_account_until_it_is_over() {
    let server = Server::start();
    let world = server.world("n");
    for (role, account) in [(ROLE, "claude"), ("other", "claude"), ("alone", "role alone")] {
        let budget = Budget { role: role.into(), account: account.into(), ..Budget::default() };
        world.store.set_budget(&budget).await.unwrap();
    }
    let agents = [
        world.agent("shell-1").await,
        world.agent_of("other-1", "other").await,
        world.agent_of("alone-1", "alone").await,
    ];
    for role in [ROLE, "other", "alone", ROLE] {
        world.delegate(&NewTask { spec: Spec { role: role.into(), ..task("x").spec }, ..task("x") }).await;
    }
    let claimed = world.claim(&agents[0]).await;
    let minute = Duration::from_secs(60).as_millis() as u64;
    let limited = Report {
        account: Some("claude".into()),
        retry_after_ms: Some(minute),
        ..report(&agents[0], &claimed, Cause::RateLimited)
    };
    assert_eq!(world.store.finish_and_claim(&limited, LEASE).await.unwrap().1.unwrap(), None, "in one step");
    world.store.finish(&limited).await.unwrap();
    assert_eq!(world.try_claim(&agents[1]).await, None);
    assert!(world.try_claim(&agents[2]).await.is_some(), "another account goes on");
    let roles = [ROLE, "other", "alone"].map(str::to_owned);
    let (held, _) = world.store.suspended(&roles).await.unwrap();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["other", ROLE]);
    let () = redis::cmd("SET")
        .arg(world.store.keys().plain("clock_offset"))
        .arg(minute + 1)
        .query(&mut world.raw())
        .unwrap();
    assert!(world.try_claim(&agents[1]).await.is_some(), "it ends by itself");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_rate_limit_that_a_person_lifts_is_over_for_all_of_its_account_and_no_other() {
    let server = Server::start();
    let world = server.world("n");
    for (role, account) in [(ROLE, "claude"), ("other", "claude"), ("alone", "role alone")] {
        let budget = Budget { role: role.into(), account: account.into(), ..Budget::default() };
        world.store.set_budget(&budget).await.unwrap();
    }
    let agents = [
        world.agent("shell-1").await,
        world.agent_of("other-1", "other").await,
        world.agent_of("alone-1", "alone").await,
    ];
    let hour = Duration::from_secs(3600).as_millis() as u64;
    let end = async |agent, account: &str, cause| {
        let claimed = world.claim(agent).await;
        let report =
            Report { account: Some(account.into()), retry_after_ms: Some(hour), ..report(agent, &claimed, cause) };
        world.store.finish(&report).await.unwrap()
    };
    let mut tasks = Vec::new();
    for (agent, role, account, cause) in [
        // What failed in its own right keeps its delay.
        (&agents[1], "other", "", Cause::Transient),
        (&agents[2], "alone", "role alone", Cause::RateLimited),
        (&agents[0], ROLE, "claude", Cause::RateLimited),
    ] {
        tasks.push(
            world
                .delegate(&NewTask { spec: Spec { role: role.into(), retries: 9, ..task("x").spec }, ..task("x") })
                .await,
        );
        assert_eq!(end(agent, account, cause).await, TaskState::Delayed);
    }
    let roles = [ROLE, "other", "alone"].map(str::to_owned);
    let (held, _) = world.store.suspended(&roles).await.unwrap();
    let accounts: Vec<_> = held.values().map(|held| held.account.as_deref().unwrap()).collect();
    assert_eq!(accounts, ["role alone", "claude", "claude"]);

    assert!(world.store.lift_limit("other", "a test").await.unwrap());
    assert!(!world.store.lift_limit("other", "a test").await.unwrap(), "it was lifted");
    let (held, _) = world.store.suspended(&roles).await.unwrap();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["alone"]);
    let states = [TaskState::Delayed, TaskState::Delayed, TaskState::Ready];
    for (task, state) in tasks.iter().zip(states) {
        assert_eq!(world.detail(task).await.task.state, state);
    }
    assert_eq!(world.claim(&agents[0]).await.attempt, 2);
    let event = world.events().await.into_iter().find(|e| e.kind.as_str() == "role.limit_lifted").unwrap();
    assert!(event.reason.starts_with("the rate limit of claude was lifted by a test; it was: "), "{event:?}");
    check::structures(&world).await;
}

#[tokio::test]
async fn a_limit_without_an_end_suspends_its_account_for_longer_each_time_that_it_is_met_again() {
    let server = Server::start();
    let world = server.world("n");
    world.store.set_budget(&budget(Allowance::default(), Allowance::default())).await.unwrap();
    let agents = [world.agent("shell-1").await, world.agent("shell-2").await];
    let mut offset = 0;
    for minutes in [1, 2, 4, 8] {
        for _ in 0..2 {
            world.delegate(&task("x")).await;
        }
        let claimed = [world.claim(&agents[0]).await, world.claim(&agents[1]).await];
        let mut due = Vec::new();
        for (agent, claimed) in agents.iter().zip(&claimed) {
            let account = Some("claude".into());
            let limited = Report { account, retry_after_ms: None, ..report(agent, claimed, Cause::RateLimited) };
            world.store.finish(&limited).await.unwrap();
            let task = world.detail(&claimed.task.id).await.task;
            let ended = world.detail(&claimed.task.id).await.attempts[0].ended_at.unwrap();
            due.push(task.due_at.unwrap().since(ended));
        }
        let whole = |delay: &Duration| delay.as_secs_f64().round();
        assert_eq!(
            due.iter().map(whole).collect::<Vec<_>>(),
            [60.0 * minutes as f64; 2],
            "both have met the same limit"
        );
        assert_eq!(world.try_claim(&agents[0]).await, None);
        offset += minutes * 60_000 + 1_000;
        let () = redis::cmd("SET")
            .arg(world.store.keys().plain("clock_offset"))
            .arg(offset)
            .query(&mut world.raw())
            .unwrap();
        for claimed in &claimed {
            world.store.cancel(std::slice::from_ref(&claimed.task.id), "a test").await.unwrap();
        }
    }
    check::structures(&world).await;
}

#[tokio::test]
async fn no_role_is_suspended_for_longer_than_a_day_by_nonsense() {
    let server = Server::start();
    let world = server.world("n");
    world.delegate(&task("x")).await;
    let agent = world.agent("shell-1").await;
    let claimed = world.claim(&agent).await;
    let account = Some(format!("role {ROLE}"));
    let limited = Report { account, retry_after_ms: Some(u64::MAX), ..report(&agent, &claimed, Cause::RateLimited) };
    world.store.finish(&limited).await.unwrap();
    let (held, _) = world.store.suspended(&[ROLE.into()]).await.unwrap();
    let record = world.detail(&claimed.task.id).await;
    let due = record.task.due_at.unwrap();
    assert_eq!(held[ROLE].until, Some(due));
    assert_eq!(due.since(record.attempts[0].ended_at.unwrap()), Duration::from_secs(24 * 3600));
}

/// One such report would close the day's budget, and every role's with it.
#[tokio::test]
async fn a_report_that_cannot_be_true_is_recorded_and_counts_as_none() {
    let server = Server::start();
    let world = server.world("n");
    let most = Allowance { micro_usd: Some(5_000_000), tokens: Some(1_000) };
    world.store.set_budget(&budget(most, Allowance::default())).await.unwrap();
    let agent = world.agent("shell-1").await;
    let too_much = [
        Usage { cost_usd: 1e300, ..Usage::default() },
        Usage { cost_usd: 10_001.0, ..Usage::default() },
        Usage { input_tokens: u64::MAX, ..Usage::default() },
        Usage { output_tokens: 1_000_000_000_001, ..Usage::default() },
    ];
    for usage in &too_much {
        let id = world.delegate(&task("x")).await;
        let claimed = world.claim(&agent).await;
        let result = Some(TaskResult { usage: Some(usage.clone()), ..TaskResult::default() });
        world.store.finish(&Report { result, ..report(&agent, &claimed, Cause::Success) }).await.unwrap();
        assert_eq!(world.detail(&id).await.usage, Usage::default());
        world.store.meter("opus-master", ROLE, "a conversation", usage, usage).await.unwrap();
    }
    assert_eq!(costs(&world, "all", "").await, (0, 0.0));
    assert!(world.store.suspended(&[ROLE.to_owned()]).await.unwrap().0.is_empty());
    let events = world.events().await;
    let refused: Vec<_> = events.iter().filter(|event| event.kind.as_str() == "usage.refused").collect();
    assert_eq!(refused.len(), 2 * too_much.len());
    assert!(
        refused[0].reason.starts_with("a report of ") && refused[0].reason.contains("is not counted"),
        "{refused:?}"
    );
    // What can be true counts as ever.
    world.delegate(&task("x")).await;
    let claimed = world.claim(&agent).await;
    world.store.finish(&Report { result: used(4.0), ..report(&agent, &claimed, Cause::Success) }).await.unwrap();
    assert_eq!(costs(&world, "all", "").await, (100, 4.0));
    check::structures(&world).await;
}
