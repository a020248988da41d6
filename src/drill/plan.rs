//! When which fault comes: drawn from the seed alone, before anything runs.
//!
//! Faults are dealt like cards, so that each one comes up before any comes a second time. They come alone, in pairs (two
//! within some milliseconds), and as a second one while the world still recovers from the first: most of what goes wrong
//! in recovery goes wrong there.

use std::time::Duration;

use super::{faults::Fault, rng::Rng};

/// Between two faults, or pairs of them.
const APART_MS: (u64, u64) = (250, 1_100);
/// Of a pair.
const TOGETHER_MS: (u64, u64) = (0, 30);
/// After the first, while what it hit is being mended.
const MEANWHILE_MS: (u64, u64) = (40, 500);
/// In so many of a hundred cases a second fault follows as one of a pair, and as one during recovery.
const PAIRS: usize = 20;
const DURING_RECOVERY: usize = 30;

/// One fault to come.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// After the beginning.
    pub at: Duration,
    pub fault: &'static Fault,
    /// Draws the target, among those that there are by then.
    pub rng: Rng,
}

/// The faults of a drill, in their order.
pub(super) fn faults(seed: u64, from: &[&'static Fault], duration: Duration) -> Vec<Planned> {
    let mut rng = Rng::new(seed, 1);
    let mut planned = Vec::new();
    let mut pile: Vec<&'static Fault> = Vec::new();
    // Something has to be there that can be broken.
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
    fn in_twenty_seconds_every_fault_comes_at_least_once_and_some_in_pairs() {
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
    fn without_faults_there_is_nothing_to_come() {
        assert!(faults(1, &[], Duration::from_secs(20)).is_empty());
    }
}
