//! Errors of tmux, sorted by what the caller can do about them.

use crate::error::{Error, Kind};

/// Why a call to tmux failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// The program does not exist.
    #[error("tmux can't be run: there is no program '{program}'")]
    Missing {
        /// The name or path that was tried.
        program: String,
    },
    /// The program is older than the oldest supported version.
    #[error("tmux {found} is too old: orch needs {needed} or newer")]
    TooOld {
        /// Its version as it prints it.
        found: String,
        /// The oldest supported version.
        needed: String,
    },
    /// The server, or the place of its socket, is set up so that sessions could not live.
    #[error("{what}")]
    Unfit {
        /// What is wrong.
        what: String,
        /// What to change.
        fix: String,
    },
    /// A session of that name exists, ours or not.
    #[error("a tmux session named '{0}' exists already")]
    NameTaken(String),
    /// No session has that name.
    #[error("there is no tmux session named '{0}'")]
    NoSession(String),
    /// No pane has that id.
    #[error("there is no tmux pane {0}")]
    NoPane(String),
    /// No server runs, or it has no session (it is about to end, or was told to stay with `exit-empty off`).
    #[error("no tmux server is running")]
    Gone,
    /// A server may be running, but does not answer: nothing is known about the sessions.
    #[error("tmux can't be reached: {0}")]
    Unreachable(String),
    /// The arguments cannot be passed to tmux; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// tmux reported an error.
    #[error("tmux refused: {0}")]
    Refused(String),
}

impl MuxError {
    /// Returns the error for what a tmux command wrote to standard error. tmux never translates its messages.
    pub(super) fn from_tmux(text: &str) -> Self {
        let text = text.trim();
        let after = |prefix: &str| text.strip_prefix(prefix).map(|name| name.trim_matches(['=', ':']).to_owned());
        if let Some(name) = after("duplicate session: ") {
            return MuxError::NameTaken(name);
        }
        if let Some(pane) = after("can't find pane: ").filter(|pane| pane.starts_with('%')) {
            return MuxError::NoPane(pane);
        }
        if let Some(name) = after("can't find session: ").or_else(|| after("can't find pane: ")) {
            return MuxError::NoSession(name);
        }
        let refused = text.contains("No such file") || text.contains("Connection refused");
        if text.starts_with("no server running")
            || text.starts_with("lost server")
            || text.starts_with("server exited")
            || text.starts_with("no current target")
            || (text.starts_with("error connecting to") && refused)
        {
            return MuxError::Gone;
        }
        if text.starts_with("error connecting to") || text.starts_with("couldn't create directory") {
            return MuxError::Unreachable(text.to_owned());
        }
        MuxError::Refused(if text.is_empty() { "it gave no reason".to_owned() } else { text.to_owned() })
    }
}

impl From<MuxError> for Error {
    fn from(error: MuxError) -> Self {
        let message = error.to_string();
        match error {
            MuxError::Missing { .. } => Error::config(message)
                .hint("install it (apt install tmux, dnf install tmux, brew install tmux), then run orch doctor"),
            MuxError::TooOld { .. } => {
                Error::config(message).hint("install a newer tmux and make sure that it comes first on PATH")
            }
            MuxError::Unfit { fix, .. } => Error::config(message).hint(fix),
            MuxError::NameTaken(name) => Error::conflict(message).hint(format!(
                "end it (tmux kill-session -t ={name}), or give orch a tmux server of its own: \
                 [tmux] socket = \"orch\" in sessions.toml"
            )),
            MuxError::NoSession(_) | MuxError::NoPane(_) => {
                Error::not_found(message).hint("orch status lists the agents and their sessions")
            }
            MuxError::Gone => Error::not_running(message).hint("orch start starts it"),
            MuxError::Unreachable(_) => Error::not_running(message).hint(
                "try tmux ls; if that hangs too, give orch a tmux server of its own: \
                 [tmux] socket = \"orch\" in sessions.toml",
            ),
            MuxError::Invalid(_) => Error::usage(message),
            MuxError::Refused(_) => Error::new(Kind::Failed, message).hint("orch doctor checks tmux"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_unreachable_and_refused_are_told_apart() {
        use MuxError::*;
        for (text, error) in [
            ("no server running on /tmp/tmux-0/default\n", Gone),
            ("error connecting to /x/s (No such file or directory)", Gone),
            ("error connecting to /x/s (Connection refused)", Gone),
            ("server exited unexpectedly", Gone),
            ("no current target", Gone),
            (
                "error connecting to /x/s (Permission denied)",
                Unreachable("error connecting to /x/s (Permission denied)".into()),
            ),
            ("duplicate session: sonnet-1", NameTaken("sonnet-1".into())),
            ("can't find session: sonnet-1", NoSession("sonnet-1".into())),
            ("can't find pane: =sonnet-1:", NoSession("sonnet-1".into())),
            ("can't find pane: %7", NoPane("%7".into())),
            ("unknown option: x", Refused("unknown option: x".into())),
        ] {
            assert_eq!(MuxError::from_tmux(text), error, "{text}");
        }
    }

    #[test]
    fn every_error_that_a_person_can_mend_says_how() {
        for (error, kind) in [
            (MuxError::Missing { program: "tmux".into() }, Kind::Configuration),
            (MuxError::TooOld { found: "3.1".into(), needed: "3.2".into() }, Kind::Configuration),
            (MuxError::NameTaken("a".into()), Kind::Conflict),
            (MuxError::NoSession("a".into()), Kind::NotFound),
            (MuxError::Gone, Kind::NotRunning),
            (MuxError::Unreachable("timed out".into()), Kind::NotRunning),
            (MuxError::Refused("no".into()), Kind::Failed),
        ] {
            let error = Error::from(error);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
    }
}
