//! The checks of `orch doctor`.

use super::{
    Style, View,
    text::{pad, safe, width},
};
use crate::ops::types::Check;

/// One line per check, and below it how to fix what is not in order.
pub fn checks(checks: &[Check], view: &View) -> String {
    let column = checks.iter().map(|c| width(&c.name)).max().unwrap_or(0).min(16);
    let mut out = String::new();
    for check in checks {
        let (mark, style) = match check.state {
            "ok" => ("✓", Style::Green),
            "warning" => ("!", Style::Yellow),
            _ => ("✗", Style::Red),
        };
        let line = view.hanging(&format!("{mark} {}  ", pad(&safe(&check.name), column)), &check.found);
        // Colour comes after the line was measured.
        out.push_str(&line.replacen(mark, &view.paint(mark, style), 1));
        if let Some(fix) = check.fix.as_ref().filter(|_| check.state != "ok") {
            out.push_str(&view.hanging("    → ", fix));
        }
    }
    out
}
