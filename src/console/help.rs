//! The texts of the console itself: its greeting, `/help`, and its farewell.

use super::input::COMMANDS;
use crate::view::{Style, View};

/// The lines above the first prompt.
pub(super) fn greeting(namespace: &str, default_role: &str, view: &View) -> String {
    let lines = [
        format!("orch: {namespace}"),
        view.paint(&format!("A line is a task for @{default_role}."), Style::Dim),
        view.paint("Another role: @shell ls -la", Style::Dim),
        view.paint("Commands: /help", Style::Dim),
    ];
    lines.join("\n")
}

/// The lines after the last prompt.
pub(super) const GOODBYE: &str =
    "Tasks and agents continue.\nBack to the master: orch attach\nStop everything: orch stop";

/// `/help`
pub(super) fn help(default_role: &str, view: &View) -> String {
    let line = |what: String, means: &str| view.hanging(&format!("{what:<16}  "), means);
    let mut page = line("a line".to_owned(), &format!("a task for @{default_role}"));
    page.push_str(&line("@role text".to_owned(), "a task for that role"));
    for (command, argument, what) in COMMANDS {
        page.push_str(&line(format!("/{command} {argument}"), what));
    }
    page.push_str(&view.hanging(
        "",
        "Alt-Enter begins another line, a \\ at the end of a line continues it; a pasted text is one task.",
    ));
    page.push_str(&view.hanging("", "Tab completes, Ctrl-C clears the line, Ctrl-D leaves; nothing stops."));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::text::width;

    #[test]
    fn pages_name_the_commands_that_the_prompt_has() {
        let here = |verb: &&str| COMMANDS.iter().any(|(command, ..)| command == verb);
        assert!(crate::view::AT_THE_PROMPT.iter().all(here));
        let only_here = ["plan", "clear", "help", "quit"];
        let there = |command: &str| crate::view::AT_THE_PROMPT.contains(&command);
        assert!(COMMANDS.iter().all(|(command, ..)| there(command) || only_here.contains(command)));
    }

    #[test]
    fn greeting_and_help_are_readable_at_40_columns() {
        let view = View { width: Some(40), ..View::plain() };
        for line in greeting("shop", "sonnet", &view).lines().chain(GOODBYE.lines()) {
            assert!(width(line) <= 40, "{line}");
        }
        let help = help("sonnet", &view);
        for (command, ..) in COMMANDS {
            let line = help.lines().find(|l| l.starts_with(&format!("/{command} "))).unwrap();
            assert!(width(line) <= 40, "{line}");
        }
        assert!(help.lines().all(|l| width(l) <= 40) && !help.contains('…'), "{help}");
    }
}
