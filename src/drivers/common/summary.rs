//! Summarizes the call of a tool, and its result, in a few words.

use serde_json::Value;

use crate::model::text::one_line;

/// Longest rendering of one argument, in columns.
const COLUMNS: usize = 100;

/// Returns the argument that says most about the call of a tool, else all of them. A search is its pattern, and where.
pub(in crate::drivers) fn arguments(input: &Value) -> String {
    const TELLING: [&str; 12] = [
        "command",
        "cmd",
        "pattern",
        "query",
        "file_path",
        "filePath",
        "path",
        "url",
        "description",
        "prompt",
        "text",
        "id",
    ];
    let Some(fields) = input.as_object() else { return value(input) };
    let telling = TELLING.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null());
    let place = input["pattern"]
        .as_str()
        .and_then(|_| ["path", "dir_path", "glob"].iter().find_map(|name| input[*name].as_str()));
    match telling {
        Some(telling) => match place {
            Some(place) => format!("{} in {}", value(telling), one_line(place, COLUMNS)),
            None => value(telling),
        },
        None if fields.is_empty() => String::new(),
        None => one_line(&input.to_string(), COLUMNS),
    }
}

/// Returns what the call of a tool changes in a file, if it does: what is removed and what is added.
pub(in crate::drivers) fn changes(input: &Value) -> Option<String> {
    let text = |of: &Value, names: &[&str]| names.iter().find_map(|name| of[*name].as_str()).map(str::to_owned);
    let mark = |sign: char, text: &str| text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>();
    let of_edit = |edit: &Value| {
        let old = text(edit, &["old_string", "oldString", "old_str"])?;
        let new = text(edit, &["new_string", "newString", "new_str"])?;
        Some(different(&old, &new, mark))
    };
    if let Some(patch) = patch(input) {
        return Some(patched(patch));
    }
    if let Some(edits) = input["edits"].as_array() {
        return Some(edits.iter().filter_map(of_edit).collect());
    }
    let is_of_file = ["file_path", "filePath", "path"].iter().any(|name| input[*name].is_string());
    of_edit(input).or_else(|| {
        // A whole file. A command has no content, and neither has a question.
        let content = text(input, &["content", "file_text"]).filter(|_| is_of_file)?;
        Some(mark('+', &content))
    })
}

/// The first and the last line of a patch in the format of codex, which others have adopted.
const PATCH: [&str; 2] = ["*** Begin Patch", "*** End Patch"];

/// Returns the patch that the call of a tool applies: its argument, one of its arguments, or a part of a command.
fn patch(input: &Value) -> Option<&str> {
    let named = ["patchText", "patch", "input", "command", "cmd"].iter().map(|name| &input[*name]);
    let texts = std::iter::once(input).chain(named).flat_map(|of| match of {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    });
    texts.into_iter().find(|text| text.lines().any(|line| line.trim_end().ends_with(PATCH[0])))
}

/// Returns the lines that a patch removes and adds. A patch of several files names each of them.
fn patched(patch: &str) -> String {
    const FILES: [&str; 3] = ["*** Add File: ", "*** Update File: ", "*** Delete File: "];
    let begins = |line: &&str| line.trim_end().ends_with(PATCH[0]);
    let lines = || patch.lines().skip_while(|line| !begins(line)).take_while(|line| line.trim_end() != PATCH[1]);
    let file = |line: &str| FILES.iter().find_map(|words| line.strip_prefix(words)).map(str::to_owned);
    let is_one = lines().filter_map(file).count() < 2;
    lines()
        .filter_map(|line| match file(line) {
            Some(file) => (!is_one).then(|| format!("{file}\n")),
            None => line.starts_with(['-', '+']).then(|| format!("{line}\n")),
        })
        .collect()
}

/// Returns the lines in which two texts differ, without those at the beginning and at the end that are the same.
fn different(old: &str, new: &str, mark: impl Fn(char, &str) -> String) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let begin = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[begin..], &new[begin..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    mark('-', &old[..old.len() - end].join("\n")) + &mark('+', &new[..new.len() - end].join("\n"))
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_summarised_by_its_most_telling_argument() {
        let json = |text: &str| arguments(&serde_json::from_str(text).unwrap());
        assert_eq!(json(r#"{"description":"x","command":"ls -la\nrm x"}"#), "ls -la…");
        assert_eq!(json(r#"{"command":["bash","-lc","ls"]}"#), "bash -lc ls");
        assert_eq!(json(r#"{"pattern":"fn main","path":"src","output_mode":"content"}"#), "fn main in src");
        assert_eq!(json(r#"{"pattern":"**/*.rs"}"#), "**/*.rs");
        assert_eq!((json("{}"), json(r#"{"a":1}"#)), (String::new(), r#"{"a":1}"#.to_owned()));
    }

    #[test]
    fn an_edit_is_shown_by_the_lines_that_differ() {
        let changes = |text: &str| changes(&serde_json::from_str(text).unwrap());
        let edit = r#"{"file_path":"a","old_string":"a\nb\nc\n","new_string":"a\nB\nB2\nc\n"}"#;
        assert_eq!(changes(edit).as_deref(), Some("-b\n+B\n+B2\n"));
        let several = r#"{"edits":[{"old_string":"x","new_string":"y"},{"old_string":"","new_string":"z"}]}"#;
        assert_eq!(changes(several).as_deref(), Some("-x\n+y\n+z\n"));
        assert_eq!(changes(r#"{"filePath":"a","content":"one\ntwo"}"#).as_deref(), Some("+one\n+two\n"));
        assert_eq!(changes(r#"{"path":"a","file_text":"one"}"#).as_deref(), Some("+one\n"));
        assert_eq!(changes(r#"{"path":"a","old_str":"one","new_str":"two"}"#).as_deref(), Some("-one\n+two\n"));
        assert_eq!(changes(r#"{"content":"what is said"}"#), None);
        assert_eq!(changes(r#"{"command":"ls"}"#), None);
    }

    #[test]
    fn a_patch_is_shown_by_its_lines_wherever_it_stands() {
        let patch = "*** Begin Patch\n*** Update File: a.rs\n@@ fn x\n a\n-b\n+c\n*** End Patch";
        let shown = Some("-b\n+c\n".to_owned());
        for input in [
            json!(patch),
            json!({ "patchText": patch }),
            json!({ "command": format!("apply_patch <<'EOF'\n{patch}\nEOF\n+no part of it") }),
            json!({ "command": ["bash", "-lc", format!("apply_patch '{patch}'")] }),
        ] {
            assert_eq!(changes(&input), shown, "{input}");
        }
        let several = "*** Begin Patch\n*** Add File: a\n+x\n*** Delete File: b\n*** End Patch\n";
        assert_eq!(changes(&json!({ "input": several })).as_deref(), Some("a\n+x\nb\n"));
        assert_eq!(changes(&json!({ "command": "grep '*** Begin Patching' x" })), None);
    }
}
