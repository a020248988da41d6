//! The last words of a command: which code, and what is said on the way out.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
};

use clap::error::ErrorKind;

use super::{
    end::End,
    out::Out,
    render::style::{self, Style},
};
use crate::{
    error::{Error, Kind},
    model::text,
};

/// `orch`, and nothing else.
pub(super) const NOTHING_TYPED: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// Says why it ended, and returns the exit code.
pub(super) fn report(end: End, out: &mut Out, json: bool) -> u8 {
    let End::Error(error) = end else { return 0 };
    // What was answered before the error comes before it.
    let flushed = out.flush();
    if json && flushed.is_ok() {
        // Nothing can be said if even this cannot be written; the code still says it.
        let _ = out.json(&serde_json::json!({"error": error}), false).and_then(|()| out.flush());
    } else {
        say(&error);
    }
    error.kind.exit_code()
}

fn say(error: &Error) {
    let stderr = io::stderr();
    let colour = stderr.is_terminal() && style::wanted();
    let within_attempt = std::env::var_os("ORCH_TASK").is_some_and(|task| !task.is_empty());
    let said = if within_attempt { on_one_line(error) } else { on_lines(error, colour) };
    // Standard error may be closed; then the exit code has to do.
    let _ = stderr.lock().write_all(said.as_bytes());
}

fn on_lines(error: &Error, colour: bool) -> String {
    let mut said = format!("{} {}\n", style::paint("orch:", Style::Red, colour), indented(&error.message));
    if let Some(hint) = &error.hint {
        said.push_str(&format!("  {} {}\n", style::paint("hint:", Style::Bold, colour), indented(hint)));
    }
    said
}

/// The last line that an agent's program writes to standard error becomes the reason why its attempt failed. A hint on a
/// line of its own would be that reason, and what happened would be lost.
fn on_one_line(error: &Error) -> String {
    let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let said = text::plain(format!("orch: {}{hint}", error.message).as_bytes());
    said.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"
}

/// Says something beside the answer, on standard error: for a person, never for a program.
pub(super) fn note(said: &str) {
    let _ = io::stderr().lock().write_all(format!("orch: {}\n", indented(said)).as_bytes());
}

/// Shows a page of help to somebody who did not ask for it.
pub(super) fn help(page: &str) -> u8 {
    let _ = io::stderr().lock().write_all(page.as_bytes());
    Kind::Usage.exit_code()
}

/// Further lines stand under the first.
fn indented(message: &str) -> String {
    text::plain(message.as_bytes()).trim_end().replace('\n', "\n    ")
}

/// Whether the words ask for JSON; also for words that do not parse.
pub(super) fn wants_json(words: &[OsString]) -> bool {
    words.iter().take_while(|w| *w != "--").any(|w| w == "--json")
}

/// Clap's complaint as an error of ours: its first paragraph is the message; the hint is what was probably meant, else
/// how it is written.
pub(super) fn usage(complaint: &clap::Error) -> Error {
    if matches!(complaint.kind(), NOTHING_TYPED | ErrorKind::MissingSubcommand) {
        return Error::usage("no verb was given").hint("orch --help lists them");
    }
    let rendered = complaint.render().to_string();
    let mut paragraphs = rendered.split("\n\n");
    let first: Vec<&str> = paragraphs.next().unwrap_or_default().lines().map(str::trim).collect();
    let message = first.join(" ");
    let unknown_verb = complaint.kind() == ErrorKind::InvalidSubcommand;
    // What clap calls a subcommand is a verb everywhere else.
    let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
    let error = Error::usage(message.replacen("unrecognized subcommand", "there is no verb", 1));
    if let Some(meant) = probably_meant(complaint) {
        let all = if unknown_verb { " orch --help lists the verbs" } else { "" };
        return error.hint(format!("did you mean '{meant}'?{all}"));
    }
    if unknown_verb {
        return error.hint("orch --help lists the verbs");
    }
    let lines: Vec<&str> = paragraphs.flat_map(str::lines).map(str::trim).collect();
    let usage = lines.iter().find(|line| line.starts_with("Usage: "));
    error.hint(match (as_a_value(complaint), usage) {
        (Some(tip), _) => tip,
        (None, Some(usage)) => format!("{usage}   (--help after the verb says more)"),
        (None, None) => "--help after the verb says what it takes".to_owned(),
    })
}

/// A text that begins with a dash is taken for an option. clap says so of every unknown option, most of which are just
/// that; a text has more than one word.
fn as_a_value(complaint: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(typed)) = complaint.get(ContextKind::InvalidArg) else { return None };
    let is_text = complaint.kind() == ErrorKind::UnknownArgument && typed.contains(char::is_whitespace);
    is_text.then(|| "a text that begins with '-' goes after '--': orch delegate -- '-n is missing'".to_owned())
}

/// The likeliest of clap's suggestions, which it lists last.
fn probably_meant(complaint: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match complaint.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    })
}

/// From here on a panic, anywhere, ends the process with a sentence and exit code 70, instead of half-living on.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        let said = format!(
            "orch: this is a bug in orch {version}{place}: {what}\n  \
             hint: tasks are safe: nothing that was accepted is lost. Please report it with the lines above\n"
        );
        let _ = io::stderr().lock().write_all(said.as_bytes());
        std::process::exit(i32::from(Kind::Internal.exit_code()));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_an_attempt_what_happened_is_on_the_last_line() {
        let error = Error::failed("task t-1 has failed:\n  exit code 1").hint("orch why t-1 explains it");
        assert_eq!(on_one_line(&error), "orch: task t-1 has failed: exit code 1 (orch why t-1 explains it)\n");
        assert_eq!(on_lines(&error, false).lines().count(), 3);
    }
}
