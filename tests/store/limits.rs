//! Rate limits of accounts: whom they hold back, and for how long.

use std::time::Duration;

use orch::{
    model::{cause::Cause, task::TaskState},
    store::{
        spend::{Allowance, Budget},
        tasks::{NewTask, Report},
    },
};

use super::{check, fixture::*, spend::budget};

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
        let mut claimed = vec![world.claim(&agents[0]).await];
        let second = world.try_claim(&agents[1]).await;
        assert_eq!(second.is_some(), minutes == 1, "after a limit, one attempt tries the service first");
        claimed.extend(second);
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
            vec![60.0 * minutes as f64; claimed.len()],
            "those that started together have met the same limit"
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
