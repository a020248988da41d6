//! Random steps: what any caller may do, at any time.

use orch::model::{cause::Cause, edge::Edge, task::Priority};
use proptest::prelude::*;

/// Two roles are enough to be confused.
const ROLES: usize = 2;

/// Numbers choose among what there is, modulo how much there is.
#[derive(Debug, Clone)]
pub enum Step {
    Delegate {
        role: usize,
        priority: Priority,
        after: Vec<(usize, Edge)>,
        parent: Option<usize>,
        content: u8,
        key: Option<u8>,
        bounds: (u32, u32),
        /// So many equal ones, each sent twice.
        times: u8,
        twice: bool,
    },
    DelegateAgain,
    /// The attempt ends, and its agent takes the next one.
    TryAgain(usize),
    Spawn(usize),
    Claim(usize),
    Heartbeat(usize),
    Finish {
        lease: usize,
        cause: Cause,
        due: bool,
        twice: bool,
    },
    FinishAndClaim {
        lease: usize,
        cause: Cause,
    },
    Cancel(usize),
    Retry(usize),
    StopAgent {
        slot: usize,
        only_idle: bool,
    },
    EndAgent {
        slot: usize,
        failed: bool,
        due: bool,
    },
    Expire(usize),
    Due,
    Wait {
        lease: usize,
        on: bool,
    },
    Pause {
        role: Option<usize>,
        on: bool,
    },
    Drain(bool),
    Stop(Option<bool>),
    Limit {
        role: usize,
        most: usize,
    },
}

pub fn step() -> impl Strategy<Value = Step> {
    let n = || 0..100usize;
    let cause = || prop::sample::select(Cause::ALL);
    let role = || 0..ROLES;
    let priority = prop::sample::select(Priority::ALL);
    let edge = prop_oneof![1 => Just(Edge::default()), 1 => prop::sample::select(Edge::all().collect::<Vec<_>>())];
    let after = prop_oneof![3 => Just(vec![]), 2 => prop::collection::vec((n(), edge), 1..3)];
    let parent = prop::option::of(n());
    let key = prop_oneof![4 => Just(None), 1 => (0..3u8).prop_map(Some)];
    let delegate = (role(), priority, after, parent, 0..2u8, key, (0..3u32, 0..3u32), 1..4u8, any::<bool>());
    prop_oneof![
        14 => delegate.prop_map(|(role, priority, after, parent, content, key, bounds, times, twice)| {
            Step::Delegate { role, priority, after, parent, content, key, bounds, times, twice }
        }),
        1 => Just(Step::DelegateAgain),
        6 => n().prop_map(Step::TryAgain),
        4 => n().prop_map(Step::Spawn),
        16 => n().prop_map(Step::Claim),
        2 => n().prop_map(Step::Heartbeat),
        7 => (n(), cause(), any::<bool>(), any::<bool>())
            .prop_map(|(lease, cause, due, twice)| Step::Finish { lease, cause, due, twice }),
        3 => (n(), cause()).prop_map(|(lease, cause)| Step::FinishAndClaim { lease, cause }),
        2 => n().prop_map(Step::Cancel),
        4 => n().prop_map(Step::Retry),
        1 => (n(), any::<bool>()).prop_map(|(slot, only_idle)| Step::StopAgent { slot, only_idle }),
        2 => (n(), any::<bool>(), any::<bool>()).prop_map(|(slot, failed, due)| Step::EndAgent { slot, failed, due }),
        1 => n().prop_map(Step::Expire),
        4 => Just(Step::Due),
        2 => (n(), any::<bool>()).prop_map(|(lease, on)| Step::Wait { lease, on }),
        1 => (prop::option::of(role()), prop::bool::weighted(0.3)).prop_map(|(role, on)| Step::Pause { role, on }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Drain),
        1 => prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)].prop_map(Step::Stop),
        1 => (role(), 0..3usize).prop_map(|(role, most)| Step::Limit { role, most }),
    ]
}
