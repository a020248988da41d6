//! The screen layout of `gemini` 0.61.0.
//!
//! | state | title | screen's bottom |
//! |---|---|---|
//! | working | `✦  Working… (dir)` | input line; above it `⠇ Thinking... (esc to cancel, 2s)` |
//! | idle | `◇  Ready (dir)` | a rule, ` >   Type your message`, folder and model |
//! | asking | `✋  Action Required (dir)` | a box with choices in place of the input line |
//! | login wanted | `◇  Ready (dir)` | such a box: `How would you like to authenticate` |
//!
//! Delays, measured on two busy cores: working, idle and asking show 0.05 to 0.2 s after the event, in title and screen together. The
//! question what to do about a loop that it thinks to have found stands under the title "Ready" too.

use crate::drivers::common::screen::{Prompt, Seen, choice, first_choice, indent, is_rule, lines, wants_login};
use crate::model::wait::Needs;

/// The cursor of a list.
const CURSOR: char = '●';

/// Returns what the program does. A box at the end of the screen wins over the title, which is "Ready" while it asks for a login.
pub(in crate::drivers) fn see(title: &str, screen: &str) -> Seen {
    let lines = lines(screen);
    if let Some(asked) = question(&lines) {
        return Seen::Asking(asked);
    }
    if title.starts_with('✦') {
        return Seen::Working;
    }
    if title.starts_with('✋') {
        return Seen::Asking(Needs::Permission);
    }
    let Some(rule) = input_line(&lines) else { return Seen::Unknown };
    let above = &lines[..rule];
    let works = above.last().is_some_and(|line| line.contains("(esc to cancel, "));
    Seen::at_prompt(works, ends_with_login_error(above))
}

/// Returns the state of the input line. In shell mode it counts as filled, because typed text would be a command.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    let Some(rule) = input_line(&lines).filter(|_| question(&lines).is_none()) else { return Prompt::Absent };
    let typed = lines[rule..].iter().find_map(|line| line.strip_prefix(" > ").or(line.strip_prefix(" * ")));
    typed.map_or(Prompt::Filled, |typed| Prompt::with(typed, &["Type your message"]))
}

/// Returns what exactly is asked: `?  Shell  touch a1` in its box, a question, or its heading.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let needs = question(&lines)?;
    let inside: Vec<&str> = inside(&lines)?.collect();
    let mut texts = inside[..first_choice(&inside, CURSOR)?].iter().filter(|line| !line.is_empty());
    let marked = texts.clone().find_map(|line| line.strip_prefix('?')).map(|text| text.trim().replacen("  ", ": ", 1));
    Some(match (needs, marked, *texts.next()?) {
        (Needs::Permission, Some(tool), _) => format!("use {tool}"),
        (_, Some(text), _) => text,
        (_, None, heading) if heading.starts_with("Answer Questions") => (*texts.next()?).to_owned(),
        (_, None, heading) => heading.to_owned(),
    })
}

/// The lines of the box that the screen ends with. What tools print is in boxes too, but never the last thing: the input line
/// follows.
fn inside<'a>(lines: &'a [&'a str]) -> Option<impl DoubleEndedIterator<Item = &'a str> + Clone> {
    let is_edge = |line: &&str, corner: char| indent(line) <= 1 && line.trim_start().starts_with(corner);
    lines.last().filter(|line| is_edge(line, '╰'))?;
    let top = lines.iter().rposition(|line| is_edge(line, '╭')).map_or(0, |at| at + 1);
    Some(lines[top..lines.len() - 1].iter().map(|line| line.trim_matches(['│', ' '])))
}

/// What that box is about.
fn question(lines: &[&str]) -> Option<Needs> {
    let inside = inside(lines)?;
    let heading = inside.clone().find(|line| !line.is_empty()).unwrap_or_default();
    let says = |words: &[&str]| inside.clone().any(|line| words.iter().any(|word| line.contains(word)));
    // The choices of a question are the model's own words: its heading is not.
    if heading.starts_with("Answer Questions") {
        return Some(Needs::Input);
    }
    if says(&["authenticate", "Enter Gemini API Key"]) {
        return Some(Needs::Login);
    }
    let mut choices = inside.filter_map(|line| choice(line, CURSOR));
    let is_permission =
        choices.any(|(_, text)| text.starts_with("Allow once") || text.starts_with("No, suggest changes"));
    Some(if is_permission { Needs::Permission } else { Needs::Input })
}

/// Returns the line of the rule above the input, if the screen ends with the input.
fn input_line(lines: &[&str]) -> Option<usize> {
    let rule = lines.iter().rposition(|line| is_rule(line, '─'))?;
    let is_sign = |line: &&str| [" > ", " ! ", " * "].iter().any(|sign| line.starts_with(sign));
    lines[rule..].iter().any(is_sign).then_some(rule)
}

/// `✕ [API Error: …` as the last output, but for a remark on it.
fn ends_with_login_error(above: &[&str]) -> bool {
    let Some(at) = above.iter().rposition(|line| line.starts_with('✕')) else { return false };
    let error = &above[at..];
    let is_last = !error[1..].iter().any(|line| line.starts_with(" > ") || line.starts_with('✦'));
    is_last && wants_login(error.iter().map(|line| line.trim_start_matches('✕')).take_while(|line| !line.is_empty()))
}
