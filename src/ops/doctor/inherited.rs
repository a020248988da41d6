//! Checks what agents inherit from the tmux server instead of from this shell.

use super::{Check, Ops, ok};
use crate::os::Attributes;

impl Ops {
    /// What of this shell no agent gets: a runner takes over mask, niceness and limits of `orch start`, as far as the kernel
    /// allows, and the groups of the tmux server stay. `None` where there is no server yet: then it will have those of
    /// `orch start`.
    pub(super) async fn inherited(&self) -> Option<Check> {
        let pid = self.mux().server_pid().await.ok()?;
        let (server, own) = (Attributes::of(pid)?, Attributes::of(std::process::id())?);
        let lacks = lacking(&server, &own, nix::unistd::geteuid().is_root());
        if lacks.is_empty() {
            return Some(ok("tmux's server", format!("agents get the groups and limits of this shell (server {pid})")));
        }
        Some(Check {
            name: "tmux's server".into(),
            state: "warning",
            found: format!("agents run on server {pid}, which was started with others than this shell: {}", lacks.join("; ")),
            fix: Some(
                "end that server when nothing of yours runs on it (tmux kill-server), then orch start from this shell; or give \
                 orch a server of its own: [tmux] socket = \"orch\" in sessions.toml"
                    .into(),
            ),
        })
    }
}

/// What a process of the server cannot have of this shell. A privileged one can change all but its groups.
fn lacking(server: &Attributes, own: &Attributes, privileged: bool) -> Vec<String> {
    let mut lacks = Vec::new();
    let groups: Vec<String> =
        own.groups.iter().filter(|group| !server.groups.contains(group)).map(u32::to_string).collect();
    if !groups.is_empty() {
        lacks.push(format!("without the groups {}", groups.join(", ")));
    }
    if privileged {
        return lacks;
    }
    if server.nice > own.nice {
        lacks.push(format!("nice {} for {}", server.nice, own.nice));
    }
    for (name, (_, hard)) in &own.limits {
        if let Some((_, at_most)) = server.limits.get(name).filter(|(_, at_most)| at_most < hard) {
            lacks.push(format!("{} {at_most} at most", name.to_lowercase()));
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_cannot_have_is_named() {
        let limits = |hard: u64| [("Max open files".to_owned(), (100, hard))].into();
        let own = Attributes { umask: 0o22, nice: 0, groups: vec![4, 27], limits: limits(4096) };
        assert_eq!(lacking(&own, &own, false), [""; 0]);
        let server = Attributes { umask: 0o77, nice: 5, groups: vec![4], limits: limits(1024) };
        let lacks = lacking(&server, &own, false);
        assert_eq!(lacks, ["without the groups 27", "nice 5 for 0", "max open files 1024 at most"]);
        assert_eq!(lacking(&server, &own, true), ["without the groups 27"]);
    }
}
