//! Tells a program that computes from one that only idles, by the processor time of its process tree. Pure.
//!
//! A program that waits for an answer of its model is never quite still: its timers use a little processor time. One that
//! reads a long answer uses several times as much. Measured over a minute, in percent of one core, with a model server that
//! says nothing and with one that sends 50 words per second: claude 0.3 and 2.2, codex 0.3 and 1.8,
//! opencode 1.2 and 30; gemini 0.3 in silence.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The window that is judged.
const WINDOW: Duration = Duration::from_secs(60);
/// Processor time is counted in steps of 10 ms: a shorter sample would show only whether one fell into it.
const SAMPLE: Duration = Duration::from_secs(2);

/// What the processes of one program have used lately.
#[derive(Debug, Default)]
pub(in crate::runner) struct Idling {
    /// The sum at the last call.
    last: Duration,
    /// What was used since the last sample, and when that was.
    more: Duration,
    since: Option<Instant>,
    /// The samples of the window: when, and which share of a core.
    samples: VecDeque<(Instant, f64)>,
}

impl Idling {
    /// Returns whether the program is at work, given the processor time of its processes so far and the share of a core that
    /// it uses when it idles. The last sample and most of the samples of the last minute must show more than that: one burst
    /// is a timer, and a start that has used much must not stand for the silence after it.
    pub fn is_at_work(&mut self, now: Instant, cpu: Duration, idle: f64) -> bool {
        // Processes that have ended take their time with them.
        let more = cpu.saturating_sub(self.last);
        self.last = cpu;
        self.more += more;
        let since = *self.since.get_or_insert(now);
        let over = now.saturating_duration_since(since);
        if over < SAMPLE {
            return idle <= 0.0 && !more.is_zero();
        }
        let share = self.more.as_secs_f64() / over.as_secs_f64();
        (self.more, self.since) = (Duration::ZERO, Some(now));
        self.samples.push_back((now, share));
        while self.samples.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
        if idle <= 0.0 {
            return !more.is_zero();
        }
        let busy = self.samples.iter().filter(|(_, share)| *share > idle).count();
        share > idle && busy * 2 > self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::IDLE_SHARE;

    /// Returns the seconds at which a program counted as working that uses this many ms in each interval of 5 s.
    fn at_work(used: &[u64], idle: f64) -> Vec<usize> {
        let (began, mut idling, mut cpu) = (Instant::now(), Idling::default(), Duration::ZERO);
        let mut seen = Vec::new();
        for (i, ms) in used.iter().enumerate() {
            cpu += Duration::from_millis(*ms);
            if idling.is_at_work(began + Duration::from_secs(5) * i as u32, cpu, idle) {
                seen.push(i * 5);
            }
        }
        seen
    }

    #[test]
    fn a_program_that_waits_for_a_silent_service_is_not_at_work() {
        // As measured with claude and codex.
        let claude = [0, 640, 40, 80, 10, 20, 10, 10, 0, 10, 0, 0, 0, 0, 10, 10];
        let codex = [0, 290, 20, 10, 30, 10, 20, 10, 10, 10, 0, 20, 0, 20, 10, 30];
        assert_eq!(at_work(&claude, IDLE_SHARE), [5, 15], "while it starts");
        assert_eq!(at_work(&codex, IDLE_SHARE), [5], "while it starts");
        let forever = [10; 200];
        assert_eq!(at_work(&forever, IDLE_SHARE), Vec::<usize>::new());
        assert_eq!(at_work(&forever, 0.0).len(), 200, "any tick counts for a program that never idles");
    }

    #[test]
    fn a_program_that_reads_a_long_answer_is_at_work() {
        let claude = [0, 620, 160, 190, 140, 110, 200, 100, 100, 100, 90, 90, 70, 90];
        let codex = [0, 310, 100, 100, 100, 80, 100, 80, 100, 80, 80, 100, 80, 90];
        for used in [claude, codex] {
            assert_eq!(at_work(&used, IDLE_SHARE).len(), 13);
        }
    }

    #[test]
    fn one_burst_of_a_timer_is_not_work_and_work_after_silence_is() {
        let mut used = vec![5; 40];
        used[20] = 200;
        assert_eq!(at_work(&used, IDLE_SHARE), Vec::<usize>::new());
        used[20..].fill(500);
        assert_eq!(at_work(&used, IDLE_SHARE), (130..200).step_by(5).collect::<Vec<_>>(), "most of a minute");
    }

    #[test]
    fn processes_that_end_take_nothing_back() {
        let (now, mut idling) = (Instant::now(), Idling::default());
        let at = |s| now + Duration::from_secs(s);
        assert!(idling.is_at_work(at(0), Duration::from_secs(5), 0.0));
        assert!(!idling.is_at_work(at(5), Duration::from_secs(1), 0.0));
        assert!(idling.is_at_work(at(10), Duration::from_secs(2), 0.0));
    }
}
