//! The control groups in which agents are cgroup, as far as a supervisor looks after them.

use std::time::Duration;

use crate::{home::Home, os};

/// Beyond it whoever is still cgroup can't be ended by us.
const LIMIT: Duration = Duration::from_secs(5);

/// Removes a cgroup in which nobody is left.
pub(super) fn remove(cgroup: &os::Cgroup) {
    if let Err(e) = cgroup.remove() {
        // The next start or the stop removes it.
        tracing::warn!("{} could not be removed: {e}", cgroup.path().display());
    }
}

/// At the start: we leave the cgroup of an agent that has started us, and what is left of ended agents' goes.
pub(super) fn tidy(home: &Home) {
    for group in home.cgroups() {
        if let Err(e) = group.leave() {
            tracing::warn!("still within {}: {e}", group.path().display());
        }
        for cgroup in group.children() {
            // Somebody is inside most: living agents, or what is left of one and will be ended.
            let _ = cgroup.remove();
        }
    }
    // A folder that was removed takes with it what is written there about its groups.
    Home::abandoned_cgroups().iter().for_each(remove);
}

/// At the end, when no agent lives any more: whoever is still cgroup belongs to none, and ends with all of it.
pub(super) async fn end_all(home: &Home) {
    let groups = home.cgroups();
    let is_empty = |group: &os::Cgroup| group.members().is_ok_and(|members| members.is_empty());
    if !groups.iter().all(is_empty) {
        let tree = os::Tree { cgroups: groups.clone(), ..os::Tree::default() };
        let ended = tokio::task::spawn_blocking(move || os::end_tree(&tree, &[], Duration::ZERO, LIMIT)).await;
        match ended {
            Ok(Ok(report)) => tracing::warn!(?report, "somebody was still cgroup"),
            Ok(Err(e)) => tracing::error!("who is cgroup could not be looked for: {e}"),
            Err(e) => tracing::error!("who is cgroup could not be looked for: {e}"),
        }
    }
    groups.iter().for_each(remove);
    if !groups.iter().any(os::Cgroup::exists) {
        home.forget_cgroups();
    }
}
