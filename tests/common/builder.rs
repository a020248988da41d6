//! What a world begins with: its folder and its sessions.toml.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::World;

/// The contents of a world's sessions.toml.
pub struct Builder {
    name: String,
    socket: Option<PathBuf>,
    users_own_server: bool,
    master_driver: &'static str,
    supervisor: Vec<(&'static str, String)>,
    tables: String,
    user: Option<u32>,
}

impl Builder {
    /// Short heartbeats, and leases that are long enough for a loaded machine.
    pub(super) fn new() -> Builder {
        let supervisor = [("heartbeat", "\"200ms\""), ("lease", "\"10s\""), ("kill_grace", "\"500ms\"")];
        Builder {
            name: "w".to_owned(),
            socket: None,
            users_own_server: false,
            master_driver: "console",
            supervisor: supervisor.map(|(key, value)| (key, value.to_owned())).into(),
            tables: String::new(),
            user: None,
        }
    }

    /// Runs every program of the world as this user, who owns the world. Only root can do that.
    pub fn user(mut self, user: Option<u32>) -> Self {
        self.user = user;
        self
    }

    /// Sets the namespace; the default is `w`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
    /// Uses another world's tmux server.
    pub fn socket(mut self, socket: &Path) -> Self {
        self.socket = Some(socket.to_owned());
        self
    }
    /// Leaves `[tmux] socket` out: the default tmux server is a private one of this world.
    pub fn users_own_server(mut self) -> Self {
        self.users_own_server = true;
        self
    }
    /// Sets the driver of the master's role; the default is `console`.
    pub fn master_driver(mut self, driver: &'static str) -> Self {
        self.master_driver = driver;
        self
    }
    /// Sets a key of `[supervisor]` to a value in TOML syntax.
    pub fn supervisor(mut self, key: &'static str, value: &str) -> Self {
        self.supervisor.retain(|(k, _)| *k != key);
        self.supervisor.push((key, value.to_owned()));
        self
    }
    /// Adds tables, such as `[roles.shell]`.
    pub fn tables(mut self, text: &str) -> Self {
        self.tables = text.to_owned();
        self
    }

    pub fn build(self) -> World {
        // $TMPDIR may be too long for the paths of sockets.
        let dir = tempfile::Builder::new().prefix("orch-e2e-").tempdir_in("/tmp").expect("a folder");
        let path = dir.path().to_owned();
        let (project, home) = (path.join("project"), path.join("home"));
        fs::create_dir(&project).expect("project");
        let socket = match self.socket {
            Some(socket) => socket,
            None if self.users_own_server => path.join(format!("tmux-{}/default", nix::unistd::getuid())),
            None => path.join("tmux.sock"),
        };
        let tmux = match self.users_own_server {
            true => String::new(),
            false => format!("[tmux]\nsocket = \"{}\"\n", socket.display()),
        };
        let supervisor: String = self.supervisor.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let config = format!(
            "name = \"{}\"\n{tmux}[supervisor]\n{supervisor}\n\
             [retry]\nbase = \"50ms\"\ncap = \"200ms\"\n[master]\ndefault_role = \"shell\"\n\
             [roles.opus]\ndriver = \"{}\"\n{}\n",
            self.name, self.master_driver, self.tables
        );
        fs::write(project.join("sessions.toml"), config).expect("sessions.toml");
        let world = World::at(dir, project, home, socket, self.user);
        world.give_to_user();
        world
    }
}
