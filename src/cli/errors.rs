//! How a command ends: its exit code, and the error on standard error or, with `--json`, on standard output.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
};

use clap::error::ErrorKind;

use super::stdio::{End, Out};
use crate::{
    error::{Error, Kind},
    view,
};

/// What clap says about `orch` without a verb.
pub(super) const NOTHING_TYPED: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// Shows why a command has ended early, and returns its exit code.
pub(super) fn report(end: End, out: &mut Out, json: bool) -> u8 {
    let End::Error(error) = end else { return 0 };
    // What was answered before the error comes before it.
    let flushed = out.flush();
    if json && flushed.is_ok() {
        // If even this cannot be written, the exit code has to do.
        let _ = out.json(&serde_json::json!({"error": error}), false).and_then(|()| out.flush());
    } else {
        show(&error);
    }
    error.kind.exit_code()
}

fn show(error: &Error) {
    let stderr = io::stderr();
    let colour = stderr.is_terminal() && view::style::wanted();
    let within_attempt = std::env::var_os("ORCH_TASK").is_some_and(|task| !task.is_empty());
    let text = if within_attempt { view::error::on_one_line(error) } else { view::error::on_lines(error, colour) };
    // If standard error is closed, the exit code has to do.
    let _ = stderr.lock().write_all(text.as_bytes());
}

/// Writes a remark to standard error: for a person, never for a program.
pub(super) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(format!("orch: {}\n", view::error::indented(text)).as_bytes());
}

/// Shows the help page if no verb was typed.
pub(super) fn help(page: &str) -> u8 {
    let _ = io::stderr().lock().write_all(page.as_bytes());
    Kind::Usage.exit_code()
}

/// Whether the words ask for JSON, even where they do not parse.
pub(super) fn wants_json(words: &[OsString]) -> bool {
    words.iter().take_while(|w| *w != "--").any(|w| w == "--json")
}

/// Converts an error of clap's: its first paragraph becomes the message; the hint is what was probably meant, or else how
/// the verb is used.
pub(super) fn usage(complaint: &clap::Error) -> Error {
    if matches!(complaint.kind(), NOTHING_TYPED | ErrorKind::MissingSubcommand) {
        return Error::usage("no verb was given").hint("orch --help lists them");
    }
    let rendered = complaint.render().to_string();
    let mut paragraphs = rendered.split("\n\n");
    let first: Vec<&str> = paragraphs.next().unwrap_or_default().lines().map(str::trim).collect();
    let message = first.join(" ");
    let unknown_verb = complaint.kind() == ErrorKind::InvalidSubcommand;
    // Clap's subcommands are called verbs everywhere else.
    let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
    let error = Error::usage(message.replacen("unrecognized subcommand", "there is no verb", 1));
    if let Some(meant) = probably_meant(complaint).filter(|_| elsewhere_called(complaint).is_none()) {
        let all = if unknown_verb { " orch --help lists the verbs" } else { "" };
        return error.hint(format!("did you mean '{meant}'?{all}"));
    }
    if unknown_verb {
        return error.hint(elsewhere_called(complaint).unwrap_or("orch --help lists the verbs"));
    }
    let lines: Vec<&str> = paragraphs.flat_map(str::lines).map(str::trim).collect();
    let usage = lines.iter().find(|line| line.starts_with("Usage: "));
    error.hint(match (as_a_value(complaint), usage) {
        (Some(tip), _) => tip,
        (None, Some(usage)) => format!("{usage}   (--help after the verb explains it)"),
        (None, None) => "orch VERB --help lists its arguments".to_owned(),
    })
}

/// What the verbs of other programs are called here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["add", "run", "submit", "enqueue", "exec", "task", "new", "create", "do"],
        "a task is submitted with: orch delegate 'TEXT'",
    ),
    (&["up", "begin", "boot", "launch"], "orch is started with: orch start"),
    (&["down", "exit", "quit", "shutdown", "halt"], "orch is stopped with: orch stop"),
    (
        &["rm", "remove", "delete", "abort", "del"],
        "a task is ended with: orch cancel TASK; an agent with: orch kill AGENT",
    ),
    (&["info", "inspect", "describe", "get", "view", "cat"], "orch show TASK|AGENT prints everything that is recorded"),
    (&["tail", "output", "follow"], "orch logs -f TASK|AGENT follows the output"),
    (&["history", "journal"], "orch tasks lists tasks, and orch events prints what has happened"),
    (&["explain", "debug"], "orch why TASK|AGENT explains a state"),
    (&["jobs", "queue", "q"], "orch tasks lists the tasks"),
    (&["enter", "open", "ssh", "shell"], "orch attach AGENT shows an agent's terminal"),
    (&["rerun", "redo", "restart-task"], "orch retry TASK runs a task again"),
    (&["message", "tell", "msg"], "orch send TASK|AGENT 'TEXT' sends a message"),
    (&["config", "setup"], "orch init writes a sessions.toml, and orch doctor checks the machine"),
];

/// What to type instead of a verb that other programs have.
fn elsewhere_called(complaint: &clap::Error) -> Option<&'static str> {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(typed)) = complaint.get(ContextKind::InvalidSubcommand) else { return None };
    ELSEWHERE.iter().find(|(verbs, _)| verbs.contains(&typed.as_str())).map(|(_, hint)| *hint)
}

/// A text that begins with a dash is parsed as an option. Unlike a mistyped option, a text has more than one word.
fn as_a_value(complaint: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(typed)) = complaint.get(ContextKind::InvalidArg) else { return None };
    let is_text = complaint.kind() == ErrorKind::UnknownArgument && typed.contains(char::is_whitespace);
    is_text.then(|| "a text that begins with '-' goes after '--': orch delegate -- '-n is missing'".to_owned())
}

/// The most likely of clap's suggestions, which it lists last.
fn probably_meant(complaint: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match complaint.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    })
}

/// From here on a panic in any thread ends the process with a message and exit code 70: no half of it lives on.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let version = crate::model::build::IN_WORDS;
        let said = format!(
            "orch: this is a bug in orch {version}{place}: {what}\n  \
             hint: tasks are safe: nothing that was accepted is lost. Please report it with the lines above\n"
        );
        let _ = io::stderr().lock().write_all(said.as_bytes());
        std::process::exit(i32::from(Kind::Internal.exit_code()));
    }));
}
