//! Renders what a tool was called with, and what it returned, in a few words.

use serde_json::Value;

use crate::model::text::one_line;

/// Longest rendering of one argument, in columns.
const COLUMNS: usize = 100;

/// Returns the argument that says most about the call of a tool, else all of them.
pub(in crate::drivers) fn arguments(input: &Value) -> String {
    const TELLING: [&str; 12] = [
        "command",
        "cmd",
        "file_path",
        "filePath",
        "path",
        "pattern",
        "query",
        "url",
        "description",
        "prompt",
        "text",
        "id",
    ];
    let Some(fields) = input.as_object() else { return value(input) };
    let telling = TELLING.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null());
    match telling {
        Some(telling) => value(telling),
        None if fields.is_empty() => String::new(),
        None => one_line(&input.to_string(), COLUMNS),
    }
}

/// Renders a value as a person would write it, in one line.
pub(in crate::drivers) fn value(of: &Value) -> String {
    match of {
        Value::Null => String::new(),
        Value::String(text) => one_line(text, COLUMNS),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            one_line(&words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "), COLUMNS)
        }
        other => one_line(&other.to_string(), COLUMNS),
    }
}

/// Returns the text of a message's content, which is a string or a list of blocks with texts.
pub(in crate::drivers) fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_summarised_by_its_most_telling_argument() {
        let json = |text: &str| arguments(&serde_json::from_str(text).unwrap());
        assert_eq!(json(r#"{"description":"x","command":"ls -la\nrm x"}"#), "ls -la…");
        assert_eq!(json(r#"{"command":["bash","-lc","ls"]}"#), "bash -lc ls");
        assert_eq!((json("{}"), json(r#"{"a":1}"#)), (String::new(), r#"{"a":1}"#.to_owned()));
    }
}
