//! Settings that a program reads only from a file of its user, such as its list of MCP servers.
//!
//! The user's file is never changed. In a sandbox, the program gets a copy with these settings added. Without one, it
//! gets another home folder: links to everything in the real one, and the copy.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use serde_json::Value;

use crate::{
    drivers::UserSettings,
    home::{self, files},
};

/// The largest file of a user's settings.
const LARGEST: u64 = 4 << 20;

/// Returns the user's settings with those of `ours` in them. A file that is no JSON is returned as it is, for the program to
/// complain about.
///
/// # Errors
/// Fails when the user's file cannot be read.
pub(super) fn merged(ours: &UserSettings, of_user: &Path) -> io::Result<Vec<u8>> {
    let text = match files::read_text(of_user, LARGEST) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    if text.trim().is_empty() {
        return Ok(ours.with.clone());
    }
    let with = serde_json::from_slice(&ours.with).unwrap_or_default();
    match serde_json::from_str::<Value>(&without_comments(&text)) {
        Ok(mut settings) if settings.is_object() => {
            merge(&mut settings, with);
            Ok(settings.to_string().into_bytes())
        }
        _ => Ok(text.into_bytes()),
    }
}

/// Makes a home folder for the program: `folder`, which may have been made before.
///
/// # Errors
/// Fails when it cannot be written, or the user's settings cannot be read.
pub(super) fn home_with(ours: &UserSettings, real: &Path, folder: &Path) -> io::Result<()> {
    let file = Path::new(ours.file);
    let (Some(within), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let own = folder.join(within);
    home::create_dir(&own)?;
    for entry in fs::read_dir(real.join(within)).into_iter().flatten().flatten() {
        let link = own.join(entry.file_name());
        if entry.file_name() != name && fs::symlink_metadata(&link).is_err() {
            symlink(entry.path(), link)?;
        }
    }
    home::write_new(&own.join(name), &merged(ours, &real.join(file))?)
}

/// Puts the values of `with` into `settings`, the deepest ones in place of what is there.
fn merge(settings: &mut Value, with: Value) {
    match (settings, with) {
        (Value::Object(settings), Value::Object(with)) => {
            for (key, value) in with {
                merge(settings.entry(key).or_insert(Value::Null), value);
            }
        }
        (settings, with) => *settings = with,
    }
}

/// Removes the comments (`//`, `/* */`) that these programs permit in JSON.
fn without_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => {
                let end = string_end(rest);
                kept.push_str(&rest[..end]);
                end
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            other => {
                kept.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    kept
}

/// Returns where the string ends that a text begins with.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = r#"{"mcpServers":{"orch":{"command":"orch"}}}"#;

    fn ours() -> UserSettings {
        UserSettings { file: ".agent/settings.json", home: "AGENT_HOME", with: OURS.into() }
    }

    #[test]
    fn settings_of_orch_come_into_a_copy_of_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.json");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            String::from_utf8(merged(&ours(), &file).unwrap()).unwrap()
        };
        let text = "{ // mine\n \"theme\": \"a // b \\\" /* c\", /* no\n more */ \"mcpServers\": {\"x\": {\"url\": \"http://x\"}, \
                    \"orch\": 1}}";
        let expected = json!({"theme": "a // b \" /* c",
            "mcpServers": {"x": {"url": "http://x"}, "orch": {"command": "orch"}}});
        assert_eq!(serde_json::from_str::<Value>(&read(text)).unwrap(), expected);
        assert_eq!(read(" "), OURS);
        assert_eq!(read("{ broken"), "{ broken", "the program complains about it");
        fs::remove_file(&file).unwrap();
        assert_eq!(merged(&ours(), &file).unwrap(), OURS.as_bytes());
    }

    #[test]
    fn a_home_folder_of_its_own_leads_to_everything_in_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let (real, folder) = (dir.path().join("real"), dir.path().join("runs/t/home"));
        fs::create_dir_all(real.join(".agent/tmp")).unwrap();
        fs::write(real.join(".agent/login.json"), "old").unwrap();
        fs::write(real.join(".agent/settings.json"), r#"{"theme":"dark"}"#).unwrap();
        for _ in 0..2 {
            home_with(&ours(), &real, &folder).unwrap();
        }
        // A login that is renewed is the user's own.
        fs::write(folder.join(".agent/login.json"), "new").unwrap();
        fs::write(folder.join(".agent/tmp/session"), "s").unwrap();
        assert_eq!(fs::read_to_string(real.join(".agent/login.json")).unwrap(), "new");
        assert!(real.join(".agent/tmp/session").exists());
        let text = fs::read_to_string(folder.join(".agent/settings.json")).unwrap();
        assert!(text.contains("dark") && text.contains("orch"), "{text}");
        assert_eq!(fs::read_to_string(real.join(".agent/settings.json")).unwrap(), r#"{"theme":"dark"}"#);

        let empty = dir.path().join("empty");
        home_with(&ours(), &dir.path().join("none"), &empty).unwrap();
        assert_eq!(fs::read_to_string(empty.join(".agent/settings.json")).unwrap(), OURS);
    }
}
