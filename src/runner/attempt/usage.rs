//! What a program has used, according to the records that it keeps of its conversation.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    drivers::Driver,
    home::files,
    model::{task::Usage, time::Timestamp},
};

/// No more agents than this are started within one conversation; a folder that contains more is something else.
const BESIDE: usize = 1000;

/// Returns the usage since then, from this record and those in the same folder. `None`: the records contain none.
pub(in crate::runner) fn used(driver: &dyn Driver, record: &Path, since: Timestamp) -> Option<Usage> {
    let beside = driver.records_beside(record).map(|folder| records_in(&folder)).unwrap_or_default();
    let read = |path: &Path| driver.used(&mut files::open_record(path).ok()?, since);
    let all = std::iter::once(record).chain(beside.iter().map(PathBuf::as_path));
    all.filter_map(read).reduce(|a, b| a.and(&b))
}

fn records_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // A program may have made any number of other files.
    let entries = entries.take(BESIDE * 10);
    entries.filter(|path| path.extension().is_some_and(|ext| ext == "jsonl")).take(BESIDE).collect()
}
