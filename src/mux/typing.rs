//! Reads a pane and types into it: only into the pane of a session of ours, and only one line at a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tmux_interface::{
    CapturePane, DeleteBuffer, DisplayMessage, IfShell, ListClients, LoadBuffer, PasteBuffer, TmuxCommand,
};
use uuid::Uuid;

use super::{
    MuxError, Result, Screen, Tags,
    commands::{self, Batch, OTHER, PANE, words},
};

/// Enter, as a terminal sends it. It is pasted like text: `send-keys` would press it in copy mode, which a user reads
/// in, and in every other pane of a synchronized window.
pub(super) const ENTER: &str = "\r";

/// The longest line to type, in bytes: a reader in canonical mode receives nothing of 1,024 or more.
const LONGEST: usize = 1000;

/// The prefix of the line that separates the pane's title from its content.
const SCREEN: &str = "orch:screen ";

/// Checks that a target is one of tmux's own pane ids.
pub(super) fn check_pane(pane: &str) -> Result<()> {
    let number = pane.strip_prefix('%').unwrap_or_default();
    if (1..=10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(MuxError::Invalid(format!("{pane:?} is no pane of tmux's: those are called %0, %1 and so on")))
}

/// Checks that a text may be typed as a line into an interactive program. It must not end the paste, nor have a
/// special meaning to the program.
pub(super) fn check_line(text: &str) -> Result<()> {
    let invalid = |why: String| Err(MuxError::Invalid(format!("this cannot be typed into a pane: {why}")));
    // Escape sequences, and characters that end a line.
    let is_special = |c: &char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if let Some(c) = text.chars().find(is_special) {
        return invalid(format!("it contains the control character {c:?}"));
    }
    match text.trim_start().chars().next() {
        None => return invalid("it is empty".into()),
        // `!` runs a shell command without confirmation, `/` is a command of the program.
        Some(c @ ('!' | '/')) => return invalid(format!("it begins with {c:?}, which makes it a command")),
        Some(_) => {}
    }
    if text.trim_end().ends_with('\\') {
        return invalid("it ends in a backslash, after which Enter starts another line".into());
    }
    if text.len() > LONGEST {
        return invalid(format!("it has {} bytes, the limit is {LONGEST}", text.len()));
    }
    Ok(())
}

/// Reads a pane: when its clients were last active and when they attached, its title, its visible lines.
pub(super) fn look(pane: &str) -> Batch {
    let title = format!("{SCREEN}#{{alternate_on}} #{{pane_title}}");
    Batch::new(vec![
        words(ListClients::new().target_session(pane).format("#{client_activity} #{client_created}").build()),
        words(DisplayMessage::new().print().target_pane(pane).message(title).build()),
        words(CapturePane::new().stdout().target_pane(pane).build()),
    ])
}

/// Parses the output of [`look`]. A user's hooks may print additional lines before the separator.
pub(super) fn looked(text: &str, now: SystemTime) -> Result<Screen> {
    let (before, rest) = text.split_once(SCREEN).unwrap_or((text, ""));
    if rest.is_empty() {
        return Err(MuxError::Refused(format!("it showed {text:?} of a pane")));
    }
    let (title, lines) = rest.split_once('\n').unwrap_or((rest, ""));
    let (alternate, title) = title.split_once(' ').unwrap_or(("", title));
    let clients = before.lines().filter_map(|line| {
        let (active, attached) = line.split_once(' ')?;
        Some((active.parse::<u32>().ok()?, attached.parse::<u32>().ok()?))
    });
    // tmux reports whole seconds: the time may have been up to one second later.
    let ago = |at: u32| now.duration_since(UNIX_EPOCH + Duration::from_secs(at.into()) + SECOND).unwrap_or_default();
    // Attaching counts as activity as well.
    let typed = clients.clone().filter(|(active, attached)| active > attached).map(|(active, _)| active).max();
    Ok(Screen {
        title: title.to_owned(),
        text: lines.trim_end().to_owned(),
        alternate: alternate == "1",
        last_typed: typed.map(ago),
        last_attached: clients.map(|(_, attached)| attached).max().map(ago),
    })
}

const SECOND: Duration = Duration::from_secs(1);

/// Returns a unique name for a buffer.
pub(super) fn new_buffer() -> String {
    format!("orch-{}", Uuid::new_v4().simple())
}

/// Types standard input into the pane: through that buffer, which is deleted afterwards, and only into the own pane of
/// a session with these tags. A dead pane is skipped too: tmux 3.3a crashes when pasting into one.
pub(super) fn paste(pane: &str, tags: &Tags, buffer: &str, bracketed: bool) -> Batch {
    let mut paste = PasteBuffer::new().no_replacement().delete().buffer_name(buffer).target_pane(pane);
    if bracketed {
        paste = paste.bracket_codes();
    }
    let own = format!("#{{&&:#{{==:#{{{PANE}}},#{{pane_id}}}},#{{!=:#{{pane_dead}},1}}}}");
    let condition = format!("#{{&&:{},{own}}}", commands::are_tags(tags));
    let mut guard = words(
        IfShell::new()
            .not_execute()
            .target_pane(pane)
            .shell_command(condition)
            .command(paste.build().to_string())
            .build(),
    );
    let refuse = format!("{} ; {}", delete(buffer), DisplayMessage::new().print().message(OTHER).build());
    guard.push(refuse.into());
    Batch::new(vec![words(LoadBuffer::new().buffer_name(buffer).path("-").build()), guard])
}

/// Deletes a buffer that [`paste`] may have left behind.
pub(super) fn forget(buffer: &str) -> Batch {
    Batch::new(vec![words(delete(buffer))])
}

fn delete(buffer: &str) -> TmuxCommand<'_> {
    DeleteBuffer::new().buffer_name(buffer).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_panes_are_targets() {
        for good in ["%0", "%7", "%4294967295"] {
            assert!(check_pane(good).is_ok(), "{good}");
        }
        for bad in ["", "%", "7", "@7", "$7", "%-1", "%7;", "%7.1", "=a:", "%٣", "%42949672950"] {
            assert!(check_pane(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_with_a_special_meaning_is_not_typed() {
        for good in ["orch: 2 new messages", "a;", "#(touch x) #{pid}", "ä 漢 🦀", &"x".repeat(LONGEST)] {
            assert!(check_line(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "  ",
            "a\nb",
            "a\r",
            "a\tb",
            "\u{1b}[201~",
            "\u{9b}201~",
            "\u{7f}",
            "\u{85}",
            "a\u{2028}b",
            "!ls",
            " /exit",
            "a \\ ",
            &"x".repeat(LONGEST + 1),
        ] {
            assert!(check_line(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_output_of_a_look_is_parsed() {
        let now = UNIX_EPOCH + Duration::from_millis(100_500);
        let screen = looked("97 90\n99 99\norch:screen 1 a title\n> hello\n\norch:screen b\n\n\n", now).unwrap();
        let expected = Screen {
            title: "a title".into(),
            text: "> hello\n\norch:screen b".into(),
            alternate: true,
            last_typed: Some(Duration::from_millis(2_500)),
            last_attached: Some(Duration::from_millis(500)),
        };
        assert_eq!(screen, expected);
        let nobody = looked("hooked\norch:screen 0 \n\n", now).unwrap();
        assert_eq!(nobody, Screen::default());
        let ahead = looked("200 10\norch:screen 0 x\n", now).unwrap();
        assert_eq!(ahead.last_typed, Some(Duration::ZERO), "a clock that was set back");
        assert!(looked("", now).is_err() && looked("90 90\n", now).is_err());
    }
}
