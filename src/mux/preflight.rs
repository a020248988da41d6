//! Checks whether sessions can exist in a tmux server, before the first one is opened, because some settings end every
//! session of the server, including the user's own.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{MuxError, Result, Version, commands::Batch};

/// The longest path of a unix socket.
const SOCKET: usize = 107;
/// The releases that crash when a session is opened while `window-size` is `manual`; observed with 3.3a.
const CRASHES: (u32, u32) = (3, 3);

/// Prints the options that matter. Where no server runs, one reads its configuration for this call and ends.
pub(super) fn ask() -> Batch {
    let words = |text: &str| text.split(' ').map(Into::into).collect();
    Batch::new(
        ["start-server", "show-options -sv exit-unattached", "show-options -gwv window-size"].map(words).to_vec(),
    )
}

/// Reads the answer to [`ask`].
pub(super) fn check(answer: &str, version: &Version) -> Result<()> {
    let mut lines = answer.lines().map(str::trim);
    let (exit_unattached, window_size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if exit_unattached == "on" {
        return Err(MuxError::Unfit {
            what: "tmux ends with all its sessions whenever nobody is attached: its option exit-unattached is on"
                .into(),
            fix: "tmux set-option -s exit-unattached off, also in tmux.conf; or give orch a tmux server of its own: \
                  [tmux] socket = \"orch\" in sessions.toml, and that option off"
                .into(),
        });
    }
    if window_size == "manual" && version.number == Some(CRASHES) {
        return Err(MuxError::Unfit {
            what: format!(
                "tmux {} crashes with all its sessions when one is opened while its option window-size is manual",
                version.text
            ),
            fix: "write 'set -g window-size latest' in tmux.conf, and: tmux set-option -g window-size latest; or \
                  install tmux 3.4"
                .into(),
        });
    }
    Ok(())
}

/// Checks the place of the server's socket by tmux's own rules. A folder that does not exist yet is made by tmux.
pub(super) fn check_place(socket: &Path) -> Result<()> {
    let unfit = |what: String, fix: &str| Err(MuxError::Unfit { what, fix: fix.to_owned() });
    const SHORTER: &str = "set TMUX_TMPDIR to a folder of yours with a short path, or unset it";
    let length = socket.as_os_str().len();
    if length > SOCKET {
        return unfit(format!("the path of tmux's socket has {length} bytes, and at most {SOCKET} work"), SHORTER);
    }
    let Some(folder) = socket.parent() else { return Ok(()) };
    let above = folder.parent().unwrap_or(folder);
    for path in [above, folder] {
        match fs::metadata(path) {
            Ok(meta) if !meta.is_dir() => {
                return unfit(format!("{}, where tmux's socket is to be, is no folder", path.display()), SHORTER);
            }
            // tmux refuses a folder of another user, and one that others may enter.
            Ok(meta) if path == folder && is_tmuxs(folder) && (meta.mode() & 0o007 != 0 || !is_own(&meta)) => {
                let fix = format!("chmod 700 {0}; or set TMUX_TMPDIR to a folder of yours", path.display());
                return unfit(format!("{} is open to others, and tmux refuses it", path.display()), &fix);
            }
            Err(_) if path == above => {
                return unfit(format!("{}, where tmux's socket is to be, does not exist", path.display()), SHORTER);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folder that tmux makes itself; one that `-S` names is the user's.
fn is_tmuxs(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == format!("tmux-{}", nix::unistd::getuid()).as_str())
}

fn is_own(meta: &fs::Metadata) -> bool {
    meta.uid() == nix::unistd::getuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text)
    }

    #[test]
    fn options_that_end_every_session_are_named() {
        assert!(check("off\nlatest\n", &version("tmux 3.3a")).is_ok());
        assert!(check("off\nmanual\n", &version("tmux 3.4")).is_ok());
        assert!(check("", &version("tmux 3.3a")).is_ok());
        let said = |answer: &str| check(answer, &version("tmux 3.3a")).unwrap_err().to_string();
        assert!(said("on\nlatest\n").contains("exit-unattached"));
        assert!(said("off\nmanual\n").contains("window-size"));
    }

    #[test]
    fn a_place_where_tmux_would_not_listen_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let own = format!("tmux-{}", nix::unistd::getuid());
        let socket = dir.path().join(&own).join("default");
        assert!(check_place(&socket).is_ok(), "tmux makes the folder");
        fs::create_dir(dir.path().join(&own)).unwrap();
        let said = |socket: &Path| check_place(socket).unwrap_err().to_string();
        fs::set_permissions(dir.path().join(&own), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(said(&socket).contains("open to others"));
        fs::set_permissions(dir.path().join(&own), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(check_place(&socket).is_ok());
        assert!(said(&dir.path().join("x".repeat(100)).join("s")).contains("bytes"));
        assert!(said(&dir.path().join("missing").join(&own).join("s")).contains("does not exist"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(said(&dir.path().join("file").join(&own).join("s")).contains("is no folder"));
    }
}
