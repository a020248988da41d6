//! What becomes of occurrences: on time, missed, overlapping, paused; and a property over random histories.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::{
    schedule::{Missed, Overlap, Pause, ScheduleRecord, Step, Waiting},
    time::Timestamp,
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// 2026-03-01T00:00:00Z
const START: u64 = 1_772_323_200_000;

fn hourly(overlap: Overlap, missed: Missed) -> Rule {
    let cron = Cron::parse("0 * * * *", TimeZone::UTC).unwrap();
    Rule { name: "a".into(), cron, overlap, missed, jitter: Duration::ZERO }
}

fn idle() -> ScheduleRecord {
    ScheduleRecord { mark: Some(Timestamp(START)), ..ScheduleRecord::default() }
}

fn busy() -> ScheduleRecord {
    let last = Some("t-7k2m9qx4hz".parse().unwrap());
    ScheduleRecord { last, is_open: true, ..idle() }
}

fn after(hours: u64) -> Timestamp {
    Timestamp(START + hours * HOUR)
}

/// The hours that run, and those that do not with the reasons.
fn hours(step: &Step) -> (Vec<u64>, Vec<(u64, u64, &str)>) {
    let hour = |at: u64| (at - START) / HOUR;
    let skipped = step.skipped.iter().map(|one| (hour(one.from), hour(one.to), one.reason.as_str()));
    (step.waiting.iter().map(|one| hour(one.at)).collect(), skipped.collect())
}

#[test]
fn an_occurrence_runs_once_its_time_has_come() {
    let rule = hourly(Overlap::Skip, Missed::Skip);
    assert_eq!(rule.decide(&idle(), Timestamp(after(1).0 - 1)), None);
    let step = rule.decide(&idle(), after(1)).unwrap();
    assert_eq!((step.mark, hours(&step)), (after(1), (vec![1], vec![])));
    let decided = ScheduleRecord { mark: Some(step.mark), ..idle() };
    assert_eq!(rule.decide(&decided, after(1)), None, "it is decided once");
    assert_eq!(rule.next(&decided), Some(after(2)));
    assert_eq!(rule.decide(&decided, Timestamp(START)), None, "a clock that was set back repeats nothing");
    assert_eq!(rule.decide(&ScheduleRecord::default(), after(9)), None, "it is not known yet");
}

#[test]
fn what_was_missed_goes_by_its_policy() {
    let now = Timestamp(after(4).0 + 10 * MINUTE);
    let nobody = "missed: no supervisor was at work when it was due";
    let one = "missed: one later run makes up for all that were missed";
    for (missed, runs, skipped) in [
        (Missed::Skip, vec![], vec![(1, 4, nobody)]),
        (Missed::One, vec![4], vec![(1, 3, one)]),
        (Missed::All, vec![1, 2, 3, 4], vec![]),
    ] {
        let step = hourly(Overlap::Skip, missed).decide(&idle(), now).unwrap();
        assert_eq!((step.mark, hours(&step)), (after(4), (runs, skipped)), "{missed}");
    }
    // One that is on time makes up for those before it.
    let step = hourly(Overlap::Skip, Missed::One).decide(&idle(), after(4)).unwrap();
    assert_eq!(hours(&step), (vec![4], vec![(1, 3, one)]));
    let step = hourly(Overlap::Skip, Missed::Skip).decide(&idle(), after(4)).unwrap();
    assert_eq!(hours(&step), (vec![4], vec![(1, 3, nobody)]));
}

#[test]
fn what_overlaps_goes_by_its_policy() {
    let overlapping = |overlap| hourly(overlap, Missed::All).decide(&busy(), after(1)).unwrap();
    let step = overlapping(Overlap::Skip);
    assert_eq!(hours(&step), (vec![], vec![(1, 1, "the run before, t-7k2m9qx4hz, is not over")]));
    assert_eq!(hours(&overlapping(Overlap::Queue)), (vec![1], vec![]));
    let step = overlapping(Overlap::Replace);
    assert_eq!((hours(&step), step.waiting[0].replaces), ((vec![1], vec![]), true));

    let waits = ScheduleRecord { waiting: vec![Waiting { at: START, replaces: false, by: None }], ..idle() };
    let step = hourly(Overlap::Skip, Missed::All).decide(&waits, after(1)).unwrap();
    assert_eq!(hours(&step).1, [(1, 1, "the run of 2026-03-01 00:00 +00:00 has not started yet")]);
    let step = hourly(Overlap::Replace, Missed::All).decide(&waits, after(1)).unwrap();
    assert_eq!(step.drops.as_deref(), Some("replaced by the occurrence of 2026-03-01 01:00 +00:00"));
    assert!(!step.waiting[0].replaces, "nothing runs that would have to be cancelled");
}

#[test]
fn a_pause_skips_what_falls_into_it_and_nothing_else() {
    let pause = Pause { from: Timestamp(after(1).0 + 1), until: Some(after(3)), by: "a person".into() };
    let paused = ScheduleRecord { pause: Some(pause), ..idle() };
    let step = hourly(Overlap::Queue, Missed::All).decide(&paused, after(4)).unwrap();
    assert_eq!(hours(&step), (vec![1, 3, 4], vec![(2, 2, "the schedule was paused by a person")]));
    let pause = Pause { from: Timestamp(START), until: None, by: "a person".into() };
    let step = hourly(Overlap::Queue, Missed::One)
        .decide(&ScheduleRecord { pause: Some(pause), ..idle() }, after(50))
        .unwrap();
    assert_eq!((hours(&step).0, step.skipped[0].count), (vec![], 50));
}

#[test]
fn a_long_time_without_a_supervisor_is_decided_in_bounded_steps() {
    let rule = hourly(Overlap::Skip, Missed::One);
    let (mut record, now) = (idle(), after(2_500));
    let (mut runs, mut skipped, mut steps) = (Vec::new(), 0, 0);
    while let Some(step) = rule.decide(&record, now) {
        runs.extend(step.waiting);
        skipped += step.skipped.iter().map(|one| one.count).sum::<u64>();
        (record.mark, steps) = (Some(step.mark), steps + 1);
    }
    assert_eq!((runs.len(), runs[0].at, skipped, steps), (1, now.0, 2_499, 3));

    let step = hourly(Overlap::Skip, Missed::All).decide(&idle(), Timestamp(after(150).0 + 10 * MINUTE)).unwrap();
    assert_eq!((step.waiting.len(), step.skipped[0].count), (MOST_WAITING, 50));
    assert_eq!(step.skipped[0].reason, "100 occurrences wait already");
}

#[test]
fn jitter_delays_each_occurrence_by_another_time_that_stays_the_same() {
    let rule = Rule { jitter: Duration::from_secs(600), ..hourly(Overlap::Skip, Missed::Skip) };
    let other = Rule { name: "b".into(), ..rule.clone() };
    let delays: Vec<u64> = (0..1000).map(|n| rule.due_at(after(n)).0 - after(n).0).collect();
    assert!(delays.iter().all(|delay| *delay <= 600_000));
    let mean = delays.iter().sum::<u64>() / 1000;
    assert!((270_000..330_000).contains(&mean), "spread evenly: {mean}");
    assert_ne!(rule.due_at(after(1)), other.due_at(after(1)));
    let due = rule.due_at(after(1));
    assert_eq!(rule.decide(&idle(), Timestamp(due.0 - 1)), None);
    assert_eq!(hours(&rule.decide(&idle(), due).unwrap()).0, [1], "it is the occurrence of the full hour");
}

proptest! {
    /// Whatever the policies, the pauses and the moments at which a supervisor looks: each occurrence is decided exactly once.
    #[test]
    fn each_occurrence_is_decided_exactly_once(
        line in prop::sample::select(vec!["*/20 * * * *", "30 2 * * *", "0 * * * *", "15 1-3 * * *", "@daily"]),
        zone_of in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"]),
        overlap in prop::sample::select(Overlap::ALL),
        missed in prop::sample::select(Missed::ALL),
        jitter in prop::sample::select(vec![0u64, 300]),
        looks in prop::collection::vec((0u64..30 * HOUR, 0u8..6), 1..40),
    ) {
        let cron = Cron::parse(line, zone(Some(zone_of)).unwrap()).unwrap();
        let rule = Rule { name: "a".into(), cron, overlap, missed, jitter: Duration::from_secs(jitter) };
        // A few days before the clocks of Europe change, and after those of America have.
        let start = Timestamp(START + 26 * 24 * HOUR);
        let mut record = ScheduleRecord { mark: Some(start), ..ScheduleRecord::default() };
        let mut now = start;
        let mut decided: BTreeMap<u64, u64> = BTreeMap::new();
        for (pass, what) in looks {
            now = Timestamp(now.0 + pass);
            match what {
                0 => record.pause = Some(Pause { from: now, until: None, by: "a".into() }),
                1 => record.pause.iter_mut().for_each(|pause| pause.until = pause.until.or(Some(now))),
                2 => record.is_open = !record.is_open,
                // The first that waits is accepted.
                3 if !record.waiting.is_empty() => {
                    *decided.entry(record.waiting.remove(0).at).or_default() += 1;
                    record.last = Some("t-7k2m9qx4hz".parse().unwrap());
                }
                _ => {}
            }
            while let Some(step) = rule.decide(&record, now) {
                prop_assert!(Some(step.mark) > record.mark);
                if step.drops.is_some() {
                    record.waiting.drain(..).for_each(|one| *decided.entry(one.at).or_default() += 1);
                }
                for one in &step.skipped {
                    let mut at = one.from;
                    let mut count = 0;
                    while at <= one.to {
                        *decided.entry(at).or_default() += 1;
                        count += 1;
                        at = rule.cron.next(Timestamp(at)).unwrap().0;
                    }
                    prop_assert_eq!(one.count, count, "a range has all that is in it");
                }
                record.waiting.extend(step.waiting);
                record.mark = Some(step.mark);
                prop_assert!(record.waiting.len() <= MOST_WAITING);
            }
        }
        record.waiting.drain(..).for_each(|one| *decided.entry(one.at).or_default() += 1);
        let mut expected = BTreeMap::new();
        let mut at = start;
        while let Some(next) = rule.cron.next(at).filter(|next| Some(*next) <= record.mark) {
            expected.insert(next.0, 1);
            at = next;
        }
        prop_assert_eq!(decided, expected);
        // Nothing that is due stays undecided.
        prop_assert!(rule.next(&record).is_none_or(|next| rule.due_at(next) > now));
    }
}
