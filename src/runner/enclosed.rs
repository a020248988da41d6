//! The enclosure of this runner and all that it starts: it finds what has left its session, its parents and its
//! environment behind, when the runner itself is not there any more to look for it.

use tokio::sync::oneshot;

use crate::{
    config::Limits,
    home::{Home, launch::Launch},
    os::{Bounds, Enclosure},
};

/// An enclosure that this process is inside of.
#[derive(Debug)]
pub(super) struct Enclosed {
    pub enclosure: Enclosure,
    /// The bounds that the kernel holds.
    pub held: Bounds,
}

/// Enters one, on a thread of its own: the kernel may take 15 ms for it, in which the runner says hello.
pub(super) fn enter(home: &Home, launch: &Launch) -> oneshot::Receiver<Option<Enclosed>> {
    let (told, answer) = oneshot::channel();
    // A person's own program is not ended for what it uses.
    let limits = if launch.master { Limits::default() } else { launch.role.limits.clone() };
    let (home, incarnation) = (home.clone(), launch.incarnation.clone());
    // Without the thread nobody answers, and that means none as well.
    let _ = std::thread::Builder::new().name("enclosure".into()).spawn(move || {
        let enclosed = try_enter(&home, &incarnation, &limits);
        let _ = told.send(enclosed);
    });
    answer
}

fn try_enter(home: &Home, incarnation: &str, limits: &Limits) -> Option<Enclosed> {
    let enclosure = match home.enclosure(incarnation) {
        Ok(enclosure) => enclosure?,
        Err(e) => {
            tracing::warn!("not enclosed: {e}");
            return None;
        }
    };
    let entered = enclosure.create().and_then(|()| {
        let held = enclosure.hold(&bounds(limits));
        enclosure.enter().map(|()| held)
    });
    match entered {
        Ok(held) => Some(Enclosed { enclosure, held }),
        Err(e) => {
            tracing::info!("not enclosed: {}: {e}", enclosure.path().display());
            let _ = enclosure.remove();
            None
        }
    }
}

/// What the kernel is asked to hold.
fn bounds(limits: &Limits) -> Bounds {
    Bounds { memory: limits.memory, processes: limits.processes, cpu: limits.cpu }
}
