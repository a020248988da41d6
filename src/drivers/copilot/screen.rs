//! The screen layout of `copilot` 1.0.102. Its title names the conversation, and does not show its state.
//!
//! | state | screen's bottom |
//! |---|---|
//! | working | input line between two rules, under it `● Working · … esc interrupt` |
//! | idle | input line between two rules, under it the mode and hints |
//! | asking | a box with choices in place of the input line |
//! | not logged in | input line, and above it `Please use /login to sign in` |

use crate::drivers::common::screen::{Prompt, Seen, bottom, choice, first_choice, is_rule, lines, wants_login};
use crate::model::wait::Needs;

/// The cursor of a list, also the sign before the input.
const CURSOR: char = '❯';

/// Returns what the program does.
pub(in crate::drivers) fn see(_title: &str, screen: &str) -> Seen {
    let lines = lines(screen);
    let Some((top, under)) = input_line(&lines) else {
        return question(bottom(&lines)).map_or(Seen::Unknown, Seen::Asking);
    };
    Seen::at_prompt(lines[under..].iter().any(is_working), ends_with_login_error(&lines[..top]))
}

/// Returns the state of the input line.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    let Some((top, under)) = input_line(&lines) else { return Prompt::Absent };
    Prompt::with(lines[top + 1..under].join(" ").trim_start_matches(CURSOR), &[])
}

/// The rules above and below what is typed, if the screen ends with that and a line of hints.
fn input_line(lines: &[&str]) -> Option<(usize, usize)> {
    let under = lines.iter().rposition(|line| is_rule(line, '─')).filter(|at| lines.len() - at <= 4)?;
    let top = lines[..under].iter().rposition(|line| is_rule(line, '─'))?;
    lines[top + 1].starts_with([CURSOR, '!']).then_some((top, under))
}

/// `◎ Working · 6 B esc esc interrupt` in place of the mode.
fn is_working(hint: &&str) -> bool {
    hint.trim_start().starts_with(['○', '◎', '●', '◉']) || hint.contains("esc interrupt")
}

/// `✗ …` as the last output, above the folder's name; or that nobody is logged in, in the same place.
fn ends_with_login_error(above: &[&str]) -> bool {
    // A bar to scroll by stands at the right.
    let printed = above.iter().rev().map(|line| line.trim_end_matches([' ', '┃'])).skip(1);
    let mut block: Vec<&str> = printed.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    block.reverse();
    block.first().is_some_and(|line| {
        let is_error =
            line.starts_with(" ✗ ") && wants_login(block.iter().map(|line| line.trim_start_matches([' ', '✗'])));
        is_error || line.starts_with("Please use /login")
    })
}

/// Returns what exactly is asked in its box: under the heading stands for what.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let needs = question(bottom(&lines))?;
    let inside: Vec<&str> = lines.iter().map(|line| line.trim_matches(['│', ' '])).collect();
    let choices = first_choice(&inside, CURSOR)?;
    let top = lines[..choices].iter().rposition(|line| line.trim_start().starts_with('╭'))?;
    let drawn = |c: char| "╭╮╰╯─│ ".contains(c);
    let mut texts = inside[top..choices].iter().map(|line| line.trim_matches(drawn)).filter(|text| !text.is_empty());
    let (heading, what) = (texts.next()?, texts.next().unwrap_or_default());
    let is_command = texts.any(|text| text.contains("run this command"));
    Some(match needs {
        Needs::Permission if is_command => format!("run {what}"),
        Needs::Permission => format!("use {heading}: {what}"),
        _ if what.starts_with('/') => format!("{heading}: {what}"),
        _ => heading.to_owned(),
    })
}

/// What is asked in place of the input line.
fn question(lines: &[&str]) -> Option<Needs> {
    let inside = lines.iter().map(|line| line.trim_matches(['│', ' ']));
    let names_keys = |line: &str| line.contains("esc to cancel") || line.contains("to select");
    if !inside.clone().rev().take(3).any(names_keys) {
        return None;
    }
    let says = |words: &str| inside.clone().any(|line| line.contains(words));
    let first = inside.clone().rev().filter_map(|line| choice(line, CURSOR)).find(|(number, _)| *number == 1);
    let is_yes = first.is_some_and(|(_, text)| text.starts_with("Yes"));
    Some(if is_yes && !says("Confirm folder trust") { Needs::Permission } else { Needs::Input })
}
