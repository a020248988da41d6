//! Which occurrences of a schedule are due between its mark and now, and what becomes of each.

use std::{collections::VecDeque, time::Duration};

use super::Cron;
use crate::model::{
    schedule::{Missed, Overlap, Pause, ScheduleRecord, Skipped, Step, Waiting},
    time::Timestamp,
};

/// An occurrence that is decided later than this was missed: nothing was at work when it was due.
const LATE: Duration = Duration::from_secs(60);
/// Occurrences that are decided in one step.
const AT_ONCE: usize = 1_000;
/// Occurrences of one schedule that may wait.
pub const MOST_WAITING: usize = 100;

/// When a schedule occurs, and its policies.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, which spreads the jitter of different schedules.
    pub name: String,
    /// When it occurs.
    pub cron: Cron,
    /// What becomes of an occurrence while an earlier run is not over.
    pub overlap: Overlap,
    /// What becomes of occurrences at which nothing was at work.
    pub missed: Missed,
    /// Each occurrence runs up to this much later.
    pub jitter: Duration,
}

impl Rule {
    /// Returns when an occurrence runs. The delay of each is random, and the same wherever and whenever it is computed.
    #[must_use]
    pub fn due_at(&self, occurrence: Timestamp) -> Timestamp {
        let jitter = self.jitter.as_millis() as u64;
        match jitter {
            0 => occurrence,
            _ => Timestamp(occurrence.0 + hash(&self.name, occurrence.0) % (jitter + 1)),
        }
    }

    /// Returns the first occurrence that is not decided yet.
    #[must_use]
    pub fn next(&self, record: &ScheduleRecord) -> Option<Timestamp> {
        self.cron.next(record.mark?)
    }

    /// Decides about the occurrences that are due, the first [`AT_ONCE`] of them; `None` if none is.
    #[must_use]
    pub fn decide(&self, record: &ScheduleRecord, now: Timestamp) -> Option<Step> {
        let mark = record.mark?;
        let occurrences = std::iter::successors(self.cron.next(mark), |last| self.cron.next(*last));
        let mut due: Vec<Timestamp> = occurrences.take_while(|at| self.due_at(*at) <= now).take(AT_ONCE + 1).collect();
        // Of those that follow, the newest is not known yet.
        let are_more = due.len() > AT_ONCE;
        due.truncate(AT_ONCE);
        let mut step = Step { mark: *due.last()?, ..Step::default() };
        let waiting = record.waiting.iter().collect();
        let mut plan = Waitlist { rule: self, record, waiting, step: &mut step, before: None };

        let is_paused = |at: &Timestamp| record.pause.as_ref().is_some_and(|pause| pause.has(*at));
        let last = due.iter().rfind(|at| !is_paused(at)).copied().filter(|_| !are_more);
        for at in due {
            let is_late = now.since(self.due_at(at)) > LATE;
            match record.pause.as_ref().filter(|pause| pause.has(at)) {
                Some(pause) => plan.skip(at, format!("the schedule was paused by {}", pause.by)),
                None if !is_late || self.missed == Missed::One && Some(at) == last => plan.add_on_time(at),
                None => plan.add_missed(at),
            }
            plan.before = Some(at.0);
        }
        Some(step)
    }
}

impl Pause {
    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// What waits, while a step is decided.
struct Waitlist<'a> {
    rule: &'a Rule,
    record: &'a ScheduleRecord,
    waiting: VecDeque<&'a Waiting>,
    step: &'a mut Step,
    /// The occurrence before the one at hand.
    before: Option<u64>,
}

impl Waitlist<'_> {
    fn len(&self) -> usize {
        self.waiting.len() + self.step.waiting.len()
    }

    fn skip(&mut self, at: Timestamp, reason: String) {
        let before = self.before;
        match self.step.skipped.last_mut().filter(|last| last.reason == reason && Some(last.to) == before) {
            Some(last) => (last.to, last.count) = (at.0, last.count + 1),
            None => self.step.skipped.push(Skipped { from: at.0, to: at.0, count: 1, reason }),
        }
    }

    fn add(&mut self, at: Timestamp, replaces: bool) {
        if self.len() >= MOST_WAITING {
            self.skip(at, format!("{MOST_WAITING} occurrences wait already"));
            return;
        }
        self.step.waiting.push(Waiting { at: at.0, replaces, by: None });
    }

    fn add_missed(&mut self, at: Timestamp) {
        match self.rule.missed {
            Missed::Skip => self.skip(at, "missed: no supervisor was at work when it was due".to_owned()),
            Missed::One => self.skip(at, "missed: one later run makes up for all that were missed".to_owned()),
            Missed::All => self.add(at, false),
        }
    }

    fn add_on_time(&mut self, at: Timestamp) {
        match self.rule.overlap {
            Overlap::Queue => self.add(at, false),
            Overlap::Skip => match self.obstacle() {
                Some(obstacle) => self.skip(at, obstacle),
                None => self.add(at, false),
            },
            Overlap::Replace => {
                let reason = format!("replaced by the occurrence of {}", self.rule.cron.clock(at));
                if !std::mem::take(&mut self.waiting).is_empty() {
                    self.step.drops = Some(reason.clone());
                }
                for waiting in std::mem::take(&mut self.step.waiting) {
                    self.skip(Timestamp(waiting.at), reason.clone());
                }
                self.add(at, self.record.is_open);
            }
        }
    }

    /// What an occurrence would overlap with.
    fn obstacle(&self) -> Option<String> {
        let clock = |waiting: &Waiting| self.rule.cron.clock(Timestamp(waiting.at));
        if let Some(before) = self.step.waiting.last().or(self.waiting.back().copied()) {
            return Some(format!("the run of {} has not started yet", clock(before)));
        }
        let run = self.record.last.as_ref().filter(|_| self.record.is_open)?;
        Some(format!("the run before, {run}, is not over"))
    }
}

/// A hash of a name and a number (FNV-1a, finished by the mixer of SplitMix64).
fn hash(name: &str, number: u64) -> u64 {
    let bytes = name.bytes().chain(number.to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
