//! What tmux prints: a person's hooks print into it too, and names of foreign sessions are anything.

use proptest::prelude::*;

use super::{
    commands::{listed, opened, was_ours},
    types::Version,
    typing::{check_line, looked},
};

proptest! {
    #![proptest_config(crate::fuzz::cases(256))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = (listed(&text), opened(&text), was_ours(&text));
        let _ = Version::parse(&text).check();
        let _ = looked(&text, std::time::SystemTime::now());
    }

    /// Whatever is typed is one line, which nothing in it ends.
    #[test]
    fn any_text_that_may_be_typed_is_a_line(text in any::<String>()) {
        if check_line(&text).is_ok() {
            prop_assert_eq!(text.lines().count(), 1);
            let is_special = text.contains(['\u{1b}', '\u{9b}', '\r']) || text.starts_with(['!', '/']);
            prop_assert!(!is_special, "{}", text.escape_debug());
        }
    }

    #[test]
    fn any_words_of_a_listing_are_read_or_refused(
        words in prop::collection::vec(
            prop::sample::select(vec!["$1", "$", ":", "0", "-1", "99999999999999999999", "%3", " ", "\n", "x", "é", "shop@1a"]),
            0..60,
        )
    ) {
        let text = words.concat();
        if let Ok(sessions) = listed(&text) {
            prop_assert!(sessions.len() <= text.lines().count());
        }
        let _ = opened(&text);
    }

    /// A foreign session has no tags of ours, whatever it is called.
    #[test]
    fn a_foreign_session_is_never_ours(name in "[^:.\\n\\r\u{85}\u{2028}\u{2029}\u{b}\u{c}]{1,40}") {
        let sessions = listed(&format!("$1:17:0:%3:30:0:{name}:   \n")).unwrap();
        prop_assert_eq!((sessions[0].name.as_str(), &sessions[0].tags), (name.as_str(), &None));
    }
}
