//! What those have left who died while they wrote it, or before they took it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Home;

/// Whoever writes or takes a file does so within moments; a stopped process, or a machine that slept, takes longer.
const OLD: Duration = Duration::from_secs(60);

impl Home {
    /// Removes launches, with the secrets in them, that no living agent will take, and halves of reports.
    pub fn remove_leftovers(&self, lives: impl Fn(&str) -> bool) {
        let stem = |path: &Path| path.file_stem().and_then(|s| s.to_str()).map(str::to_owned).unwrap_or_default();
        let launches = old_files(&self.launches()).into_iter().filter(|path| !lives(&stem(path)));
        let halves = old_files(&self.reports()).into_iter().filter(|path| path.extension().is_some_and(|x| x == "tmp"));
        for path in launches.chain(halves) {
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!("{} was left, and is removed", path.display()),
                Err(e) => tracing::warn!("{} was left: {e}", path.display()),
            }
        }
    }
}

/// A file from the future, by a clock that was set since, is not known to be old.
fn old_files(folder: &Path) -> Vec<PathBuf> {
    let is_old = |entry: &fs::DirEntry| {
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > OLD)
    };
    fs::read_dir(folder).into_iter().flatten().flatten().filter(is_old).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_nobody_will_take_is_removed_and_what_is_new_or_somebodys_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        home.create().unwrap();
        let file = |path: PathBuf, age: Duration| {
            let file = fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let (new, old) = (Duration::ZERO, 2 * OLD);
        let stay = [
            file(home.launch("living"), old),
            file(home.launch("just-written"), new),
            file(home.reports().join("t-7k2m9qx4hz.1.json"), old),
            file(home.reports().join("t-7k2m9qx4hz.2.tmp"), new),
        ];
        let go = [file(home.launch("dead"), old), file(home.reports().join("t-7k2m9qx4hz.1.tmp"), old)];
        home.remove_leftovers(|incarnation| incarnation == "living");
        assert!(stay.iter().all(|path| path.exists()) && !go.iter().any(|path| path.exists()));
    }
}
