//! The files in ORCH_HOME: reports, launches, outputs. With any content, nothing panics, hangs, or hides other files.

use proptest::prelude::*;

use super::{
    launch::Launch,
    output::{self, Line, OutputLog, Reader, Stream},
    *,
};
use crate::{
    model::{cause::Cause, time::Timestamp},
    samples,
    store::tasks::Report,
};

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("h"));
    home.create().unwrap();
    (dir, home)
}

fn report() -> Report {
    Report { fence: 7, ..samples::report(&TaskId::random(), 1, Cause::Success) }
}

/// JSON with one error: a single place is replaced.
fn nearly(json: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let json = json.as_bytes().to_vec();
    (any::<prop::sample::Index>(), 0usize..12, prop::collection::vec(any::<u8>(), 0..6)).prop_map(
        move |(at, length, instead)| {
            let from = at.index(json.len());
            let to = (from + length).min(json.len());
            [&json[..from], &instead, &json[to..]].concat()
        },
    )
}

fn all_lines(dir: &Path, reads: usize) -> io::Result<Vec<Line>> {
    let (mut reader, mut lines) = (Reader::new(dir), Vec::new());
    for n in 0..=reads {
        reader.read(n == reads, |line| lines.push(line))?;
    }
    Ok(lines)
}

fn is_safe(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

proptest! {
    #![proptest_config(crate::fuzz::cases(64))]

    #[test]
    fn a_report_with_any_content_hides_no_other(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            nearly(&serde_json::to_string(&report()).unwrap()),
        ]
    ) {
        let (_dir, home) = home();
        let good = report();
        home.write_report(&good).unwrap();
        fs::write(home.reports().join("t-7k2m9qx4hz.1.json"), &bytes).unwrap();
        let read = home.pending_reports();
        prop_assert!(read.contains(&good) && read.len() <= 2);
    }

    #[test]
    fn a_launch_with_any_content_is_taken_or_refused_and_removed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_dir, home) = home();
        let path = home.launch("x");
        fs::write(&path, &bytes).unwrap();
        prop_assert!(Launch::take(&path).is_err_and(|e| e.message.contains("x.json")));
        prop_assert!(!path.exists(), "it contains secrets");
    }

    #[test]
    fn any_index_over_any_output_is_read(
        output in prop::collection::vec(any::<u8>(), 0..300),
        index in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            prop::collection::vec("([0-9]{1,21}|x|-1) [oe?] ([0-9]{1,3}|18446744073709551615|x)\n?", 0..8)
                .prop_map(|lines| lines.concat().into_bytes()),
        ],
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("output"), &output).unwrap();
        fs::write(dir.path().join("output.index"), &index).unwrap();
        for line in all_lines(dir.path(), 2).unwrap() {
            prop_assert!(is_safe(line.text.trim_end_matches('\r')), "{line:?}");
        }
        if let Some((_, text)) = output::last_lines(dir.path()).unwrap() {
            prop_assert!(is_safe(&text) && text.lines().count() <= 2, "{text:?}");
        }
    }

    /// The lines are the same regardless of the pieces they were written in and the number of reads.
    #[test]
    fn what_was_written_in_pieces_is_read_as_it_was_written(
        pieces in prop::collection::vec((any::<bool>(), prop_oneof!["[a-c\nü]{0,9}", "\\x1b\\[[0-9]{1,2}m[a-z]{1,3}"]), 0..12),
        looks in 0usize..4,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = OutputLog::new(dir.path());
        let (mut reader, mut seen) = (Reader::new(dir.path()), Vec::new());
        for (n, (is_err, piece)) in pieces.iter().enumerate() {
            let stream = if *is_err { Stream::Err } else { Stream::Out };
            log.append(Timestamp(n as u64), stream, piece.as_bytes()).unwrap();
            if n % (looks + 1) == 0 {
                reader.read(false, |line| seen.push(line)).unwrap();
            }
        }
        reader.read(true, |line| seen.push(line)).unwrap();
        for stream in [Stream::Out, Stream::Err] {
            let is_its = |(is_err, _): &&(bool, String)| *is_err == (stream == Stream::Err);
            let printed: String = pieces.iter().filter(is_its).map(|(_, piece)| piece.as_str()).collect();
            let lines: Vec<&str> = seen.iter().filter(|l| l.stream == stream).map(|l| l.text.as_str()).collect();
            let expected: Vec<String> = printed.lines().map(|line| crate::model::text::plain(line.as_bytes())).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}

/// Opening a pipe would block the supervisor until its other end is opened.
#[test]
fn entries_that_are_not_files_are_skipped_among_the_reports() {
    let (_dir, home) = home();
    let good = report();
    home.write_report(&good).unwrap();
    nix::unistd::mkfifo(&home.reports().join("pipe.json"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::create_dir(home.reports().join("folder.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", home.reports().join("endless.json")).unwrap();
    assert_eq!(home.pending_reports(), [good]);
}

/// Two entries whose lengths overflow when added, and one that is not text.
#[test]
fn an_index_with_absurd_lengths_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("output"), "abc\n").unwrap();
    let index = [&b"1 o 18446744073709551615\n1 o 18446744073709551615\n"[..], b"\xff\xfe\n"].concat();
    fs::write(dir.path().join("output.index"), index).unwrap();
    assert_eq!(all_lines(dir.path(), 3).unwrap()[0].text, "abc");
}
