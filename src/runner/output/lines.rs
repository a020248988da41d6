//! The lines of a transcript that show what a tool has printed or changed, and what was used.

use crate::model::{
    task::Usage,
    text::{count, in_one_line},
};

/// The answer of a tool is shown up to here.
pub(super) const COLUMNS: usize = 160;
/// Lines of the output of a tool that failed: the first one, and the last ones, which say why.
const OF_FAILURE: usize = 12;
/// Lines of a change.
const OF_CHANGE: usize = 40;

/// Returns what a tool printed that failed. Further lines stand below the first one.
pub(super) fn failed(output: &str) -> String {
    let lines: Vec<String> =
        output.lines().filter(|line| !line.trim().is_empty()).map(|line| in_one_line(line, COLUMNS)).collect();
    let left_out = lines.len().saturating_sub(OF_FAILURE);
    let mut shown: Vec<String> = lines.iter().take(1).cloned().collect();
    if left_out > 0 {
        shown.push(format!("... {} ...", count(left_out as u64, "line", "lines")));
    }
    shown.extend(lines.into_iter().skip(1 + left_out));
    shown.join("\n    ")
}

/// Returns the lines of a change, and how many are left out.
pub(super) fn changes(lines: &str) -> String {
    let all = lines.lines().count();
    let mut shown: Vec<String> = lines.lines().take(OF_CHANGE).map(|line| format!("    {line}")).collect();
    if all > OF_CHANGE {
        shown.push(format!("    ... {} more", all - OF_CHANGE));
    }
    shown.join("\n")
}

pub(super) fn spent(usage: &Usage) -> String {
    let money = if usage.cost_usd > 0.0 { format!(" · ${:.4}", usage.cost_usd) } else { String::new() };
    format!(" · {} tokens in, {} out{money}", usage.input_tokens, usage.output_tokens)
}
