//! Ends of attempts that Redis does not acknowledge at once. A runner has recorded each end in its journal before it reports
//! it ([`super::Journal`]), which survives the runner; one that has to wait is written here as well and forced to the disk,
//! so that it survives the machine. It is moved to the attempt's folder when Redis has acknowledged it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::Duration,
};

use super::Home;
use crate::{model::id::TaskId, store::tasks::Report};

/// No report of ours comes near: its text is bounded.
const LARGEST: u64 = 64 << 20;

impl Home {
    fn report(&self, task: &TaskId, attempt: u32) -> PathBuf {
        self.reports().join(format!("{task}.{attempt}.json"))
    }

    /// Writes a report, whole or not at all.
    ///
    /// # Errors
    /// What the system says (a full or read-only disk).
    pub fn write_report(&self, report: &Report) -> io::Result<()> {
        let bytes = serde_json::to_vec(report)?;
        super::write_atomically(&self.report(&report.task, report.attempt), &bytes)
    }

    /// Forces a report to the disk itself.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_report(&self, report: &Report) -> io::Result<()> {
        fs::File::open(self.report(&report.task, report.attempt))?.sync_all()?;
        fs::File::open(self.reports())?.sync_all()
    }

    /// Redis has heard it, or refused it for good: the report becomes the attempt's `result.json`.
    ///
    /// # Errors
    /// What the system says.
    pub fn file_report(&self, task: &TaskId, attempt: u32) -> io::Result<()> {
        let from = self.report(task, attempt);
        let filed = fs::rename(&from, self.run(task, attempt).join("result.json"));
        // The attempt's folder is its program's as well, which may have removed or spoiled it: Redis has the result.
        filed.or_else(|_| match fs::remove_file(&from) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
    }

    /// Writes an acknowledged report into the attempt's folder, as its `result.json`.
    ///
    /// # Errors
    /// What the system says. The folder is its program's as well, which may have spoiled it.
    pub fn keep_result(&self, report: &Report) -> io::Result<()> {
        let path = self.run(&report.task, report.attempt).join("result.json");
        let mut options = fs::OpenOptions::new();
        let mut file = super::open_plain(&path, options.write(true).create(true).truncate(true).mode(0o600))?;
        file.write_all(&serde_json::to_vec(report)?)
    }

    /// How an attempt ended, as its runner reported it, whether Redis has heard it or not.
    pub fn known_end(&self, task: &TaskId, attempt: u32) -> Option<Report> {
        let filed = || super::read_json(&self.run(task, attempt).join("result.json"));
        super::read_json(&self.report(task, attempt)).or_else(filed).or_else(|| self.journaled_end(task, attempt))
    }

    /// Removes what writers that were killed have left half-written; one that still writes takes milliseconds.
    pub fn remove_unfinished_reports(&self, older_than: Duration) {
        for entry in fs::read_dir(self.reports()).into_iter().flatten().flatten() {
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if entry.path().extension().is_some_and(|x| x == "tmp") && age().is_some_and(|age| age >= older_than) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Every report that lies here. One that does not read is skipped: its attempt ends by its lease.
    pub fn unheard_reports(&self) -> Vec<Report> {
        fs::read_dir(self.reports())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "json"))
            // Opening a pipe would wait for its other end; reading a device would not end.
            .filter(|e| e.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST))
            .filter_map(|e| serde_json::from_slice(&fs::read(e.path()).ok()?).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cause::Cause;

    #[test]
    fn a_report_lies_there_until_it_is_filed() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("h"));
        home.create().unwrap();
        let report = Report {
            task: TaskId::random(),
            attempt: 2,
            agent: "a-1".into(),
            incarnation: "x".into(),
            fence: 7,
            cause: Cause::Success,
            code: crate::model::end_code::EndCode::Unknown,
            reason: "done".into(),
            exit_code: Some(0),
            result: None,
            retry_after_ms: None,
            is_exact: false,
            account: None,
            evidence: None,
        };
        super::super::create_dir(&home.run(&report.task, 2)).unwrap();
        home.write_report(&report).unwrap();
        home.sync_report(&report).unwrap();
        assert_eq!(home.unheard_reports(), std::slice::from_ref(&report));
        home.file_report(&report.task, 2).unwrap();
        assert_eq!(home.unheard_reports(), []);
        assert!(home.run(&report.task, 2).join("result.json").exists());
        assert_eq!((home.known_end(&report.task, 2), home.known_end(&report.task, 1)), (Some(report.clone()), None));
        home.file_report(&report.task, 2).unwrap();
    }

    #[test]
    fn what_was_never_finished_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("h"));
        home.create().unwrap();
        let (unfinished, whole) = (home.reports().join("t-1.1.tmp"), home.reports().join("t-1.1.json"));
        fs::write(&unfinished, "{").unwrap();
        fs::write(&whole, "{").unwrap();
        home.remove_unfinished_reports(Duration::from_secs(60));
        assert!(unfinished.exists(), "its writer may be at it");
        home.remove_unfinished_reports(Duration::ZERO);
        assert!(!unfinished.exists() && whole.exists());
    }
}
