//! Reports of ended attempts that Redis has not acknowledged immediately. A runner records each end in its journal
//! before it reports it ([`super::Journal`]), which survives the runner; a report that has to wait is also written
//! here and synced, so that it survives a failure of the machine. It is moved to the attempt's folder when Redis has
//! acknowledged it.

use std::{fs, io, path::PathBuf, time::Duration};

use super::Home;
use crate::{model::id::TaskId, store::tasks::Report};

/// No report of ours is as large: the length of its text is limited.
const LARGEST: u64 = 64 << 20;

impl Home {
    fn report(&self, task: &TaskId, attempt: u32) -> PathBuf {
        self.reports().join(format!("{task}.{attempt}.json"))
    }

    /// Writes a report atomically.
    ///
    /// # Errors
    /// Fails when the disk is full or read-only.
    pub fn write_report(&self, report: &Report) -> io::Result<()> {
        let bytes = serde_json::to_vec(report)?;
        super::write_atomically(&self.report(&report.task, report.attempt), &bytes)
    }

    /// Syncs a report to the disk.
    ///
    /// # Errors
    /// Fails when the sync fails.
    pub fn sync_report(&self, report: &Report) -> io::Result<()> {
        fs::File::open(self.report(&report.task, report.attempt))?.sync_all()?;
        fs::File::open(self.reports())?.sync_all()
    }

    /// Files a report that Redis has acknowledged, or refused for good: it becomes the attempt's `result.json`.
    ///
    /// # Errors
    /// Fails when it cannot be moved.
    pub fn file_report(&self, task: &TaskId, attempt: u32) -> io::Result<()> {
        let from = self.report(task, attempt);
        let filed = fs::rename(&from, self.run(task, attempt).join("result.json"));
        // The attempt's program has access to the folder, and may have removed or damaged it: Redis has the result.
        filed.or_else(|_| match fs::remove_file(&from) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
    }

    /// Writes an acknowledged report into the attempt's folder, as its `result.json`.
    ///
    /// # Errors
    /// Fails when it cannot be written. The attempt's program has access to the folder, and may have damaged it.
    pub fn keep_result(&self, report: &Report) -> io::Result<()> {
        let path = self.run(&report.task, report.attempt).join("result.json");
        super::write_new(&path, &serde_json::to_vec(report)?)
    }

    /// Returns how an attempt ended according to its runner, whether Redis has acknowledged the report or not.
    pub fn known_end(&self, task: &TaskId, attempt: u32) -> Option<Report> {
        let filed = || super::read_json(&self.run(task, attempt).join("result.json"));
        super::read_json(&self.report(task, attempt)).or_else(filed).or_else(|| self.journaled_end(task, attempt))
    }

    /// Removes unfinished files of writers that were killed; an active writer takes milliseconds.
    pub fn remove_unfinished_reports(&self, older_than: Duration) {
        for entry in fs::read_dir(self.reports()).into_iter().flatten().flatten() {
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if entry.path().extension().is_some_and(|x| x == "tmp") && age().is_some_and(|age| age >= older_than) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Returns every report that waits here. A report that cannot be read is skipped: its attempt ends when its lease
    /// expires.
    pub fn pending_reports(&self) -> Vec<Report> {
        fs::read_dir(self.reports())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "json"))
            // Opening a pipe would block until its other end is opened; reading a device would not end.
            .filter(|e| e.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST))
            .filter_map(|e| super::read_json(&e.path()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cause::Cause;
    use crate::samples;

    #[test]
    fn a_report_waits_until_it_is_filed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("h"));
        home.create().unwrap();
        let report = Report { fence: 7, ..samples::report(&TaskId::random(), 2, Cause::Success) };
        super::super::create_dir(&home.run(&report.task, 2)).unwrap();
        home.write_report(&report).unwrap();
        home.sync_report(&report).unwrap();
        assert_eq!(home.pending_reports(), std::slice::from_ref(&report));
        home.file_report(&report.task, 2).unwrap();
        assert_eq!(home.pending_reports(), []);
        assert!(home.run(&report.task, 2).join("result.json").exists());
        assert_eq!((home.known_end(&report.task, 2), home.known_end(&report.task, 1)), (Some(report.clone()), None));
        home.file_report(&report.task, 2).unwrap();
    }

    #[test]
    fn unfinished_files_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("h"));
        home.create().unwrap();
        let (unfinished, whole) = (home.reports().join("t-1.1.tmp"), home.reports().join("t-1.1.json"));
        fs::write(&unfinished, "{").unwrap();
        fs::write(&whole, "{").unwrap();
        home.remove_unfinished_reports(Duration::from_secs(60));
        assert!(unfinished.exists(), "its writer may be active");
        home.remove_unfinished_reports(Duration::ZERO);
        assert!(!unfinished.exists() && whole.exists());
    }
}
