//! A month of many schedules by a clock that the test sets: with both changes of the clocks, restarts, and full queues.

#![cfg(debug_assertions)]

use std::collections::BTreeMap;

use orch::{
    model::{event::EventKind, task::TaskState, time::Timestamp},
    store::requests::Request,
};

use super::{
    check,
    fixture::*,
    schedules::{HOUR, Keeper, START, set_clock},
};

const DAY: u64 = 24 * HOUR;

/// 100 schedules of several zones and policies.
fn hundred() -> String {
    let lines = [
        "30 2 * * *",
        "@daily",
        "30 2 * * 1-5",
        "@weekly",
        "0 0 1 * *",
        "30 2 1-15 * *",
        "0 */12 * * *",
        "0 0 * * MON#1",
    ];
    let zones = ["Europe/Berlin", "Australia/Sydney", "UTC"];
    let policies = ["skip", "queue", "replace"];
    let missed = ["skip", "one", "all"];
    let one = |n: usize| {
        let jitter = if n.is_multiple_of(25) { "jitter = \"30m\"\n" } else { "" };
        format!(
            "[schedules.s{n}]\ncron = \"{}\"\ntimezone = \"{}\"\ntext = \"true\"\noverlap = \"{}\"\nmissed = \"{}\"\n{jitter}",
            lines[n % 8],
            zones[n / 8 % 3],
            policies[n / 3 % 3],
            missed[n % 3],
        )
    };
    (0..100).map(one).collect()
}

#[tokio::test]
async fn a_hundred_schedules_over_thirty_days_occur_exactly_once_or_for_a_reason_not_at_all() {
    let mut server = Server::start_hasty();
    let world = server.world("n");
    set_clock(&world, START + 1);
    let tables = format!("[supervisor]\nmax_queued = 40\n{}", hundred());
    let mut keepers = vec![Keeper::started(&world, &tables).await];
    let since: BTreeMap<String, Timestamp> = {
        let names: Vec<String> = keepers[0].rules.keys().cloned().collect();
        let records = world.store.schedules(&names).await.unwrap().1;
        records.into_iter().map(|(name, record)| (name, record.mark.unwrap())).collect()
    };
    let (mut now, mut n) = (START, 0u64);
    let end = START + 30 * DAY;
    while now < end {
        // The next moment at which something is due, seen some moments later.
        let names: Vec<String> = keepers[0].rules.keys().cloned().collect();
        let records = world.store.schedules(&names).await.unwrap().1;
        let due = |name: &String| {
            let rule = &keepers[0].rules[name];
            rule.next(&records[name]).map(|next| rule.due_at(next).0)
        };
        let next = names.iter().filter_map(due).min().unwrap();
        n += 1;
        now = next.max(now) + n * 7_919 % 20_000;
        match n {
            // Two days without a supervisor, and half a day with one that is draining.
            60 => now += 2 * DAY,
            90 => drop(world.store.request(&Request::Drain, EventKind::RequestDrain, "a test").await.unwrap()),
            100 => drop(world.store.withdraw(&[Request::Drain], EventKind::RequestResume, "a test").await.unwrap()),
            120 => {
                server.kill();
                server.start_again();
            }
            _ => {}
        }
        if n.is_multiple_of(25) {
            // Another supervisor, while this one has not noticed yet; then it alone.
            keepers.push(Keeper::started(&world, &tables).await);
        } else if keepers.len() > 1 {
            keepers.remove(0);
        }
        set_clock(&world, now.min(end));
        match keepers.as_slice() {
            [one] => drop(one.look().await),
            [one, other, ..] => drop(tokio::join!(one.look(), other.look())),
            [] => unreachable!(),
        }
        // Runs end some looks later, so that occurrences overlap.
        if n.is_multiple_of(6) {
            let open = world.store.task_ids(Some(TaskState::Ready)).await.unwrap();
            world.store.cancel(&open, "the test ends it").await.unwrap();
        }
    }
    // Whatever waits runs.
    loop {
        let open = world.store.task_ids(Some(TaskState::Ready)).await.unwrap();
        world.store.cancel(&open, "the test ends it").await.unwrap();
        keepers[0].look().await;
        let names: Vec<String> = keepers[0].rules.keys().cloned().collect();
        let records = world.store.schedules(&names).await.unwrap().1;
        if records.values().all(|record| record.waiting.is_empty()) {
            break;
        }
    }

    let mut decided: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let (mut runs, mut skipped, mut reasons) = (0, 0, BTreeMap::<String, u64>::new());
    for event in world.events().await {
        let is_about = [EventKind::ScheduleRun, EventKind::ScheduleSkipped, EventKind::ScheduleFailed];
        let Some(data) = event.data.filter(|_| is_about.contains(&event.kind)) else { continue };
        let name = data["schedule"].as_str().unwrap().to_owned();
        let (mut at, to) = (data["at"].as_u64().unwrap(), data["to"].as_u64().unwrap());
        let mut count = 0;
        while at <= to {
            *decided.entry((name.clone(), at)).or_default() += 1;
            count += 1;
            at = keepers[0].rules[&name].cron.next(Timestamp(at)).unwrap().0;
        }
        assert_eq!(data["count"], count, "{name}");
        match event.kind {
            EventKind::ScheduleRun => runs += 1,
            _ => {
                skipped += count;
                let reason = data["reason"].as_str().unwrap();
                assert!(!reason.is_empty());
                *reasons.entry(reason.split([':', ',']).next().unwrap().to_owned()).or_default() += count;
            }
        }
    }
    let mut expected = BTreeMap::new();
    for (name, rule) in &keepers[0].rules {
        let mut at = since[name];
        while let Some(next) = rule.cron.next(at).filter(|next| rule.due_at(*next).0 <= end) {
            expected.insert((name.clone(), next.0), 1);
            at = next;
        }
    }
    let missing: Vec<_> = expected.keys().filter(|one| !decided.contains_key(*one)).collect();
    assert!(missing.is_empty(), "not decided: {missing:?}");
    let twice: Vec<_> = decided.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "decided more than once: {twice:?}");
    let tasks = world.store.task_ids(None).await.unwrap().len();
    assert_eq!(tasks, runs, "each run is one task");
    println!("{} occurrences: {runs} ran, {skipped} did not: {reasons:?}; {n} looks", decided.len());
    assert!(runs > 1_000 && skipped > 80, "{runs} ran, {skipped} did not");
    check::structures(&world).await;
}
