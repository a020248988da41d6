//! Reads which files the call of a tool writes: by the tools with which claude edits files, and by codex's patches, which are
//! also arguments of its shell. What another command writes is not known.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tool_request::command;

/// The tools with which claude edits files.
pub(in crate::drivers) const TOOLS: [&str; 4] = ["Write", "Edit", "MultiEdit", "NotebookEdit"];
/// The lines of a patch before a file's name.
const NAMING: [&str; 4] = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
/// The first line of a patch.
const BEGINNING: &str = "*** Begin Patch";

/// Returns the files that a hook's call is about to write, or has written, as absolute paths, each once.
pub(in crate::drivers) fn files(call: &str) -> Vec<PathBuf> {
    let Ok(call) = serde_json::from_str::<Value>(call) else { return Vec::new() };
    let (Some(tool), input) = (call["tool_name"].as_str(), &call["tool_input"]) else { return Vec::new() };
    let folder = PathBuf::from(call["cwd"].as_str().unwrap_or("/"));
    let mut files: Vec<PathBuf> = Vec::new();
    let mut add = |folder: &Path, file: &str| {
        let path = folder.join(file);
        if !file.is_empty() && !files.contains(&path) {
            files.push(path);
        }
    };
    match TOOLS.contains(&tool) {
        true => {
            let named = ["file_path", "notebook_path"].iter().filter_map(|key| input[*key].as_str());
            named.for_each(|file| add(&folder, file));
        }
        false => {
            let Some(command) = command(input).or_else(|| input["input"].as_str().map(str::to_owned)) else {
                return Vec::new();
            };
            // codex takes `cd FOLDER && apply_patch <<EOF` as a patch of files in that folder.
            let elsewhere = command.trim_start().strip_prefix("cd ").and_then(|rest| rest.split_once("&&"));
            let folder = elsewhere.map_or(folder.clone(), |(to, _)| folder.join(to.trim().trim_matches(['\'', '"'])));
            patched(&command).for_each(|file| add(&folder, file));
        }
    }
    files
}

/// Returns the files that the patches in a text name; none where it has no patch.
pub(in crate::drivers) fn patched(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.find(BEGINNING).map_or("", |at| &text[at..]).lines();
    lines.filter_map(|line| NAMING.iter().find_map(|naming| line.strip_prefix(naming))).map(str::trim)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(tool: &str, input: Value) -> Vec<String> {
        let call = json!({"hook_event_name": "PreToolUse", "cwd": "/w", "tool_name": tool, "tool_input": input});
        files(&call.to_string()).into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_files_that_a_tool_writes_are_known() {
        let patch = "*** Begin Patch\n*** Add File: a.rs\n+x\n*** Update File: src/b.rs\n*** Move to: /w/c.rs\n\
                     *** Delete File: a.rs\n*** End Patch";
        let heredoc = format!("apply_patch <<'EOF'\n{patch}\nEOF");
        let elsewhere = format!("cd 'sub' && {heredoc}");
        for (tool, input, files) in [
            ("Write", json!({"file_path": "/w/x.rs", "content": ""}), vec!["/w/x.rs"]),
            ("Edit", json!({"file_path": "x.rs"}), vec!["/w/x.rs"]),
            ("NotebookEdit", json!({"notebook_path": "/n.ipynb"}), vec!["/n.ipynb"]),
            ("Read", json!({"file_path": "/w/x.rs"}), vec![]),
            ("apply_patch", json!({"command": patch}), vec!["/w/a.rs", "/w/src/b.rs", "/w/c.rs"]),
            ("apply_patch", json!({"input": patch}), vec!["/w/a.rs", "/w/src/b.rs", "/w/c.rs"]),
            ("Bash", json!({"command": heredoc}), vec!["/w/a.rs", "/w/src/b.rs", "/w/c.rs"]),
            ("Bash", json!({"command": elsewhere}), vec!["/w/sub/a.rs", "/w/sub/src/b.rs", "/w/c.rs"]),
            ("Bash", json!({"command": "echo '*** Add File: x'"}), vec![]),
            ("Edit", Value::Null, vec![]),
        ] {
            assert_eq!(of(tool, input.clone()), files, "{tool} {input}");
        }
        assert!(files("{").is_empty() && files("[]").is_empty());
    }
}
