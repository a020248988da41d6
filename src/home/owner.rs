//! Checks that a state folder belongs to the project for which it is used. Every verb checks ([`Home::check_owner`]);
//! a supervisor records the owner under its lock ([`Home::claim`]).

use std::{
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{Home, unusable, write_atomically};
use crate::{
    config::{Config, Owner, owner},
    error::{Error, Result},
    os::{FolderId, LockOwner},
};

/// What an earlier release has recorded of the same.
const EARLIER: [&str; 2] = ["project", "id"];

impl Home {
    /// Returns the record of whose folder this is; `None` before the first start.
    pub fn owner(&self) -> Option<Owner> {
        Owner::read(self.path())
    }

    /// Returns the path of the project's folder; `None` if none was recorded yet.
    pub fn project(&self) -> Option<PathBuf> {
        self.owner().map(|owner| owner.project)
    }

    /// Returns the random id of this folder: two machines may have the same path.
    pub fn id(&self) -> String {
        self.owner().map(|owner| owner.id).unwrap_or_default()
    }

    /// Checks that the state folder is that of this project, or of none yet.
    ///
    /// # Errors
    /// Conflict: it is a copy of another state folder, or belongs to another project folder or another namespace. The hint
    /// names the ways out.
    pub fn check_owner(&self, config: &Config) -> Result<()> {
        let Some(owner) = self.owner() else { return Ok(()) };
        self.check_copy(&owner)?;
        self.check_project(&owner, config)?;
        self.check_namespace(&owner, config)
    }

    /// A copy holds the records of processes that are not its own.
    fn check_copy(&self, owner: &Owner) -> Result<()> {
        if owner.home == self.path() || owner.home.as_os_str().is_empty() {
            return Ok(());
        }
        let (Some(original), Some(own)) = (FolderId::of(&owner.home), FolderId::of(self.path())) else {
            return Ok(());
        };
        if original == own || Owner::read(&owner.home).is_none_or(|other| other.id != owner.id) {
            return Ok(());
        }
        let (here, there, project) = (self.path().display(), owner.home.display(), owner.project.display());
        Err(Error::conflict(format!("the state folder {here} is a copy of {there}, which belongs to {project}")).hint(
            format!("to begin without its tasks: rm -r '{here}'; to run its unfinished tasks here as well: orch start --adopt"),
        ))
    }

    fn check_project(&self, owner: &Owner, config: &Config) -> Result<()> {
        // The second: another path to the same folder, such as a bind mount; or it was moved.
        if owner.project == config.root || owner.is_of(&config.root) {
            return Ok(());
        }
        let (recorded_at, here, name) = (owner.project.display(), config.root.display(), &config.namespace);
        let home = self.path().display();
        if owner.project.exists() && config.has_own_place() {
            return Err(Error::conflict(format!(
                "the state folder {home}, which ORCH_HOME names, belongs to {recorded_at}, and this is {here}"
            ))
            .hint(
                "unset ORCH_HOME here, or set it to a folder of this project's own; if this one is to take over what is \
                 in it: orch stop there, then here: orch start --adopt",
            ));
        }
        if owner.project.exists() {
            return Err(Error::conflict(format!(
                "the state folder of '{name}' belongs to {recorded_at}, and this is {here}"
            ))
            .hint(format!(
                "give one of the two another name in its sessions.toml; if this folder is to \
                     take over what is in {home}: orch stop there, then here: orch start --adopt"
            )));
        }
        Err(Error::conflict(format!(
            "the state folder of '{name}' belongs to {recorded_at}, which is gone; this is {here}"
        ))
        .hint(
            "if the project was moved here: orch start --adopt; otherwise give this one another name in sessions.toml",
        ))
    }

    fn check_namespace(&self, owner: &Owner, config: &Config) -> Result<()> {
        let (recorded, name) = (&owner.namespace, &config.namespace);
        if recorded.is_empty() || recorded == name {
            return Ok(());
        }
        let home = self.path().display();
        Err(Error::conflict(format!("the state folder {home} is that of '{recorded}', and this project is '{name}'"))
            .hint(format!(
                "set name = \"{recorded}\" in sessions.toml again; to change the name, orch stop with the old one first, \
                 then: orch start --adopt"
            )))
    }

    /// Records that the folder is that of this project. The caller owns the supervisor's lock.
    ///
    /// # Errors
    /// As [`Home::check_owner`]; or the file cannot be written.
    pub fn claim(&self, config: &Config) -> Result<()> {
        self.check_owner(config)?;
        let recorded = self.owner();
        let id = recorded.as_ref().map(|owner| owner.id.clone()).filter(|id| !id.is_empty());
        let is_copy = recorded.as_ref().is_some_and(|owner| owner.is_copy);
        let owner = self.owner_for(config, id.unwrap_or_else(new_id), is_copy);
        if recorded.is_some_and(|recorded| recorded == owner) {
            return Ok(());
        }
        self.record(&owner)
    }

    /// Makes the state folder that of this project: the project was moved or renamed, or the folder was copied.
    ///
    /// # Errors
    /// Conflict: a supervisor uses the folder. Or the file cannot be written.
    pub fn adopt(&self, config: &Config) -> Result<()> {
        let (Err(refused), Some(owner)) = (self.check_owner(config), self.owner()) else { return Ok(()) };
        self.check_safety()?;
        self.refuse_used_by_another()?;
        tracing::info!("adopted: {refused}");
        let is_copy = self.check_copy(&owner).is_err();
        // Which is recorded first: what follows can be repeated by the supervisor.
        let id = if is_copy { new_id() } else { owner.id };
        self.record(&self.owner_for(config, id, is_copy || owner.is_copy))?;
        if is_copy {
            self.forget_processes();
        }
        Ok(())
    }

    /// Refuses to take over a folder in which a supervisor runs.
    ///
    /// # Errors
    /// Conflict: one does.
    pub fn refuse_used_by_another(&self) -> Result<()> {
        let project = self.project().unwrap_or_default();
        let project = project.display();
        match self.supervisor() {
            LockOwner::Nobody => Ok(()),
            LockOwner::Process(supervisor) => {
                let pid = supervisor.pid;
                Err(Error::conflict(format!("the supervisor (pid {pid}) of {project} runs in this state folder")).hint(
                    format!("end it first: cd '{project}' && orch stop, or where that folder is gone: kill {pid}"),
                ))
            }
            LockOwner::Unseen => Err(self.unseen()),
        }
    }

    /// The folder was copied, and no process of its records is its own any more: they have been ended in Redis.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_copy(&self) -> Result<()> {
        match self.owner().filter(|owner| owner.is_copy) {
            Some(owner) => self.record(&Owner { is_copy: false, ..owner }),
            None => Ok(()),
        }
    }

    /// The error of a supervisor that runs and cannot be seen.
    pub fn unseen(&self) -> Error {
        let home = self.path().display();
        Error::conflict(format!(
            "a supervisor that cannot be seen from here runs in {home}: in another container or pid namespace"
        ))
        .hint("call this verb where its orch start was called")
    }

    /// Removes what names processes: all are another folder's.
    fn forget_processes(&self) {
        for folder in [self.runners(), self.launches(), self.path().join("scratch"), self.path().join("sockets")] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
        self.forget_cgroups();
        for file in [self.running(), self.stopped(), self.redis().join("server.lock"), self.redis().join("redis.sock")]
        {
            let _ = fs::remove_file(file);
        }
    }

    fn owner_for(&self, config: &Config, id: String, is_copy: bool) -> Owner {
        let home = self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned());
        Owner {
            id,
            namespace: config.namespace.clone(),
            home,
            project: config.root.clone(),
            folder: FolderId::of(&config.root),
            file: config.file.as_deref().and_then(Path::file_name).map(ToOwned::to_owned),
            is_copy,
        }
    }

    /// Writes the record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, owner: &Owner) -> Result<()> {
        let path = self.path().join(owner::OWNER);
        let bytes = serde_json::to_vec(owner).map_err(|e| {
            Error::config(format!("the record {} cannot be written: {e}", path.display()))
                .hint("use paths that are UTF-8 text")
        })?;
        write_atomically(&path, &bytes).map_err(|e| unusable(&path, &e))?;
        EARLIER.iter().for_each(|name| drop(fs::remove_file(self.path().join(name))));
        Ok(())
    }
}

fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Env, error::Kind, os::lock_file};

    /// A folder with projects in it, and the state folder `home`.
    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new(projects: &[&str]) -> Place {
            let place = Place { dir: tempfile::tempdir().unwrap() };
            projects.iter().for_each(|name| fs::create_dir(place.at(name)).unwrap());
            place.home().create().unwrap();
            place
        }
        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(name)
        }
        fn home(&self) -> Home {
            Home::new(self.at("home"))
        }
        fn config(&self, project: &str, name: &str) -> Config {
            let env = Env { cwd: self.at(project), orch_home: Some(self.at("home")), ..Env::default() };
            Config { namespace: name.to_owned(), ..Config::load_with(&env, None).unwrap() }
        }
    }

    fn refused(result: Result<()>, words: &[&str]) {
        let error = result.unwrap_err();
        let said = format!("{} {}", error.message, error.hint.unwrap());
        assert!(error.kind == Kind::Conflict && words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }

    #[test]
    fn a_state_folder_belongs_to_the_first_project_until_another_adopts_it() {
        let place = Place::new(&["a", "b"]);
        let (home, a, b) = (place.home(), place.config("a", "shop"), place.config("b", "shop"));
        home.check_owner(&a).unwrap();
        home.claim(&a).unwrap();
        let id = home.id();
        home.claim(&a).unwrap();
        assert_eq!((home.id(), home.owner().unwrap().project), (id.clone(), place.at("a")));
        let paths = [place.at("a").display().to_string(), place.at("b").display().to_string()];
        for result in [home.check_owner(&b), home.claim(&b)] {
            refused(result, &[&paths[0], &paths[1], "unset ORCH_HOME", "--adopt"]);
        }
        let lock = lock_file(&home.supervisor_lock()).unwrap().unwrap();
        refused(home.adopt(&b), &["orch stop"]);
        drop(lock);
        home.adopt(&b).unwrap();
        home.claim(&b).unwrap();
        assert_eq!(home.id(), id);
        assert!(home.check_owner(&a).is_err());
    }

    #[test]
    fn two_folders_of_one_name_are_told_to_change_it() {
        let place = Place::new(&["a", "b"]);
        let home = Home::new(place.at("shop"));
        home.create().unwrap();
        let at = |project: &str| Config { home: place.at("shop"), ..place.config(project, "shop") };
        home.claim(&at("a")).unwrap();
        refused(home.check_owner(&at("b")), &["another name in its sessions.toml", "--adopt"]);
    }

    #[test]
    fn another_name_for_the_same_folder_is_refused_and_both_are_named() {
        let place = Place::new(&["a"]);
        let home = place.home();
        home.claim(&place.config("a", "old")).unwrap();
        refused(home.check_owner(&place.config("a", "new")), &["'old'", "'new'", "name = \"old\"", "--adopt"]);
        home.adopt(&place.config("a", "new")).unwrap();
        home.check_owner(&place.config("a", "new")).unwrap();
    }

    #[test]
    fn a_project_that_was_moved_keeps_its_folder_and_another_one_does_not_get_it() {
        let place = Place::new(&["old"]);
        let home = place.home();
        home.claim(&place.config("old", "shop")).unwrap();
        fs::rename(place.at("old"), place.at("new")).unwrap();
        let moved = place.config("new", "shop");
        home.claim(&moved).unwrap();
        assert_eq!(home.owner().unwrap().project, place.at("new"));
        fs::create_dir(place.at("copy")).unwrap();
        fs::remove_dir(place.at("new")).unwrap();
        refused(home.check_owner(&place.config("copy", "shop")), &["which is gone", "orch start --adopt"]);
    }

    #[test]
    fn a_copy_is_refused_until_it_is_adopted_and_then_names_no_process() {
        let place = Place::new(&["a"]);
        let (home, config) = (place.home(), place.config("a", "shop"));
        home.claim(&config).unwrap();
        for name in ["runners/1-1.i.shell-1", "launch/i.json", "cgroups", "running", "epoch.json"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let copied = std::process::Command::new("cp").arg("-r").arg(home.path()).arg(place.at("copy")).status();
        assert!(copied.unwrap().success());
        let copy = Home::new(place.at("copy"));
        let of_copy = Config { home: place.at("copy"), ..config.clone() };
        refused(copy.check_owner(&of_copy), &["is a copy of", "home", "--adopt"]);
        home.check_owner(&config).unwrap();
        copy.adopt(&of_copy).unwrap();
        copy.claim(&of_copy).unwrap();
        assert!(copy.owner().unwrap().is_copy && copy.id() != home.id());
        let left = |name: &str| copy.path().join(name).exists();
        assert!(!["runners/1-1.i.shell-1", "launch/i.json", "cgroups", "running"].into_iter().any(left));
        assert!(left("epoch.json") && home.path().join("runners/1-1.i.shell-1").exists());
        copy.forget_copy().unwrap();
        assert!(!copy.owner().unwrap().is_copy);
        // One that was moved is no copy.
        fs::rename(home.path(), place.at("moved")).unwrap();
        Home::new(place.at("moved")).claim(&Config { home: place.at("moved"), ..config }).unwrap();
    }

    #[test]
    fn the_record_of_an_earlier_release_is_taken_over() {
        let place = Place::new(&["a", "b"]);
        let home = place.home();
        fs::write(home.path().join("project"), format!("{}\n", place.at("a").display())).unwrap();
        fs::write(home.path().join("id"), "0123").unwrap();
        refused(home.check_owner(&place.config("b", "shop")), &["belongs to"]);
        home.claim(&place.config("a", "shop")).unwrap();
        assert_eq!((home.id(), home.owner().unwrap().namespace), ("0123".to_owned(), "shop".to_owned()));
        assert!(!home.path().join("project").exists() && !home.path().join("id").exists());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_none() {
        let place = Place::new(&["a"]);
        let home = place.home();
        for text in ["", "{", "[]", "{\"id\":1}"] {
            fs::write(home.path().join(owner::OWNER), text).unwrap();
            assert_eq!(home.owner(), None, "{text}");
        }
        home.claim(&place.config("a", "shop")).unwrap();
        assert!(home.owner().is_some());
    }
}
