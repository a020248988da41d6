//! The tests that plant secrets and that try to escape, and what they count. A test that fails still counts.

use std::process::{Command, Stdio};

use crate::{
    Result,
    table::{Goal, Row, Unit},
};

/// A test, and the line that it prints: `NAME: COUNT things, FOUND succeeded`.
struct Counted {
    test: &'static str,
    line: &'static str,
    figure: &'static str,
}

const COUNTED: [Counted; 4] = [
    Counted {
        test: "work::planted::a_planted_secret_is_found_nowhere",
        line: "planted:",
        figure: "secrets planted in every place where a text enters, found again",
    },
    Counted {
        test: "escape::no_attempt_leaves_a_sandbox",
        line: "Bwrap:",
        figure: "attempts to escape from bwrap that succeed",
    },
    Counted {
        test: "escape::no_attempt_leaves_a_sandbox_of_an_ordinary_user",
        line: "BwrapAsOrdinaryUser:",
        figure: "attempts to escape from bwrap that succeed, as an ordinary user",
    },
    Counted {
        test: "escape::without_a_sandbox_no_attempt_by_orch_succeeds_and_the_others_do",
        line: "None:",
        figure: "attempts through orch itself that succeed, without a sandbox",
    },
];

pub fn measure() -> Result<Vec<Row>> {
    COUNTED.iter().map(count).collect()
}

fn count(counted: &Counted) -> Result<Row> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--locked", "--quiet", "--test", "it", "--", "--exact", "--nocapture", counted.test])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.split_once(counted.line).map(|(_, counts)| counts));
    let Some(line) = line else {
        return Err(format!("{}: {said}\n{}", counted.test, String::from_utf8_lossy(&output.stderr)).into());
    };
    let counts: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [made, .., found] = counts[..] else { return Err(format!("{}: {line}", counted.test).into()) };
    Ok(Row::new(counted.figure, Unit::Count, Goal::AtMost(0.0), found as f64, made))
}
