//! The cgroup of this runner and all that it starts: it finds what has left its session, its parents and its
//! environment behind, when the runner itself is not there any more to look for it.

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
    /// The bounds that the kernel holds.
    pub held: Bounds,
}

/// Enters one, on a thread of its own: the kernel may take 15 ms for it, in which the runner says hello.
pub(in crate::runner) fn enter(home: &Home, launch: &Launch) -> oneshot::Receiver<Option<RunnerCgroup>> {
    let (told, answer) = oneshot::channel();
    // A person's own program is not ended for what it uses.
    let limits = if launch.master { ResourceLimits::default() } else { launch.role.limits.clone() };
    let (home, incarnation) = (home.clone(), launch.incarnation.clone());
    // Without the thread nobody answers, and that means none as well.
    let _ = std::thread::Builder::new().name("cgroup".into()).spawn(move || {
        let cgroup = try_enter(&home, &incarnation, &limits);
        let _ = told.send(cgroup);
    });
    answer
}

fn try_enter(home: &Home, incarnation: &str, limits: &ResourceLimits) -> Option<RunnerCgroup> {
    let cgroup = match home.cgroup(incarnation) {
        Ok(cgroup) => cgroup?,
        Err(e) => {
            tracing::warn!("not cgroup: {e}");
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
            tracing::info!("not cgroup: {}: {e}", cgroup.path().display());
            let _ = cgroup.remove();
            None
        }
    }
}

/// What the kernel is asked to hold.
fn bounds(limits: &ResourceLimits) -> Bounds {
    Bounds { memory: limits.memory, processes: limits.processes, cpu: limits.cpu }
}
