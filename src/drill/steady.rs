//! Growth under a constant load: memory, descriptors, keys and sessions, sampled over the whole time.
//!
//! The first fifth is warm-up, and so is the time until the first records expire: only then are as many removed as
//! added. The medians of the first and of the last quarter of the rest are compared.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::scene::Scene;
use crate::{mux::Mux, os, redis_server};

/// The growth above which a resource leaks.
const BOUND_PERCENT: f64 = 5.0;
const WARM_UP: f64 = 0.2;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(90);
/// The total number of samples.
const SAMPLES: u32 = 120;

/// The growth of one resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// The name of the resource.
    pub what: &'static str,
    /// `bytes` or `count`.
    pub unit: &'static str,
    /// The value after the warm-up.
    pub first: f64,
    /// The value at the end.
    pub last: f64,
    /// The growth from the first to the last value, in percent.
    pub percent: f64,
    /// Whether the growth is within the bound.
    pub within: bool,
}

/// The sampled resources: name, unit, and the difference that is always permitted. The runners' values are averages per
/// runner: half an hour reveals a runner that keeps 100 bytes per task.
const SERIES: [(&str, &str, f64); 8] = [
    ("supervisor memory", "bytes", 64.0 * 1024.0),
    ("runners memory", "bytes", 32.0 * 1024.0),
    ("redis memory", "bytes", 512.0 * 1024.0),
    ("supervisor descriptors", "count", 3.0),
    ("runners descriptors", "count", 10.0),
    ("redis keys", "count", 100.0),
    ("tmux sessions", "count", 2.0),
    ("processes", "count", 8.0),
];

/// Samples, each with one value per series.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<[f64; SERIES.len()]>);

impl Samples {
    /// Takes samples until `duration` has passed.
    pub async fn take(scene: &Scene, duration: Duration) -> Samples {
        let mut samples = Samples::default();
        let began = Instant::now();
        // A sample may be slow on a busy machine; none is taken after the load has ended.
        for n in 1..SAMPLES {
            tokio::time::sleep_until(began + duration * n / SAMPLES).await;
            if began.elapsed() < duration {
                samples.0.extend(sample(scene).await);
            }
        }
        samples
    }

    /// Returns the growth of each resource; empty if there are too few samples.
    pub fn growth(&self, duration: Duration) -> Vec<Growth> {
        let warm_up = FORGOTTEN_AFTER.div_duration_f64(duration).clamp(WARM_UP, 1.0);
        let rest = &self.0[(self.0.len() as f64 * warm_up) as usize..];
        let quarter = rest.len() / 4;
        if quarter == 0 {
            return Vec::new();
        }
        let (first, last) = (&rest[..quarter], &rest[rest.len() - quarter..]);
        let growth = |(i, (what, unit, noise)): (usize, &(&'static str, &'static str, f64))| {
            let (first, last) = (median(first, i), median(last, i));
            let percent = if first > 0.0 { (last - first) / first * 100.0 } else { 0.0 };
            Growth { what, unit, first, last, percent, within: percent <= BOUND_PERCENT || last - first <= *noise }
        };
        SERIES.iter().enumerate().map(growth).collect()
    }
}

fn median(of: &[[f64; SERIES.len()]], i: usize) -> f64 {
    let mut values: Vec<f64> = of.iter().map(|sample| sample[i]).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn sample(scene: &Scene) -> Option<[f64; SERIES.len()]> {
    let world = &scene.world;
    let supervisor = world.supervisor()?.pid;
    let runners: Vec<u32> = world.store.agents().await.ok()?.iter().filter_map(|r| r.agent.pid).collect();
    let memory = |pid: u32| os::memory(pid).and_then(|m| m.private_bytes).unwrap_or(0) as f64;
    let fds = |pid: u32| os::open_fds(pid).unwrap_or(0) as f64;
    // Averages per runner, because the number of runners varies.
    let per_runner =
        |of: &dyn Fn(u32) -> f64| runners.iter().map(|pid| of(*pid)).sum::<f64>() / runners.len().max(1) as f64;
    let sizes = world.store.sizes().await.ok()?;
    redis_server::running(world.home.path())?;
    Some([
        memory(supervisor),
        per_runner(&memory),
        // The event stream grows up to its bound, by design.
        sizes.used_bytes.saturating_sub(sizes.events_bytes) as f64,
        fds(supervisor),
        per_runner(&fds),
        sizes.keys as f64,
        world.mux.sessions().await.ok()?.len() as f64,
        os::of_folder(&world.path).ok()?.len() as f64,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

    fn of(values: impl Fn(usize) -> f64) -> Vec<Growth> {
        Samples((0..100).map(|i| [values(i); SERIES.len()]).collect()).growth(HALF_AN_HOUR)
    }

    #[test]
    fn a_leak_is_detected_and_warm_up_and_spikes_are_not() {
        let mb = 1024.0 * 1024.0;
        let leak = of(|i| (20.0 + i as f64) * mb);
        assert!(leak.iter().filter(|g| g.unit == "bytes").all(|g| !g.within && g.percent > 100.0), "{leak:?}");
        let warm = of(|i| if i < 20 { i as f64 * mb } else { 20.0 * mb });
        assert!(warm.iter().all(|g| g.within && g.percent == 0.0), "{warm:?}");
        let spike = of(|i| if i == 95 { 900.0 * mb } else { 20.0 * mb });
        assert!(spike.iter().all(|g| g.within));
        assert!(Samples(Vec::new()).growth(HALF_AN_HOUR).is_empty());
        let short = Samples(vec![[1.0; SERIES.len()]; 100]);
        assert!(short.growth(Duration::from_secs(60)).is_empty(), "no record has expired yet");
    }
    /// At ten tasks per second, each of 20 runners runs about 900 tasks in half an hour.
    #[test]
    fn memory_that_a_runner_keeps_per_task_is_detected() {
        let runners = |per_task: f64| {
            let growth = of(|i| 1024.0 * 1024.0 + i as f64 / 100.0 * 900.0 * per_task);
            growth.into_iter().find(|g| g.what == "runners memory").unwrap()
        };
        assert!(runners(16.0).within, "single pages are permitted");
        assert!(!runners(100.0).within, "{:?}", runners(100.0));
    }
}
