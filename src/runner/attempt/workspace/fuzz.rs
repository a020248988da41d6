//! A result file contains whatever a program has written.

use proptest::prelude::*;

use super::*;
use crate::{
    config::DriverKind,
    drivers::{self, AgentOptions, Conversation, End},
    model::time::Timestamp,
};

fn read_back(bytes: &[u8]) -> Result<Option<ResultFile>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answer.json");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// What cannot be read gives an error message; what can is accepted by every driver.
fn check(bytes: &[u8], exit_code: Option<i32>, signal: Option<i32>) -> Result<(), TestCaseError> {
    for kind in DriverKind::all().filter(|kind| drivers::of(*kind).is_some()) {
        let file = match read_back(bytes) {
            Ok(file) => file,
            Err(why) => {
                prop_assert!(!why.is_empty());
                None
            }
        };
        let stdout = String::from_utf8_lossy(bytes);
        let mut reported = Conversation::default();
        let mut transcript = drivers::of(kind).unwrap().transcript(&AgentOptions::default());
        let events = stdout.lines().flat_map(|line| transcript.as_mut().map(|t| t.line(line)).unwrap_or_default());
        events.for_each(|event| reported.take(&event));
        let conversation = transcript.is_some().then_some(&reported);
        let now = Timestamp(0);
        let end = End {
            exit_code,
            signal,
            stdout: &stdout,
            stderr: &stdout,
            file,
            conversation,
            on_a_terminal: false,
            was_asking: false,
            hold_denied: true,
            now,
        };
        let verdict = drivers::of(kind).unwrap().read(end);
        prop_assert!(!verdict.reason.chars().any(|c| c.is_control()), "{:?}", verdict.reason);
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::fuzz::cases(128))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), code in any::<Option<i32>>()) {
        check(&bytes, code, None)?;
    }

    #[test]
    fn any_value_for_any_field(
        fields in prop::collection::vec(
            (
                prop::sample::select(vec!["text", "data", "usage", "cause", "retry_after_ms", "x"]),
                prop::sample::select(vec![
                    "null", "1", "-1", "1e400", "18446744073709551615", "\"\"", "\"success\"", "\"rate_limited\"", "[]",
                    "{}", "[[[[]]]]", "{\"input_tokens\":-1}", "{\"cost_usd\":1e999}", "\"\\u001b[31m\\ud800\"", "\"é\"",
                ]),
            ),
            0..6,
        ),
        code in prop::option::of(prop::sample::select(vec![0, 1, 65, 75, 77, 127, -1, 300])),
        signal in prop::option::of(-5i32..80),
    ) {
        let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        check(format!("{{{}}}", fields.join(",")).as_bytes(), code, signal)?;
    }
}

#[test]
fn a_result_that_is_no_file_or_nested_too_deeply_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path()).is_err_and(|why| why.contains("not a file")));
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    assert!(read(&link).is_err_and(|why| why.contains("not a file")));
    assert!(read_back(format!("{{\"data\":{}", "[".repeat(100_000)).as_bytes()).is_err());
}
