//! Describes what a program asks its user about a tool: what would be done ([`Need`]).
//!
//! Texts are neither cut nor joined to one line here, because secrets have to be redacted in them first.

use std::path::Path;

use serde_json::Value;

use super::edited::patched;
use crate::model::wait::{Need, Needs};

/// Longest choice of a question that is included: short answers, but no explanations.
const LONGEST_CHOICE: usize = 30;

/// Returns what a program asks before it uses a tool. Paths are relative to the program's folder, where they are in it.
pub(in crate::drivers) fn need(name: &str, input: &Value, cwd: Option<&str>) -> Need {
    // claude asks its user by a tool as well.
    if name == "AskUserQuestion" {
        return Need { what: Needs::Input, of: question(input).unwrap_or_default() };
    }
    let text = |key: &str| input[key].as_str().filter(|text| !text.trim().is_empty());
    let path = ["file_path", "notebook_path", "path"].iter().find_map(|key| text(key)).map(|path| short(path, cwd));
    let of = match (name, path, text("url"), command(input)) {
        ("Write" | "Edit" | "MultiEdit" | "NotebookEdit", Some(path), ..) => format!("write {path}"),
        ("Read" | "Glob" | "Grep", Some(path), ..) => format!("read {path}"),
        ("WebFetch", _, Some(url), _) => format!("fetch {url}"),
        ("ExitPlanMode", ..) => format!("leave plan mode{}", with(text("plan").unwrap_or_default())),
        ("apply_patch", .., Some(patch)) if !changed(&patch, cwd).is_empty() => {
            format!("write {}", changed(&patch, cwd))
        }
        (.., Some(command)) => format!("run {name}: {command}"),
        _ => format!("use {}{}", tool(name), with(&arguments(input))),
    };
    Need { what: Needs::Permission, of }
}

/// Returns `server.tool` for `mcp__server__tool`.
fn tool(name: &str) -> String {
    let of_server = name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"));
    of_server.map_or_else(|| name.to_owned(), |(server, tool)| format!("{server}.{tool}"))
}

fn with(what: &str) -> String {
    if what.is_empty() { String::new() } else { format!(": {what}") }
}

/// Returns the command of a tool that runs one, whatever the tool's name: a line, or a list of words.
pub(super) fn command(input: &Value) -> Option<String> {
    let command = ["command", "cmd"].iter().map(|key| &input[*key]).find(|value| !value.is_null())?;
    match command {
        Value::String(line) => Some(line.clone()),
        Value::Array(words) => Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
    .filter(|command| !command.trim().is_empty())
}

/// Returns the files that a patch names.
fn changed(patch: &str, cwd: Option<&str>) -> String {
    patched(patch).map(|file| short(file, cwd)).collect::<Vec<_>>().join(", ")
}

fn short(path: &str, cwd: Option<&str>) -> String {
    let within = cwd.and_then(|cwd| Path::new(path).strip_prefix(cwd).ok());
    within
        .filter(|path| !path.as_os_str().is_empty())
        .map_or_else(|| path.to_owned(), |path| path.display().to_string())
}

/// Returns all arguments as `name: value`.
fn arguments(input: &Value) -> String {
    let Some(fields) = input.as_object() else { return String::new() };
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match fields.iter().collect::<Vec<_>>()[..] {
        [(_, only)] => said(only),
        ref all => all.iter().map(|(name, value)| format!("{name}: {}", said(value))).collect::<Vec<_>>().join(", "),
    }
}

/// Reads `{"questions": [{"question": ..., "options": [{"label": ...}]}]}`: the first question, and how many there are.
fn question(input: &Value) -> Option<String> {
    let questions = input["questions"].as_array()?;
    let first = questions.first()?;
    let mut said = first["question"].as_str().filter(|text| !text.trim().is_empty())?.to_owned();
    let labels = first["options"].as_array().into_iter().flatten().filter_map(|option| option["label"].as_str());
    let labels: Vec<&str> = labels.collect();
    if !labels.is_empty() && labels.iter().all(|label| label.chars().count() <= LONGEST_CHOICE) {
        said.push_str(&format!(" ({})", labels.join(", ")));
    }
    if questions.len() > 1 {
        said.push_str(&format!(" [1 of {}]", questions.len()));
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_be_done_is_said() {
        let long_choice = "x".repeat(LONGEST_CHOICE + 1);
        for (name, input, said) in [
            (
                "Bash",
                json!({"command": "npm publish\n--tag next", "description": "x"}),
                "run Bash: npm publish\n--tag next",
            ),
            ("exec_command", json!({"cmd": ["bash", "-lc", "ls"]}), "run exec_command: bash -lc ls"),
            ("Write", json!({"file_path": "/w/src/main.rs", "content": "x"}), "write src/main.rs"),
            ("Edit", json!({"file_path": "/elsewhere/x"}), "write /elsewhere/x"),
            ("NotebookEdit", json!({"notebook_path": "/w/n.ipynb"}), "write n.ipynb"),
            ("Grep", json!({"pattern": "x", "path": "/w"}), "read /w"),
            ("WebFetch", json!({"url": "https://example.com/", "prompt": "title"}), "fetch https://example.com/"),
            ("ExitPlanMode", json!({"plan": "1. Do it"}), "leave plan mode: 1. Do it"),
            ("ExitPlanMode", json!({}), "leave plan mode"),
            (
                "apply_patch",
                json!({"command": "*** Begin Patch\n*** Add File: a.py\n+x\n*** Update File: /w/b.py\n*** End Patch"}),
                "write a.py, b.py",
            ),
            ("apply_patch", json!({"command": "nothing that is known"}), "run apply_patch: nothing that is known"),
            ("mcp__db__query", json!({"sql": "drop table x"}), "use db.query: drop table x"),
            ("mcp__db__copy", json!({"from": "a", "n": 3}), "use db.copy: from: a, n: 3"),
            ("Skill", json!({}), "use Skill"),
            ("Bash", json!({"command": " "}), "use Bash:  "),
            ("Bash", Value::Null, "use Bash"),
        ] {
            assert_eq!(need(name, &input, Some("/w")), Need { what: Needs::Permission, of: said.into() });
        }
        let option = |label: &str| json!({"label": label});
        for (questions, said) in [
            (json!([{"question": "Which one?", "options": [option("A"), option("B")]}]), "Which one? (A, B)"),
            (json!([{"question": "Which one?", "options": [option(&long_choice)]}]), "Which one?"),
            (json!([{"question": "What?"}, {"question": "And how?"}]), "What? [1 of 2]"),
        ] {
            let asked = need("AskUserQuestion", &json!({"questions": questions}), None);
            assert_eq!(asked, Need { what: Needs::Input, of: said.into() });
        }
        let strange = need("AskUserQuestion", &json!({"questions": [{"question": 5}]}), None);
        assert_eq!(strange, Need { what: Needs::Input, of: String::new() });
    }
}
