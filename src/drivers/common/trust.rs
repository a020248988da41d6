//! Whether a program asks its user, when it starts on a terminal, to trust the folder that it works in.

use std::path::Path;

use serde_json::Value;

use crate::drivers::DriverKind;

/// Returns whether a program's user has trusted exactly this folder, given the text of the program's files below the home
/// folder. `None`: the program doesn't ask.
///
/// Measured with claude 2.1.328 and codex 0.169.0.
pub fn trusts(kind: DriverKind, folder: &Path, read: impl Fn(&str) -> Option<String>) -> Option<bool> {
    let folder = folder.to_str()?;
    match kind {
        DriverKind::Claude => {
            let settings = read(".claude/.claude.json").or_else(|| read(".claude.json"));
            let settings: Value = settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            Some(settings["projects"][folder]["hasTrustDialogAccepted"] == true)
        }
        DriverKind::Codex => {
            let config: toml::Table = read(".codex/config.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
            let level =
                config.get("projects").and_then(|projects| projects.get(folder)).and_then(|one| one.get("trust_level"));
            Some(level.and_then(toml::Value::as_str) == Some("trusted"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_trusted_where_the_programs_file_says_so() {
        let claude = r#"{"projects":{"/p":{"hasTrustDialogAccepted":true},"/q":{"hasTrustDialogAccepted":false}}}"#;
        let codex = "[projects.\"/p\"]\ntrust_level = \"trusted\"\n[projects.\"/q\"]\ntrust_level = \"untrusted\"\n";
        for (kind, file, text) in
            [(DriverKind::Claude, ".claude.json", claude), (DriverKind::Codex, ".codex/config.toml", codex)]
        {
            let read = |name: &str| (name == file).then(|| text.to_owned());
            let found = ["/p", "/q", "/r"].map(|folder| trusts(kind, Path::new(folder), read));
            assert_eq!(found, [Some(true), Some(false), Some(false)], "{kind}");
            assert_eq!(trusts(kind, Path::new("/p"), |_| None), Some(false));
        }
        assert_eq!(trusts(DriverKind::Shell, Path::new("/p"), |_| None), None);
    }
}
