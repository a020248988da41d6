//! The verbs in groups, for `orch --help`: clap itself lists them without groups.

use clap::{Command, builder::StyledStr};

use crate::view::text::{hanging, pad};

/// Each visible verb once, in the order in which a new user needs them. A test checks that none is missing.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("Start and stop", &["init", "start", "stop", "restart", "status", "attach", "doctor"]),
    (
        "Tasks",
        &["delegate", "wait", "result", "tasks", "show", "why", "edit", "cancel", "retry", "plan", "schedule", "prune"],
    ),
    ("Locks", &["lock", "unlock", "locks"]),
    ("Questions and messages", &["ask", "questions", "approvals", "answer", "approve", "deny", "send", "inbox"]),
    ("Watch", &["logs", "events", "costs", "budget"]),
    ("Agents", &["agents", "spawn", "kill", "scale", "reload"]),
    ("Flow", &["pause", "drain", "resume", "dismiss"]),
    ("Shell and programs", &["completions", "man", "mcp"]),
    ("Verification", &["drill"]),
];

const EXAMPLES: &str = "  orch start
  orch delegate --role shell 'echo hello'
  orch delegate --wait 'Explain the build of this project'
  orch status --watch
  orch why t-7k2m9qx4hz";

const NAME_COLUMNS: usize = 12;

/// The command with its own help page.
pub(super) fn add(command: Command, width: usize) -> Command {
    let mut list = String::new();
    for (title, verbs) in GROUPS {
        list.push_str(&heading(title));
        for verb in *verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about).map(StyledStr::to_string);
            let name = format!("  {} ", pad(verb, NAME_COLUMNS));
            list.push_str(&hanging(&name, &about.unwrap_or_default(), Some(width)));
        }
        list.push('\n');
    }
    let examples = format!("{}{EXAMPLES}\n\n'orch VERB --help' describes a verb.", heading("Examples"));
    command
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{{before-help}}{}{{options}}{{after-help}}",
            heading("Options")
        ))
        .override_usage("orch [OPTIONS] VERB ...")
        .before_help(StyledStr::from(list.trim_end().to_owned()))
        .after_help(StyledStr::from(examples))
}

fn heading(title: &str) -> String {
    // Clap's own style of a heading; clap removes it if the output is not a terminal.
    format!("\x1b[1;4m{title}:\x1b[0m\n")
}
