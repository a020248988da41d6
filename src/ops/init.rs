//! `orch init`: the first sessions.toml of a project.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use super::{Ops, lifecycle::masters_name};
use crate::{
    config::{Config, DriverKind, Env, starter},
    error::{Error, Result},
    launchers::preflight,
    mux::{Mux, SessionInfo, Tags, TmuxMux, TmuxOptions},
};

impl Ops {
    /// Writes a sessions.toml for the agent programs of this machine, with another name for the master's session where the
    /// usual one is taken by another project or a person. `force` overwrites an existing file.
    ///
    /// # Errors
    /// Conflict: the file exists. Configuration: it cannot be written.
    pub async fn init(env: &Env, file: &Path, force: bool) -> Result<()> {
        let path = std::env::var_os("PATH");
        let found: Vec<DriverKind> = DriverKind::all().filter(|kind| program_of(*kind, path.as_deref())).collect();
        let sessions = TmuxMux::new(TmuxOptions::default()).sessions().await.unwrap_or_default();
        let session = own_session(env, file, &sessions);
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(force).create_new(!force);
            options.open(file)?.write_all(starter(&found, session.as_deref()).as_bytes())
        };
        match write() {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(Error::conflict(format!("{} exists already", file.display()))
                    .hint("edit it, or overwrite it with: orch init --force"))
            }
            Err(e) => Err(Error::config(format!("cannot write {}: {e}", file.display()))
                .hint("run orch init in a folder that you can write to")),
        }
    }
}

/// The name of the master's session, where the usual one is taken by another project or a person.
fn own_session(env: &Env, file: &Path, sessions: &[SessionInfo]) -> Option<String> {
    // The file that is about to be written sets no name, so only the folder decides.
    let nowhere = Env { config: None, cwd: file.parent()?.to_owned(), ..env.clone() };
    let config = Config::without_file(&nowhere).ok()?;
    let world = Tags::world(&config.namespace, &config.home);
    let taken = sessions.iter().find(|s| s.name == config.master.session)?;
    let ours = taken.tags.as_ref().is_some_and(|tags| tags.namespace == world);
    (!ours).then(|| masters_name(&config.namespace))
}

/// Whether the agent program of a driver is installed. A driver that needs none counts as found.
fn program_of(kind: DriverKind, path: Option<&std::ffi::OsStr>) -> bool {
    kind.program().is_none_or(|program| preflight::find(program, path).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[tokio::test]
    async fn a_new_file_is_valid_and_an_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sessions.toml");
        let env = Env { cwd: dir.path().into(), home: Some(dir.path().into()), ..Env::default() };
        let init = async |force| Ops::init(&env, &file, force).await;
        init(false).await.unwrap();
        let config = Config::load_with(&env, None).unwrap();
        assert_eq!(config.file.as_deref().and_then(Path::file_name), file.file_name());

        std::fs::write(&file, "# mine, and longer than what orch would write ".repeat(100)).unwrap();
        assert_eq!(init(false).await.unwrap_err().kind, Kind::Conflict);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("# mine"));
        init(true).await.unwrap();
        assert!(!std::fs::read_to_string(&file).unwrap().contains("# mine"));
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let file = Path::new("/nonexistent/project/sessions.toml");
        let error = Ops::init(&Env::default(), file, false).await.unwrap_err();
        assert_eq!(error.kind, Kind::Configuration);
        assert!(error.message.contains("/nonexistent/project"), "{error}");
    }

    #[test]
    fn the_master_gets_another_session_name_only_where_the_usual_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env { home: Some(dir.path().into()), ..Env::default() };
        let folder = dir.path().join("shop");
        std::fs::create_dir(&folder).unwrap();
        let config = Config::without_file(&Env { cwd: folder.clone(), ..env.clone() }).unwrap();
        let session = |name: &str, world: Option<&str>| SessionInfo {
            name: name.into(),
            created: 0,
            attached: 0,
            pane_id: "%1".into(),
            pane_pid: None,
            tags: world.map(|w| Tags { namespace: w.into(), agent: name.into(), incarnation: "x".into() }),
        };
        let own = |sessions: &[SessionInfo]| own_session(&env, &folder.join("sessions.toml"), sessions);
        let world = Tags::world(&config.namespace, &config.home);
        assert_eq!(own(&[]), None);
        assert_eq!(own(&[session("other", None), session("opus-master", Some(&world))]), None);
        for taken in [session("opus-master", None), session("opus-master", Some("shop@0"))] {
            assert_eq!(own(&[taken]), Some(format!("{}-master", config.namespace)));
        }
    }
}
