//! Replaces the status line of a session of ours while its program waits for a person. The line exists anyway, so the
//! size of the pane does not change, and nothing is typed into it.
//!
//! The text is written by agents. It is never part of a format, in which `#(...)` would be a command: it is the value
//! of a user option, which the format of the line names. It reaches tmux on standard input, because every local user
//! can read the arguments of a process.

use tmux_interface::IfShell;

use super::{
    Tags,
    commands::{self, Batch, OTHER, words},
};

/// The user option with the text: a user's own status line may show it as `#{@orch-asks}`.
const ASKS: &str = "@orch-asks";
/// The line while there is a text.
const LINE: &str = "#[fill=yellow,fg=black,bg=yellow] #{@orch-asks}";
/// The longest text, in characters: no terminal is wider.
const LONGEST: usize = 500;

/// Runs the commands of standard input if the session's tags are exactly these.
pub(super) fn batch(name: &str, tags: &Tags) -> Batch {
    let mut guard = words(
        IfShell::new()
            .not_execute()
            .target_pane(commands::target(name))
            .shell_command(commands::are_tags(tags))
            .command("source-file -".to_owned())
            .build(),
    );
    guard.push(format!("display-message -p {OTHER}").into());
    Batch::new(vec![guard])
}

/// The commands that show a text, or the user's own line again.
pub(super) fn commands(name: &str, text: Option<&str>) -> String {
    let target = quoted(&commands::target(name));
    match text {
        Some(text) => format!(
            "set-option -t {target} {ASKS} {}\nset-option -t {target} 'status-format[0]' {}\n",
            quoted(&literal(text)),
            quoted(LINE)
        ),
        None => format!("set-option -q -u -t {target} status-format\nset-option -q -u -t {target} {ASKS}\n"),
    }
}

/// A line that shows this text as it is: `##` stands for `#`, which could begin a style.
fn literal(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(visible).collect::<String>().replace('#', "##")
}

/// A word of tmux's configuration language.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
