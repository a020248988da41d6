//! Finds out how an agent program logs in to its service: with a key from the environment, or with a login that its
//! user has stored.
//!
//! Only the method is read, and no secret is returned. Measured with claude 2.1.328 (`.credentials.json`), codex
//! 0.169.0 (`auth.json`) and gemini 0.61.0 (`oauth_creds.json`, `settings.json`).

use serde_json::Value;

use crate::drivers::DriverKind;

/// How a program logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// With a key of this name, whose use is billed per token; and the stored login that it does not use, if there is one.
    Key(String, Option<String>),
    /// With a login that is stored, in words: a plan or an account.
    Stored(String),
    /// Not at all.
    Missing,
}

/// Keys that belong to a login and not to an account that is billed per token.
pub const LOGIN_TOKENS: [&str; 1] = ["CLAUDE_CODE_OAUTH_TOKEN"];

/// Returns how a program logs in, given whether a variable is set for it, and the JSON of a file below its home folder. `None`:
/// it is not known.
pub fn login(kind: DriverKind, is_set: impl Fn(&str) -> bool, read: impl Fn(&str) -> Option<Value>) -> Option<Login> {
    let first = |names: &[&'static str]| names.iter().copied().find(|name| is_set(name));
    let stored = match kind {
        DriverKind::Claude => claude(&is_set, &read),
        DriverKind::Codex => codex(&read),
        DriverKind::Gemini => read(".gemini/oauth_creds.json").map(|_| "a Google account".to_owned()),
        _ => None,
    };
    let by_key = match kind {
        DriverKind::Claude => first(&["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"]),
        // It prefers a stored login to the other variable, which belongs to the user's shell.
        DriverKind::Codex if stored.is_some() => first(&["CODEX_API_KEY"]),
        DriverKind::Codex => first(&["CODEX_API_KEY", "OPENAI_API_KEY"]),
        DriverKind::Gemini => match read(".gemini/settings.json") {
            Some(settings) if settings["security"]["auth"]["selectedType"] == "oauth-personal" => None,
            _ => first(&["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
        },
        other => return first(other.manifest()?.secrets).map(|key| Login::Key(key.to_owned(), None)),
    };
    Some(match (by_key, stored) {
        (Some(key), stored) => Login::Key(key.to_owned(), stored),
        (None, Some(stored)) => Login::Stored(stored),
        (None, None) => Login::Missing,
    })
}

fn claude(is_set: &impl Fn(&str) -> bool, read: &impl Fn(&str) -> Option<Value>) -> Option<String> {
    let services = [
        ("CLAUDE_CODE_USE_BEDROCK", "Amazon Bedrock"),
        ("CLAUDE_CODE_USE_VERTEX", "Google Vertex AI"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    ];
    if let Some((_, name)) = services.iter().find(|(variable, _)| is_set(variable)) {
        return Some((*name).to_owned());
    }
    let login = read(".claude/.credentials.json")?["claudeAiOauth"].take();
    if !login.is_object() {
        return None;
    }
    let plan = login["subscriptionType"].as_str().filter(|plan| !plan.is_empty()).unwrap_or("an account of claude.ai");
    let mut letters = plan.chars();
    Some(letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default())
}

fn codex(read: &impl Fn(&str) -> Option<Value>) -> Option<String> {
    let stored = read(".codex/auth.json")?;
    if stored["tokens"].is_object() {
        return Some("ChatGPT".to_owned());
    }
    stored["OPENAI_API_KEY"].as_str().map(|_| "a stored API key, which is billed".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_and_a_stored_login_are_told_apart() {
        let max = json!({"claudeAiOauth": {"accessToken": "x", "subscriptionType": "max"}});
        let chatgpt = json!({"auth_mode": "chatgpt", "tokens": {"id_token": "x"}, "OPENAI_API_KEY": null});
        let (google, by_google) = (json!({}), json!({"security": {"auth": {"selectedType": "oauth-personal"}}}));
        let key = |name: &str, stored: Option<&str>| Some(Login::Key(name.into(), stored.map(str::to_owned)));
        let stored = |what: &str| Some(Login::Stored(what.into()));
        for (kind, set, files, found) in [
            (DriverKind::Claude, &[][..], &[][..], Some(Login::Missing)),
            (DriverKind::Claude, &[], &[(".claude/.credentials.json", &max)], stored("Max")),
            (DriverKind::Claude, &["ANTHROPIC_API_KEY"], &[], key("ANTHROPIC_API_KEY", None)),
            (
                DriverKind::Claude,
                &["ANTHROPIC_API_KEY"],
                &[(".claude/.credentials.json", &max)],
                key("ANTHROPIC_API_KEY", Some("Max")),
            ),
            (DriverKind::Claude, &["CLAUDE_CODE_USE_BEDROCK"], &[], stored("Amazon Bedrock")),
            (DriverKind::Codex, &["OPENAI_API_KEY"], &[(".codex/auth.json", &chatgpt)], stored("ChatGPT")),
            (DriverKind::Codex, &["OPENAI_API_KEY"], &[], key("OPENAI_API_KEY", None)),
            (DriverKind::Gemini, &["GEMINI_API_KEY"], &[], key("GEMINI_API_KEY", None)),
            (
                DriverKind::Gemini,
                &["GEMINI_API_KEY"],
                &[(".gemini/settings.json", &by_google), (".gemini/oauth_creds.json", &google)],
                stored("a Google account"),
            ),
            (DriverKind::Opencode, &[], &[], None),
        ] {
            let read = |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, json)| (*json).clone());
            assert_eq!(login(kind, |name| set.contains(&name), read), found, "{kind} {set:?}");
        }
    }
}
