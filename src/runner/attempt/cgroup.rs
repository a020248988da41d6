//! The cgroup of this runner and all that it starts. It finds processes that have left their session, parents and
//! environment behind, even after the runner itself is gone.

use tokio::sync::oneshot;

use crate::{
    config::ResourceLimits,
    home::{Home, launch::Launch},
    os::{Bounds, Cgroup},
};

/// A cgroup that this process is inside of.
#[derive(Debug)]
pub(in crate::runner) struct RunnerCgroup {
    pub cgroup: Cgroup,
    /// The limits that the kernel enforces.
    pub held: Bounds,
}

/// Enters a cgroup, on a separate thread: the kernel may take 15 ms for it, while the runner registers.
pub(in crate::runner) fn enter(home: &Home, launch: &Launch) -> oneshot::Receiver<Option<RunnerCgroup>> {
    let (sender, answer) = oneshot::channel();
    // A user's own program is not ended for what it uses.
    let limits = if launch.master { ResourceLimits::default() } else { launch.role.limits.clone() };
    let (home, incarnation) = (home.clone(), launch.incarnation.clone());
    // If the thread cannot be started, the channel closes, which means no cgroup as well.
    let _ = std::thread::Builder::new().name("cgroup".into()).spawn(move || {
        let cgroup = try_enter(&home, &incarnation, &limits);
        let _ = sender.send(cgroup);
    });
    answer
}

fn try_enter(home: &Home, incarnation: &str, limits: &ResourceLimits) -> Option<RunnerCgroup> {
    let cgroup = match home.cgroup(incarnation) {
        Ok(cgroup) => cgroup?,
        Err(e) => {
            tracing::warn!("no cgroup: {e}");
            return None;
        }
    };
    let entered = cgroup.create().and_then(|()| {
        let held = cgroup.hold(&bounds(limits));
        cgroup.enter().map(|()| held)
    });
    match entered {
        Ok(held) => Some(RunnerCgroup { cgroup, held }),
        Err(e) => {
            tracing::info!("no cgroup: {}: {e}", cgroup.path().display());
            let _ = cgroup.remove();
            None
        }
    }
}

/// Returns the limits that the kernel is to enforce.
fn bounds(limits: &ResourceLimits) -> Bounds {
    Bounds { memory: limits.memory, processes: limits.processes, cpu: limits.cpu }
}
