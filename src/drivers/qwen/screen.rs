//! The screen layout of `qwen` 0.24.4.
//!
//! | state | title | screen's bottom |
//! |---|---|---|
//! | working | `◐ Qwen - dir` | input line between two rules; above it `⠇ … (2s · esc to cancel)` |
//! | idle | `Qwen - dir` | input line: a rule, `>   Type your message`, a rule, hints |
//! | asking | `✳ Qwen - dir` | choices `› 1. Yes, allow once` in place of the input line |
//! | login wanted | `Qwen - dir` | a box `Connect a Provider` in place of the input line |

use crate::drivers::common::screen::{
    self, Prompt, Seen, bottom, choice, first_choice, indent, is_rule, lines, paragraphs, wants_login,
};
use crate::model::wait::Needs;

/// The cursor of a list.
const CURSOR: char = '›';

/// Returns what the program does. A question on the screen wins over the title, which says nothing of menus and logins.
pub(in crate::drivers) fn see(title: &str, screen: &str) -> Seen {
    let works = title.starts_with(['◐', '◑', '◒', '◓']);
    let lines = lines(screen);
    let Some(top) = input_line(&lines) else {
        return match question(bottom(&lines)) {
            Some(needs) => Seen::Asking(needs),
            None if works => Seen::Working,
            None if title.starts_with('✳') => Seen::Asking(Needs::Permission),
            None => Seen::Unknown,
        };
    };
    let above = &lines[..top];
    Seen::at_prompt(works || is_working(above), ends_with_login_error(above))
}

/// Returns the state of the input line. In shell mode it counts as filled, because typed text would be a command.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    let Some(top) = input_line(&lines) else { return Prompt::Absent };
    match lines[top + 1].strip_prefix(['>', '*']) {
        // Where its cursor stands is a character without width.
        Some(typed) => Prompt::with(typed.trim_matches([' ', '\u{200b}']), &["Type your message"]),
        None => Prompt::Filled,
    }
}

/// Returns the line of the rule above the input, if the screen ends with the input: a rule and hints are under it.
fn input_line(lines: &[&str]) -> Option<usize> {
    let under = lines.iter().rposition(|line| is_rule(line, '─')).filter(|at| lines.len() - at <= 6)?;
    let top = lines[..under].iter().rposition(|line| is_rule(line, '─'))?;
    lines[top + 1].starts_with(['>', '*', '!']).then_some(top)
}

/// What is asked in place of the input line: by a tool, which is waited for in the last line, or by a box that ends there.
fn question(lines: &[&str]) -> Option<Needs> {
    let says = |words: &str| lines.iter().any(|line| line.contains(words));
    let last = lines.last()?;
    if last.ends_with("Waiting for user confirmation...") && screen::is_turning(last) {
        let first = lines.iter().rev().filter_map(|line| choice(line, CURSOR)).find(|(number, _)| *number == 1);
        let is_permission = first.is_some_and(|(_, text)| text.starts_with("Yes, ")) && !says("Enter: Select");
        return Some(if is_permission { Needs::Permission } else { Needs::Input });
    }
    let is_box = indent(last) <= 2 && last.trim_start().starts_with(['╰', '└']);
    is_box.then(|| if says("Connect a Provider") { Needs::Login } else { Needs::Input })
}

/// Returns what exactly a tool asks: `? Shell touch a1 (Run it) ←`, or the question above the choices.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let tool = lines.iter().rev().find_map(|line| line.trim_start().strip_prefix("? "));
    match question(bottom(&lines))? {
        Needs::Permission => Some(format!("use {}", tool?.trim_end_matches(['←', ' ']))),
        _ => paragraphs(&lines[..first_choice(&lines, '❯')?]).pop().filter(|_| tool.is_some()),
    }
}

/// `⠇ … (2s · esc to cancel)` above, in two lines where it is narrow, and under it what is queued. A text begins with
/// another sign, and continues further to the right.
fn is_working(above: &[&str]) -> bool {
    let is_turning = |line: &&str| indent(line) <= 2 && screen::is_turning(line);
    above.iter().rev().take(8).any(is_turning)
}

/// `✕ [API Error: …` as the last output.
fn ends_with_login_error(above: &[&str]) -> bool {
    let Some(at) = above.iter().rposition(|line| line.trim_start().starts_with('✕')) else { return false };
    let error = above[at..].iter().take_while(|line| !line.is_empty());
    let is_last = above[at..].iter().skip(error.clone().count()).all(|line| line.is_empty());
    indent(above[at]) <= 2 && is_last && wants_login(error.map(|line| line.trim_start_matches([' ', '✕'])))
}
