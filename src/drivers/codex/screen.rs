//! The screen layout of `codex` 0.169.0.
//!
//! | state | title | screen's bottom |
//! |---|---|---|
//! | working | `⠦ dir` | `• Working (2s • esc to interrupt)`, below it the input line |
//! | idle | `dir` | `› ` and what is typed, below it model and folder |
//! | asking | `[ ! ] Action Required \| dir` | choices `› 1. Yes`, and as the last line which keys answer |
//! | first start | none yet | the same with other choices |
//! | not logged in | `dir` | input line; the last prompt was answered with `■` and the error |
//!
//! Delays, measured on two busy cores: a prompt shows as working in 0.05 s, its end too. A question shows, in title and screen, 0.95 s
//! after the model has asked for the tool: it waits for that long by itself, looking as at work. Its hook `PermissionRequest`
//! is called after 0.05 s. A denial shows in 0.02 s. A service that can't be reached is waited for without end, working.

use crate::drivers::common::screen::{
    self, Prompt, Seen, bottom, first_choice, indent, is_turning, is_yes_or_no, lines, paragraphs, tries, wants_login,
};
use crate::model::wait::{Needs, Retry};

/// The cursor of a list, also the sign before the input.
const CURSOR: char = '›';

/// Returns what the program does.
pub(in crate::drivers) fn see(title: &str, screen: &str) -> Seen {
    let lines = lines(screen);
    if is_turning(title) {
        return Seen::Working;
    }
    if let Some(needs) = question(bottom(&lines)) {
        return Seen::Asking(needs);
    }
    // The sign in its brackets blinks.
    if title.starts_with("[ ") && title.contains(" ] Action Required") {
        return Seen::Asking(Needs::Permission);
    }
    let Some(input) = input_line(&lines) else { return Seen::Unknown };
    let above = &lines[..input];
    Seen::at_prompt(is_working(above), ends_with_login_error(above))
}

/// Returns the state of the input line. In shell mode it counts as filled, because typed text would be a command.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    match input_line(&lines) {
        Some(at) if question(bottom(&lines)).is_none() => Prompt::with(
            lines[at].trim_start_matches(CURSOR),
            &["Ask Codex to do anything", "Ask a follow-up question"],
        ),
        _ => Prompt::Absent,
    }
}

/// What the choices are about that stand in place of the input line. They end with the keys that answer.
fn question(lines: &[&str]) -> Option<Needs> {
    let keys = ["enter ", "Press enter ", "Press esc ", "tab to add notes"];
    let mut last = lines.iter().rev().map(|line| line.trim()).filter(|line| !line.is_empty()).take(2);
    if !last.any(|line| keys.iter().any(|key| line.starts_with(key))) {
        return None;
    }
    let says = |words: &str| lines.iter().any(|line| line.starts_with(words));
    Some(if says("  Welcome to Codex") {
        Needs::Login
    } else if !says("  Question ") && is_yes_or_no(lines, CURSOR) {
        Needs::Permission
    } else {
        Needs::Input
    })
}

/// Where what is typed begins, if the screen ends with it: under it are two lines of hints, and no list.
fn input_line(lines: &[&str]) -> Option<usize> {
    let at = lines.iter().rposition(|line| indent(line) == 0 && !line.is_empty())?;
    let is_near = lines.len() - at <= screen::BOTTOM;
    // In shell mode the sign is another one.
    (is_near && lines[at].starts_with([CURSOR, '!'])).then_some(at)
}

/// `• Working (2s • esc to interrupt)` as the last output, but for what is queued. An answer begins with the
/// same sign; how long it took stands under it.
fn is_working(above: &[&str]) -> bool {
    let is_status = |line: &&str| {
        line.starts_with(['•', '◦'])
            && (line.ends_with("esc to interrupt)") || line.contains(" (") && line.ends_with('…'))
    };
    let Some(at) = above.iter().rposition(is_status) else { return false };
    let is_other = |line: &&str| indent(line) == 0 && !line.is_empty() && !line.starts_with(['•', '◦']);
    !above[at..].iter().any(|line| is_other(line) || line.starts_with("  Worked for "))
}

/// Returns which retry of its service it is at: `• Reconnecting... 2/5 (3s • esc to interrupt)` as its status, and under it why.
pub(in crate::drivers) fn retrying(screen: &str) -> Option<Retry> {
    const WORDS: &str = " Reconnecting... ";
    let lines = lines(screen);
    let above = &lines[..input_line(&lines)?];
    let is_status = |line: &&str| line.strip_prefix(['•', '◦']).is_some_and(|rest| rest.starts_with(WORDS));
    let status = paragraphs(&above[above.iter().rposition(is_status)?..]).swap_remove(0);
    let (head, why) = status.split_once("└ ").unwrap_or((&status, ""));
    let what = head.split_once(WORDS)?.1.split(" (").next()?.trim();
    let (attempt, of) = tries(what);
    let why = match (attempt, why) {
        (Some(_), why) => why.to_owned(),
        (None, "") => what.to_owned(),
        (None, why) => format!("{what} ({why})"),
    };
    Some(Retry { attempt, of, why, limited_until: None })
}

/// Returns what exactly the program asks: the words at the head of its choices; above its input line, why its service refuses it.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let Some(needs) = question(bottom(&lines)) else {
        return Some(last_error(&lines[..input_line(&lines)?])?.map(str::trim).collect::<Vec<_>>().join(" "));
    };
    let choices = first_choice(&lines, CURSOR).or_else(|| first_choice(&lines, '>'))?;
    // What was printed before begins in the first column, and continues further to the right.
    let printed =
        lines[..choices].iter().rposition(|line| !line.is_empty() && indent(line) == 0).map_or(0, |at| at + 1);
    let begin = printed + lines[printed..choices].iter().position(|line| matches!(indent(line), 1 | 2))?;
    let head = lines[begin].trim();
    let all = paragraphs(&lines[begin..choices]);
    let first = all.first()?;
    let after =
        |words: &str| all.iter().find_map(|text| text.split_once(words).map(|(_, rest)| rest.trim().to_owned()));
    Some(match needs {
        Needs::Permission if first.ends_with("run the following command?") => {
            format!("run Bash: {}", all.iter().find_map(|text| text.strip_prefix("$ "))?)
        }
        Needs::Permission if first.ends_with("make the following edits?") => {
            format!("write {}", after("Destination: ")?)
        }
        // `Allow the orch MCP server to run tool "delegate"?`
        Needs::Permission if first.contains(" MCP server to run tool ") => {
            let tool = after("Allow the ")?.replace(" MCP server to run tool ", ".").replace(['"', '?'], "");
            all.get(1).map_or_else(|| format!("use {tool}"), |given| format!("use {tool}: {given}"))
        }
        Needs::Permission => {
            let what = first.strip_prefix("Would you like to ").unwrap_or(first).trim_end_matches('?');
            what.to_owned()
        }
        // `Question 1/1 (1 unanswered)`, and under it the question.
        _ if head.starts_with("Question ") => {
            first.split_once(") ").map_or(first.as_str(), |(_, text)| text).to_owned()
        }
        _ => match first[head.len()..].trim() {
            folder if folder.starts_with('/') => format!("{head}: {folder}"),
            _ => head.to_owned(),
        },
    })
}

/// The error with which its last turn has ended. After Esc it says so in the same way, and that is none.
pub(in crate::drivers) fn failure(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let error: Vec<&str> = last_error(&lines[..input_line(&lines)?])?.map(str::trim).collect();
    Some(error.join(" ")).filter(|error| !error.starts_with("Conversation interrupted"))
}

fn ends_with_login_error(above: &[&str]) -> bool {
    last_error(above).is_some_and(wants_login)
}

/// `■ …` as the last output: its lines.
fn last_error<'a>(above: &'a [&str]) -> Option<impl Iterator<Item = &'a str> + Clone> {
    let printed = above.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
    let above = &above[..printed];
    let error = &above[above.iter().rposition(|line| line.starts_with('■'))?..];
    error.iter().all(|line| !line.is_empty()).then(|| error.iter().map(|line| line.trim_start_matches('■')))
}
