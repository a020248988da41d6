//! Words and texts that come from outside: each is read or refused with a sentence.

use proptest::prelude::*;

use super::{
    agent::AgentState,
    cause::Cause,
    duration,
    id::{Capability, TaskId},
    task::TaskState,
    text::{one_line, plain, printed},
    time::Timestamp,
};

proptest! {
    #![proptest_config(crate::fuzz::cases(256))]

    #[test]
    fn any_word_is_read_or_refused(text in any::<String>()) {
        let _ = (text.parse::<TaskState>(), text.parse::<AgentState>(), text.parse::<Cause>());
        let _ = (text.parse::<TaskId>(), text.parse::<Capability>(), duration::parse(&text));
    }

    #[test]
    fn any_duration_is_read_or_refused(text in "[0-9.]{0,40}(ms|s|m|h|d|x| ){0,3}[0-9.]{0,5}[smhd]?") {
        if let Ok(read) = duration::parse(&text) {
            prop_assert!(!duration::human(read).is_empty());
        }
    }

    #[test]
    fn a_capability_that_reads_is_written_the_same(text in "t-[0-9a-z]{10}\\.[0-9]{1,12}\\.[0-9]{1,22}\\.[a-z0-9.]{0,9}") {
        if let Ok(capability) = text.parse::<Capability>() {
            prop_assert_eq!(capability.to_string().parse(), Ok(capability));
        }
    }

    #[test]
    fn any_time_is_shown(ms in any::<u64>(), earlier in any::<u64>()) {
        let (at, earlier) = (Timestamp(ms), Timestamp(earlier));
        prop_assert!(!at.to_string().is_empty());
        let _ = (at.clock(super::time::Zone::Utc, earlier), duration::human(at.since(earlier)));
    }

    /// Nothing that a terminal would obey, however the escapes are nested.
    #[test]
    fn no_escape_goes_through(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(
                prop::sample::select(vec![0x1b, b'[', b']', b'P', b'_', 0x07, 0x9b, 0x9d, 0xc2, 0x90, b'\\', b';', b'm', b'a', b'\n', b'\t', b'\r']),
                0..60,
            ),
        ],
        columns in 0usize..100,
    ) {
        let text = plain(&bytes);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        let printed = printed(&bytes);
        prop_assert_eq!(printed.replace("\r", ""), text.as_str());
        prop_assert!(printed.split('\n').all(|line| !line.trim_end_matches('\r').contains('\r')), "{printed:?}");
        prop_assert!(!printed.rsplit('\n').next().is_some_and(|last| last.contains('\r')), "{printed:?}");
        let line = one_line(&text, columns);
        prop_assert!(!line.contains('\n') && unicode_width::UnicodeWidthStr::width(line.as_str()) <= columns.max(1), "{line:?}");
    }
}
