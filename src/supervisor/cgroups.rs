//! The agents' cgroups, as far as the supervisor manages them.

use std::time::Duration;

use crate::{home::Home, os};

/// A process that is still in a cgroup after this long can't be ended by us.
const LIMIT: Duration = Duration::from_secs(5);

/// Removes an empty cgroup.
pub(super) fn remove(cgroup: &os::Cgroup) {
    if let Err(e) = cgroup.remove() {
        // The next start or the stop removes it.
        tracing::warn!("{} could not be removed: {e}", cgroup.path().display());
    }
}

/// At the start: leaves the cgroup of an agent that has started us, and removes the cgroups of ended agents.
pub(super) fn tidy(home: &Home) {
    for group in home.cgroups() {
        if let Err(e) = group.leave() {
            tracing::warn!("still within {}: {e}", group.path().display());
        }
        for cgroup in group.children() {
            // Most are not empty: they hold living agents, or orphans that will be ended.
            let _ = cgroup.remove();
        }
    }
    // A folder that was removed takes with it what is written there about its groups.
    Home::abandoned_cgroups().iter().for_each(remove);
}

/// At the end, when no agent lives any more: a process that is still in a cgroup belongs to none, and is ended.
pub(super) async fn end_all(home: &Home) {
    let groups = home.cgroups();
    let is_empty = |group: &os::Cgroup| group.members().is_ok_and(|members| members.is_empty());
    if !groups.iter().all(is_empty) {
        let tree = os::Tree { cgroups: groups.clone(), ..os::Tree::default() };
        let ended = tokio::task::spawn_blocking(move || os::end_tree(&tree, &[], Duration::ZERO, LIMIT)).await;
        match ended {
            Ok(Ok(report)) => tracing::warn!(?report, "processes were still in a cgroup"),
            Ok(Err(e)) => tracing::error!("the processes in cgroups could not be listed: {e}"),
            Err(e) => tracing::error!("the processes in cgroups could not be listed: {e}"),
        }
    }
    groups.iter().for_each(remove);
    if !groups.iter().any(os::Cgroup::exists) {
        home.forget_cgroups();
    }
}
