//! The two watches.

use std::{fs, io::Write, time::Duration};

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::{RETRY_FOR, Script, eventually};
use crate::os::{ExitWatch, FileChange, FileWatch, ProcessId};

/// Long enough to notice an unexpected event; short enough not to delay the tests.
const NOTHING: Duration = Duration::from_millis(50);

#[tokio::test]
async fn the_end_of_a_foreign_child_is_seen() {
    let mut script = Script::start("sleep 1000 >/dev/null & echo ready");
    script.wait();
    let found = crate::os::members(&script.by_session(), &[]).expect("/proc");
    let [orphan] = found[..] else { panic!("{found:?}") };
    let mut watch = ExitWatch::new(&orphan).expect("a watch").expect("it lives");
    assert!(timeout(NOTHING, watch.exited()).await.is_err(), "it lives");
    assert!(orphan.signal(Signal::SIGKILL).expect("ours"));
    timeout(RETRY_FOR, watch.exited()).await.expect("its end");
    timeout(RETRY_FOR, watch.exited()).await.expect("its end again");
    assert!(!orphan.is_alive());
}

#[tokio::test]
async fn a_process_that_is_gone_cannot_be_watched() {
    let mut script = Script::start("echo ready; exec sleep 1000");
    let earlier = ProcessId { start_time: script.id.start_time - 1, ..script.id };
    assert!(ExitWatch::new(&earlier).expect("no error").is_none(), "its pid is another's by now");
    script.id.signal(Signal::SIGKILL).expect("ours");
    eventually("a zombie", || !script.id.is_alive());
    assert!(ExitWatch::new(&script.id).expect("no error").is_none(), "a zombie");
    script.wait();
    assert!(ExitWatch::new(&script.id).expect("no error").is_none(), "no such process");
}

#[tokio::test]
async fn what_is_written_and_removed_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let mut file = fs::File::create(&path).expect("a file");
    let mut watch = FileWatch::new(&path).expect("a watch");
    assert!(timeout(NOTHING, watch.changed()).await.is_err(), "nothing has changed");

    for _ in 0..2 {
        writeln!(file, "a line").expect("write");
        let change = timeout(RETRY_FOR, watch.changed()).await.expect("a change").expect("inotify");
        assert_eq!(change, FileChange::Modified);
    }
    assert!(timeout(NOTHING, watch.changed()).await.is_err(), "each change is reported once");

    // `file` is still open: an unlinked file with a reader.
    fs::remove_file(&path).expect("remove");
    for _ in 0..2 {
        let change = timeout(RETRY_FOR, watch.changed()).await.expect("the end").expect("inotify");
        assert_eq!(change, FileChange::Gone);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, new) = (folder.path().join("log"), folder.path().join("new"));
    fs::write(&path, "old").expect("write");
    fs::write(&new, "new").expect("write");
    let mut watch = FileWatch::new(&path).expect("a watch");
    fs::rename(&new, &path).expect("rename");
    let change = timeout(RETRY_FOR, watch.changed()).await.expect("a change").expect("inotify");
    assert_eq!(change, FileChange::Gone);
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let error = FileWatch::new(std::path::Path::new("/nonexistent/log")).expect_err("no such file");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nonexistent/log"), "{error}");
}
