//! The looks of `opencode` 1.18.33. Its title names the conversation, and says nothing of its state.
//!
//! | state | screen's bottom |
//! |---|---|
//! | working | the input bar, and in the line under it `esc interrupt` |
//! | idle | the input bar, and folder or version under it |
//! | asking | a bar without its foot in place of it: `△ Permission required`, or `↑↓ select  enter submit` |

use super::{Seen, bottom, lines};
use crate::model::agent::Needs;

/// The stroke at the left of a bar, and the foot of the one that is typed into.
const STROKE: char = '┃';
const FOOT: &str = "╹▀▀";

/// What its terminal says.
pub(in crate::drivers) fn see(_title: &str, screen: &str) -> Seen {
    let lines = lines(screen);
    let lines = bottom(&lines);
    let bar = lines.iter().rev().take_while(|line| line.trim_start().starts_with(STROKE)).count();
    if bar > 0 {
        return question(&lines[lines.len() - bar..]);
    }
    // The foot may stand in the middle of the screen, before the first prompt.
    let Some(foot) = lines.iter().rposition(|line| line.trim_start().starts_with(FOOT)) else { return Seen::Unknown };
    // Where it is narrow an error takes the place of the words, but not of the moving squares before them.
    let is_working = lines[foot + 1..].iter().any(|line| line.contains("esc interrupt") || line.contains('⬝'));
    if is_working { Seen::Working } else { Seen::Idle }
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
