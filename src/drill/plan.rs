//! The schedule of faults, which depends only on the seed.
//!
//! Faults are shuffled, so that each one occurs before any occurs a second time. They occur alone, in pairs within some
//! milliseconds, and as a second fault while the world still recovers from the first, because most errors in recovery
//! code show there.

use std::time::Duration;

use super::{faults::Fault, rng::Rng};

/// The time between two faults or pairs of faults, in ms.
const APART_MS: (u64, u64) = (250, 1_100);
/// The time between the two faults of a pair, in ms.
const TOGETHER_MS: (u64, u64) = (0, 30);
/// The time from a fault to a second one during its recovery, in ms.
const MEANWHILE_MS: (u64, u64) = (40, 500);
/// The percentages of faults that are followed by a second one as a pair, and during recovery.
const PAIRS: usize = 20;
const DURING_RECOVERY: usize = 30;

/// A planned fault.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// The time since the beginning of the drill.
    pub at: Duration,
    pub fault: &'static Fault,
    /// Draws the target among the ones that exist at that time.
    pub rng: Rng,
}

/// Returns the faults of a drill, in the order of their times.
pub(super) fn faults(seed: u64, from: &[&'static Fault], duration: Duration) -> Vec<Planned> {
    let mut rng = Rng::new(seed, 1);
    let mut planned = Vec::new();
    let mut pile: Vec<&'static Fault> = Vec::new();
    // Leaves some time for the first processes to start.
    let mut at = rng.ms(150, 400);
    while at < duration && !from.is_empty() {
        if pile.is_empty() {
            pile = from.to_vec();
            rng.shuffle(&mut pile);
        }
        let Some(fault) = pile.pop() else { break };
        planned.push(Planned { at, fault, rng: Rng::new(seed, 100 + planned.len() as u64) });
        let (from, to) = match rng.below(100) {
            n if n < PAIRS => TOGETHER_MS,
            n if n < PAIRS + DURING_RECOVERY => MEANWHILE_MS,
            _ => APART_MS,
        };
        at += rng.ms(from, to);
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::faults::FAULTS;

    fn all() -> Vec<&'static Fault> {
        FAULTS.iter().collect()
    }

    #[test]
    fn a_seed_is_one_schedule() {
        let told = |seed| -> Vec<(Duration, &str)> {
            faults(seed, &all(), Duration::from_secs(20)).iter().map(|p| (p.at, p.fault.name)).collect()
        };
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }

    #[test]
    fn in_twenty_seconds_every_fault_occurs_and_some_in_pairs() {
        for seed in 0..50 {
            let planned = faults(seed, &all(), Duration::from_secs(20));
            for fault in FAULTS {
                assert!(planned.iter().any(|p| p.fault.name == fault.name), "seed {seed}: no {}", fault.name);
            }
            let close = planned.windows(2).filter(|w| w[1].at - w[0].at <= Duration::from_millis(30)).count();
            assert!(close > 0 && planned.windows(2).all(|w| w[0].at <= w[1].at), "seed {seed}");
            assert!(planned.iter().all(|p| p.at < Duration::from_secs(20)));
        }
    }

    #[test]
    fn without_faults_the_plan_is_empty() {
        assert!(faults(1, &[], Duration::from_secs(20)).is_empty());
    }
}
