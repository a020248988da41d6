//! What is refused about a request, and what makes two of them the same.

use serde_json::json;

use super::*;
use crate::error::Kind;

fn asked(text: &str) -> Delegate {
    Delegate { text: text.into(), ..Delegate::default() }
}

#[test]
fn a_request_is_refused_with_what_is_wrong() {
    assert!(check(&asked("do it")).is_ok());
    assert!(check(&asked(&"x".repeat(TEXT_LIMIT))).is_ok());
    let with = |change: fn(&mut Delegate)| {
        let mut asked = asked("do it");
        change(&mut asked);
        asked
    };
    for (bad, said) in [
        (asked(" \n"), "no text"),
        (asked(&"x".repeat(TEXT_LIMIT + 1)), "1048577 bytes"),
        (asked("ab\0c"), "NUL character, at byte 2"),
        (with(|a| a.context = Some(json!({"a": ["b\0"]}))), "context holds a NUL"),
        (with(|a| a.artifacts = vec!["x".into(); 1_001]), "1001 artifacts"),
        (with(|a| a.artifacts = vec![String::new()]), "path is empty"),
        (with(|a| drop(a.labels.insert("k".into(), "x".repeat(5_000)))), "label k is 5000"),
        (with(|a| a.key = Some("auto:x".into())), "auto:"),
        (with(|a| a.timeout = Some(Duration::ZERO)), "limit of 0"),
        (with(|a| a.deadline = Some(Duration::ZERO)), "deadline of 0"),
    ] {
        let error = check(&bad).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains(said) && error.hint.is_some(), "{error}: {said}");
    }
}

#[test]
fn a_working_folder_is_absolute_and_there() {
    assert_eq!(folder(Path::new("/")), Ok("/".into()));
    for (path, said) in [("x", "absolute"), ("/nonexistent/x", "No such file"), ("/dev/null", "not a folder")] {
        assert!(folder(Path::new(path)).unwrap_err().message.contains(said), "{path}");
    }
}

#[test]
fn the_fingerprint_covers_exactly_what_makes_two_calls_the_same() {
    let one = fingerprint("a", &asked("bc"));
    assert_eq!(one, fingerprint("a", &Delegate { priority: Some(Priority::High), ..asked("bc") }));
    for other in [
        fingerprint("ab", &asked("c")),
        fingerprint("a", &asked("bd")),
        fingerprint("a", &Delegate { context: Some(json!(1)), ..asked("bc") }),
        fingerprint("a", &Delegate { cwd: Some("/".into()), ..asked("bc") }),
        fingerprint("a", &Delegate { after: vec![TaskId::random().to_string()], ..asked("bc") }),
    ] {
        assert_ne!(one, other);
    }
}
