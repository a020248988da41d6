//! Folders that no sandbox shows: whole home folders, state folders, and folders with logins, keys or sockets.

use std::path::{Component, Path};

use crate::drivers::{Access, DriverKind};

/// Files and folders of a home folder with keys, passwords, logins, or sockets that lead out of a sandbox.
const OF_A_HOME: [&str; 30] = [
    ".aws",
    ".azure",
    ".bash_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/gcloud",
    ".config/gh",
    ".config/google-chrome",
    ".config/chromium",
    ".config/op",
    ".config/rclone",
    ".config/sops",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".local/state/orch",
    ".mozilla",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pypirc",
    ".ssh",
    ".terraform.d",
    ".vault-token",
    ".zsh_history",
    ".config/git/credentials",
];
/// Files of the administrator, which root could read in a sandbox although it has no capabilities there.
pub const OF_ROOT: [&str; 8] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
];
/// Folders of the system with sockets, or with what belongs to other processes.
const OF_THE_SYSTEM: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/var/run"];
/// Folders that many have something in: one in them can be shown, and not they.
const SHARED: [&str; 4] = ["/home", "/root", "/tmp", "/var/tmp"];

/// Returns why a folder, absolute, is not shown in a sandbox.
pub fn refusal(folder: &Path, home: Option<&Path>, state: &Path) -> Option<String> {
    if folder.components().any(|part| part == Component::ParentDir) {
        return Some("has \"..\" in it".to_owned());
    }
    if folder.starts_with(state) {
        return Some("belongs to the state folder of orch".to_owned());
    }
    if state.starts_with(folder) {
        return Some(format!("has the state folder of orch in it ({})", state.display()));
    }
    if let Some(home) = home.filter(|home| home.starts_with(folder)) {
        return Some(format!("has a home folder in it ({})", home.display()));
    }
    if SHARED.map(Path::new).into_iter().any(|shared| shared.starts_with(folder)) {
        return Some("is shared by all: name the folders in it one by one".to_owned());
    }
    if OF_THE_SYSTEM.map(Path::new).into_iter().any(|own| folder.starts_with(own)) {
        return Some("may have sockets and processes of others in it".to_owned());
    }
    if OF_ROOT.map(Path::new).into_iter().any(|own| folder.starts_with(own)) {
        return Some("may hold keys or passwords of the system".to_owned());
    }
    let logins = DriverKind::all().filter_map(DriverKind::manifest).flat_map(|manifest| manifest.home.files);
    let logins = logins.filter(|(_, access)| *access == Access::Write).map(|(name, _)| *name);
    for private in OF_A_HOME.into_iter().chain(logins).filter_map(|name| Some(home?.join(name))) {
        if folder.starts_with(&private) {
            return Some("may hold keys or logins".to_owned());
        }
        if private.starts_with(folder) {
            let private = private.display();
            return Some(format!(
                "has {private} in it, which may hold keys or logins: name the others in it one by one"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_keys_or_belongs_to_others_is_never_shown() {
        let (home, state) = (Path::new("/home/me"), Path::new("/home/me/.local/state/orch/shop"));
        let why = |folder: &str| refusal(Path::new(folder), Some(home), state);
        for folder in [
            "/home/me/.rustup",
            "/home/me/.cargo/registry",
            "/home/me/src/other",
            "/home/me/.local/share/pnpm",
            "/opt/data",
            "/tmp/mine",
            "/usr",
        ] {
            assert_eq!(why(folder), None, "{folder}");
        }
        for (folder, said) in [
            ("/", "state folder"),
            ("/home", "state folder"),
            ("/root", "shared by all"),
            ("/tmp", "shared by all"),
            ("/home/me", "state folder"),
            ("/home/me/.local", "state folder"),
            ("/home/me/.local/state/orch/shop/runs", "belongs to the state folder"),
            ("/home/me/.local/state/orch/other", "keys or logins"),
            ("/home/me/.ssh", "keys or logins"),
            ("/home/me/.ssh/config.d", "keys or logins"),
            ("/home/me/.cargo", ".cargo/credentials"),
            ("/home/me/.config", ".config/gcloud"),
            ("/home/me/.codex", ".codex/auth.json"),
            ("/home/me/.claude", ".claude/.credentials.json"),
            ("/home/me/x/../.ssh", "\"..\""),
            ("/run/user/1000", "sockets"),
            ("/proc/1", "sockets"),
            ("/etc/shadow", "passwords of the system"),
            ("/etc/ssh/ssh_host_rsa_key", "keys"),
            ("/etc/ssl/private", "keys"),
        ] {
            assert!(why(folder).is_some_and(|why| why.contains(said)), "{folder}: {:?}", why(folder));
        }
        let elsewhere = refusal(home, Some(home), Path::new("/srv/state"));
        assert!(elsewhere.is_some_and(|why| why.contains("a home folder")));
    }
}
