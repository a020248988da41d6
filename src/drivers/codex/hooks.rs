//! The hooks of codex as arguments of one run, marked as trusted.
//!
//! codex runs only hooks that its user has reviewed, and asks about new ones when it starts. Bypassing this for all hooks
//! (`--dangerously-bypass-hook-trust`) would also run hooks that others have left in the folder, and `notify` would replace the
//! user's own. So each of our hooks is marked as reviewed for this run, in the way in which codex records a review: by a hash of
//! the hook under its name. codex still asks about all other hooks.
//!
//! Measured with 0.169.0: the hash is that of the hook's JSON with sorted keys (as `hooks/list` of `codex app-server` reports). A
//! codex that computes it differently asks its user at its start, and does not run the hooks.

use std::{ffi::OsString, path::Path};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::hook_json::{TIMEOUT, command};

/// An event that runs `orch hook`, and the seconds that codex waits for it.
type Event = (&'static str, u32);

/// The events of a task without a screen: edits are compared with locks before a tool, messages are passed on after a tool and at
/// the end of a turn. The stream shows neither the change of a patch nor every command.
pub(super) const HEADLESS: &[Event] = &[("PreToolUse", TIMEOUT), ("PostToolUse", TIMEOUT), ("Stop", TIMEOUT)];
/// The events of a codex on a terminal. After Esc it does not wait for longer than that.
pub(super) const ON_A_TERMINAL: &[Event] = &[
    ("SessionStart", TIMEOUT),
    ("UserPromptSubmit", TIMEOUT),
    ("PreToolUse", TIMEOUT),
    ("PostToolUse", TIMEOUT),
    ("PermissionRequest", TIMEOUT),
    ("Stop", TIMEOUT),
    ("Interrupt", 3),
];
/// The name that codex has for settings from its arguments.
const SOURCE: &str = "/<session-flags>/config.toml";

/// Returns the arguments for these events.
pub(super) fn arguments(orch: &Path, events: &[Event]) -> Vec<OsString> {
    let command = command(orch, "codex");
    let (mut args, mut trusted) = (Vec::new(), Vec::new());
    for (event, timeout) in events {
        // A JSON string is valid TOML.
        let hook = format!("{{type=\"command\",command={},timeout={timeout}}}", json!(command));
        args.extend(["-c".into(), format!("hooks.{event}=[{{hooks=[{hook}]}}]").into()]);
        let event = snake_case(event);
        let reviewed = hash(&event, &command, *timeout);
        trusted.push(format!("\"{SOURCE}:{event}:0:0\"={{trusted_hash=\"{reviewed}\"}}"));
    }
    args.extend(["-c".into(), format!("hooks.state={{{}}}", trusted.join(",")).into()]);
    args
}

/// Returns the hash by which codex records that a hook was reviewed.
fn hash(event: &str, command: &str, timeout: u32) -> String {
    let hook = json!({ "type": "command", "command": command, "timeout": timeout, "async": false });
    // Its keys are sorted.
    let identity = json!({ "event_name": event, "hooks": [hook] }).to_string();
    let digest = Sha256::digest(identity.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn snake_case(name: &str) -> String {
    let parts = name.char_indices().map(|(at, c)| match (at, c.is_ascii_uppercase()) {
        (1.., true) => format!("_{}", c.to_ascii_lowercase()),
        _ => c.to_ascii_lowercase().to_string(),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_codex_says_it_is() {
        for (event, timeout, said) in [
            ("stop", 10, "a58f34e95f2c9df611d972c1d803bac0b60995ceecad605d532e503da4bc948c"),
            ("session_start", 10, "6ca213d5d307b6a6a9175a2750680e153a61f262be8dfe8f6cb659809fcc5b29"),
            ("interrupt", 3, "b744719adc010bb92c118847a0cf3d46b5542977bbcba7cf98a18a3adcbd6a9f"),
        ] {
            assert_eq!(hash(event, "/x", timeout), format!("sha256:{said}"), "{event}");
        }
    }

    #[test]
    fn the_arguments_are_toml_and_vouch_for_each_hook() {
        let args = arguments(Path::new("/it's/orch"), ON_A_TERMINAL);
        let text: String =
            args.iter().filter(|arg| *arg != "-c").map(|arg| format!("{}\n", arg.to_str().unwrap())).collect();
        let config: toml::Table = text.parse().unwrap();
        let hooks = config["hooks"].as_table().unwrap();
        let command = hooks["Stop"][0]["hooks"][0]["command"].as_str().unwrap();
        assert_eq!(command, r"'/it'\''s/orch' hook codex");
        assert_eq!(hooks["state"].as_table().unwrap().len(), ON_A_TERMINAL.len());
        let trusted = &hooks["state"]["/<session-flags>/config.toml:user_prompt_submit:0:0"]["trusted_hash"];
        assert_eq!(trusted.as_str(), Some(hash("user_prompt_submit", command, TIMEOUT).as_str()));
    }
}
