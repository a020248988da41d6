//! Measures the space that the folders of attempts take together, and removes the oldest to stay within a limit.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Home, output};
use crate::model::id::TaskId;

/// A folder within an attempt's folder is looked into this far: programs make folders, not mazes.
const DEPTH: u32 = 16;

/// One attempt's folder.
struct Attempt {
    path: PathBuf,
    bytes: u64,
    changed: SystemTime,
    may_go: bool,
}

impl Home {
    /// Returns the tasks that have a folder which has not changed for this long.
    ///
    /// # Errors
    /// Fails when `runs/` cannot be listed.
    pub fn tasks_with_old_folders(&self, unchanged: Duration) -> io::Result<Vec<TaskId>> {
        let is_old = |entry: &fs::DirEntry| {
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= unchanged))
        };
        let entries = fs::read_dir(self.runs())?.filter_map(Result::ok).filter(is_old);
        Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// Returns the tasks that have a folder, those first whose last attempt made its folder last.
    pub fn tasks_by_folder(&self) -> Vec<TaskId> {
        let of_task = |entry: fs::DirEntry| {
            let task: TaskId = entry.file_name().to_str()?.parse().ok()?;
            Some((entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH), task))
        };
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let mut tasks: Vec<(SystemTime, TaskId)> = entries.filter_map(of_task).collect();
        tasks.sort_unstable_by(|a, b| b.cmp(a));
        tasks.into_iter().map(|(_, task)| task).collect()
    }

    /// Returns every attempt that has left output, in no order.
    pub fn outputs(&self) -> Vec<output::Kept> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let tasks = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
        tasks.flat_map(|(task, dir)| output::kept(&task, &dir)).collect()
    }

    /// Removes the oldest folders of attempts until all together take at most `most` bytes. Never those of the newest
    /// attempt of an `open` task: it may be running, or be resumed. Returns how many were removed, and their bytes.
    pub fn trim_runs(&self, most: u64, open: &HashSet<TaskId>) -> (usize, u64) {
        let mut attempts: Vec<Attempt> = Vec::new();
        for task in fs::read_dir(self.runs()).into_iter().flatten().flatten() {
            let is_open =
                task.file_name().to_str().and_then(|name| name.parse().ok()).is_none_or(|id| open.contains(&id));
            let of_task = output::attempts(&task.path());
            let newest = of_task.last().map(|(number, _)| *number);
            attempts.extend(of_task.into_iter().map(|(number, path)| Attempt {
                bytes: size_of(&path, DEPTH),
                changed: fs::metadata(&path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
                may_go: !is_open || Some(number) != newest,
                path,
            }));
        }
        let mut total: u64 = attempts.iter().map(|attempt| attempt.bytes).sum();
        if total <= most {
            return (0, 0);
        }
        attempts.retain(|attempt| attempt.may_go);
        attempts.sort_by_key(|attempt| attempt.changed);
        let (mut removed, mut bytes) = (0, 0);
        for attempt in attempts {
            if total <= most {
                break;
            }
            if fs::remove_dir_all(&attempt.path).is_ok() {
                total = total.saturating_sub(attempt.bytes);
                (removed, bytes) = (removed + 1, bytes + attempt.bytes);
                // The task's own folder, once it is empty.
                let _ = attempt.path.parent().map(fs::remove_dir);
            }
        }
        (removed, bytes)
    }
}

/// What a file or folder takes on the disk, without what links in it lead to.
fn size_of(path: &Path, depth: u32) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() || depth == 0 {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| size_of(&entry.path(), depth - 1)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: usize = 64 * 1024;

    fn attempt(home: &Home, task: &TaskId, number: u32, age: u64) -> PathBuf {
        let path = home.run(task, number);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("output"), vec![b'x'; FILE]).unwrap();
        let changed = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(&path).unwrap().set_modified(changed).unwrap();
        path
    }

    #[test]
    fn the_attempts_that_ended_first_are_removed_and_open_tasks_keep_their_last() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let [open, old, new] = [(); 3].map(|()| TaskId::random());
        let of_open = [attempt(&home, &open, 1, 900), attempt(&home, &open, 2, 800)];
        let of_old = attempt(&home, &old, 1, 700);
        let of_new = attempt(&home, &new, 1, 10);
        let is_open = HashSet::from([open]);
        assert_eq!(home.trim_runs(u64::MAX, &is_open), (0, 0));
        let (removed, bytes) = home.trim_runs(3 * FILE as u64 - 1, &is_open);
        assert!(removed == 2 && bytes >= 2 * FILE as u64, "{removed}, {bytes}");
        assert!(!of_open[0].exists() && of_open[1].exists() && !of_old.exists() && of_new.exists());
        assert!(!home.task_runs(&old).exists(), "its own folder was empty");
        assert_eq!(home.trim_runs(0, &is_open).0, 1);
        assert!(of_open[1].exists(), "the task may be resumed");
    }

    #[test]
    fn only_folders_that_have_not_changed_for_long_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let (task, other) = (TaskId::random(), TaskId::random());
        attempt(&home, &task, 1, 0);
        attempt(&home, &other, 1, 0);
        fs::create_dir(home.runs().join("not-a-task")).unwrap();
        let earlier = SystemTime::now() - Duration::from_secs(7200);
        fs::File::open(home.task_runs(&task)).unwrap().set_modified(earlier).unwrap();
        assert_eq!(home.tasks_with_old_folders(Duration::from_secs(3600)).unwrap(), [task]);
    }
}
