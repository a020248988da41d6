//! Errors with their hints, for a terminal, a prompt, a single line, or a program.

use super::{Style, View, text::safe};
use crate::error::Error;

/// `orch: ...` and the hint, for standard error. Further lines are indented.
pub fn on_lines(error: &Error, colour: bool) -> String {
    let paint = |text, style| super::style::paint(text, style, colour);
    let mut said = format!("{} {}\n", paint("orch:", Style::Red), indented(&error.message));
    if let Some(hint) = &error.hint {
        said.push_str(&format!("  {} {}\n", paint("hint:", Style::Bold), indented(hint)));
    }
    said
}

/// The same in one line. The last line that an agent's program writes to standard error becomes the reason of its failure:
/// a hint on a line of its own would replace the message there.
pub fn on_one_line(error: &Error) -> String {
    let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let said = safe(&format!("orch: {}{hint}", error.message));
    said.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"
}

/// The message and the hint below it, broken between words.
pub fn at_prompt(error: &Error, view: &View) -> String {
    let message = view.paint(&view.fold(&safe(&error.message)), Style::Red);
    let hint = error.hint.as_deref().map(|h| format!("\n{}", view.fold(&format!("  {}", safe(h)))));
    message + &hint.unwrap_or_default()
}

/// Further lines are indented.
pub fn indented(message: &str) -> String {
    safe(message).trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_one_line_the_message_comes_first() {
        let error = Error::failed("task t-1 has failed:\n  exit code 1").hint("orch why t-1 explains it");
        assert_eq!(on_one_line(&error), "orch: task t-1 has failed: exit code 1 (orch why t-1 explains it)\n");
        assert_eq!(on_lines(&error, false).lines().count(), 3);
    }

    #[test]
    fn an_error_at_the_prompt_moves_no_cursor() {
        let view = View { width: Some(40), ..View::plain() };
        let error = Error::not_running("not accepted: Redis \x1b[2Jdoes not answer").hint("orch start");
        assert_eq!(at_prompt(&error, &view), "not accepted: Redis does not answer\n  orch start");
    }
}
