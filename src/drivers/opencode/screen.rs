//! The screen layout of `opencode` 1.18.33. Its title names the conversation, and does not show its state.
//!
//! | state | screen's bottom |
//! |---|---|
//! | working | the input bar, and in the line under it `esc interrupt` |
//! | idle | the input bar, and folder or version under it |
//! | asking | a bar without its foot in place of it: `△ Permission required`, or `↑↓ select  enter submit` |

use crate::drivers::common::screen::{Prompt, Seen, bottom, choice, lines};
use crate::model::wait::Needs;

/// The stroke at the left of a bar, and the foot of the one that is typed into.
const STROKE: char = '┃';
const FOOT: &str = "╹▀▀";

/// Returns what the program does.
pub(in crate::drivers) fn see(_title: &str, screen: &str) -> Seen {
    let lines = lines(screen);
    let lines = bottom(&lines);
    match place(lines) {
        Some(Place::Asked(bar)) => question(bar),
        Some(Place::Typed { under, .. }) => {
            // Where it is narrow an error takes the place of the words, but not of the moving squares before them.
            let is_working = under.iter().any(|line| line.contains("esc interrupt") || line.contains('⬝'));
            if is_working { Seen::Working } else { Seen::Idle }
        }
        None => Seen::Unknown,
    }
}

/// Its input bar, of which the last words name agent and model.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    let Some(Place::Typed { bar, .. }) = place(bottom(&lines)) else { return Prompt::Absent };
    let words: Vec<&str> = bar.iter().map(|line| line.trim_matches([' ', STROKE])).filter(|w| !w.is_empty()).collect();
    let typed = words.split_last().map(|(_, typed)| typed.join(" "));
    typed.map_or(Prompt::Absent, |typed| Prompt::with(&typed, &["Ask anything"]))
}

/// Returns what exactly is asked by its bar.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    let Some(Place::Asked(bar)) = place(bottom(&lines)) else { return None };
    let texts = bar.iter().map(|line| line.trim_matches([' ', STROKE])).filter(|text| !text.is_empty());
    let texts: Vec<&str> = texts.collect();
    match (question(bar), texts.iter().position(|text| text.contains("△ Permission required"))) {
        (Seen::Asking(Needs::Permission), Some(at)) => {
            let command = texts.iter().find_map(|text| text.strip_prefix("$ "));
            // `→ Edit hello.py`
            let tool = texts.get(at + 1)?.trim_start_matches(['→', '←', '#', ' ']);
            Some(command.map_or_else(|| format!("use {tool}"), |command| format!("run {command}")))
        }
        (Seen::Asking(_), _) => {
            let question = texts.iter().take_while(|text| choice(text, '❯').is_none());
            Some(question.copied().collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

/// What the screen ends with.
enum Place<'a, 'b> {
    /// A bar without a foot.
    Asked(&'a [&'b str]),
    /// The one that is typed into, and what stands under it.
    Typed { bar: &'a [&'b str], under: &'a [&'b str] },
}

fn place<'a, 'b>(lines: &'a [&'b str]) -> Option<Place<'a, 'b>> {
    let bar_before = |end: usize| {
        let length = lines[..end].iter().rev().take_while(|line| line.trim_start().starts_with(STROKE)).count();
        &lines[end - length..end]
    };
    let asked = bar_before(lines.len());
    if !asked.is_empty() {
        return Some(Place::Asked(asked));
    }
    // Before the first prompt it stands in the middle of the screen.
    let foot = lines.iter().rposition(|line| line.trim_start().starts_with(FOOT))?;
    Some(Place::Typed { bar: bar_before(foot), under: &lines[foot + 1..] })
}

/// What is asked by a bar that the screen ends with.
fn question(bar: &[&str]) -> Seen {
    if bar.iter().any(|line| line.contains("△ Permission required")) {
        Seen::Asking(Needs::Permission)
    } else if bar.iter().rev().take(4).any(|line| line.contains("enter ")) {
        Seen::Asking(Needs::Input)
    } else {
        Seen::Unknown
    }
}
