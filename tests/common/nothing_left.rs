//! What must not be left of orch after its end.

use std::{fs, path::PathBuf};

use super::{processes::Process, world::World};

impl World {
    /// Runs `orch stop`, and checks that nothing is left.
    #[track_caller]
    pub fn stop_and_check_nothing_left(&self) {
        self.orch(&["stop"]).ok();
        self.check_nothing_left(&[]);
    }

    /// Checks that nothing of orch is left: no process except those of the test's own tmux sessions, no socket, no
    /// lock.
    #[track_caller]
    pub fn check_nothing_left(&self, own_sessions: &[&str]) {
        // The tmux server exits some moments after its last session.
        self.wait_until("all processes are gone", || self.strangers(own_sessions).is_empty());
        assert_eq!(self.sessions(), own_sessions, "sessions");
        assert!(!self.home.join("redis/redis.sock").exists(), "Redis's socket is left");
        for lock in ["supervisor.lock", "start.lock", "redis/server.lock"] {
            let path = self.home.join(lock);
            let Ok(file) = fs::OpenOptions::new().write(true).open(&path) else { continue };
            let free = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock);
            assert!(free.is_ok(), "{lock} is held");
        }
        let sockets = fs::read_dir(self.home.join("sockets")).into_iter().flatten().flatten();
        assert_eq!(sockets.map(|entry| entry.path()).collect::<Vec<_>>(), [] as [PathBuf; 0], "sockets are left");
        assert!(!self.home.join("running").exists(), "a supervisor that ends in order removes its marker");
        assert_eq!(self.cgroups(), [] as [PathBuf; 0], "cgroups are left");
        assert_eq!(self.runners(), [] as [String; 0], "runners are registered");
        assert_eq!(self.status()["supervisor"]["state"], "stopped");
    }

    /// Returns the processes that belong neither to the tmux server nor to the panes of the named sessions.
    fn strangers(&self, own_sessions: &[&str]) -> Vec<Process> {
        let (mut server, mut panes) = (None, Vec::new());
        if !own_sessions.is_empty() {
            let all = self.tmux(&["list-panes", "-a", "-F", "#{session_name} #{pane_pid}"]).stdout;
            let all = all.lines().filter_map(|line| line.split_once(' '));
            panes = all.filter(|(s, _)| own_sessions.contains(s)).filter_map(|(_, pid)| pid.parse().ok()).collect();
            server = Some(self.tmux_server_pid());
        }
        let is_own = |p: &Process| server == Some(p.pid) || panes.contains(&p.pid) || panes.contains(&p.parent);
        self.processes().into_iter().filter(|p| !is_own(p)).collect()
    }
}
