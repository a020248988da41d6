//! What was used is summed once; what may not be used, or not now, is not begun.

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
    let usage = Some(Usage { input_tokens: 100, output_tokens: 10, cost_usd, ..Usage::default() });
    Some(TaskResult { usage, ..TaskResult::default() })
}

async fn costs(world: &World, kind: &str, name: &str) -> (u64, f64) {
    let spent = world.store.spent(1).await.unwrap();
    spent
        .iter()
        .find(|s| s.kind == kind && s.name == name)
        .map_or((0, 0.0), |s| (s.usage.input_tokens, s.usage.cost_usd))
}

pub(super) fn budget(day: Allowance, task: Allowance) -> Budget {
    Budget { role: ROLE.into(), account: "claude".into(), day, task, ..Budget::default() }
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
    let tasks: Vec<_> = tasks.into_iter().map(|spent| (spent.id, spent.at, spent.usage)).collect();
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
        let total = Usage { input_tokens: tokens, output_tokens: 1, cost_usd: 0.5, ..Usage::default() };
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
    let usage = Usage { input_tokens: 700, output_tokens: 0, cost_usd: 0.0, ..Usage::default() };
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
