//! Decides by the name of a variable whether it holds a secret.

/// Parts of a name that say so wherever they stand, also within a word.
const PARTS: [&str; 9] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "API_KEY", "CREDENTIAL", "PRIVATE_KEY"];

/// Words of a name that say so.
const WORDS: [&str; 27] = [
    "KEY",
    "KEYS",
    "PASS",
    "PWD",
    "CRED",
    "CREDS",
    "AUTH",
    "AUTHORIZATION",
    "SESSION",
    "PRIVATE",
    "DSN",
    "COOKIE",
    "COOKIES",
    "JWT",
    "PAT",
    "BEARER",
    "OTP",
    "TOTP",
    "PIN",
    "PSK",
    "SALT",
    "SAS",
    "WEBHOOK",
    "SIGNING",
    "ENCRYPTION",
    "PGPASS",
    "HMAC",
];

/// Names that contain such a word and hold none.
const HARMLESS: [&str; 22] = [
    "PWD",
    "OLDPWD",
    "INIT_CWD",
    "SSH_AUTH_SOCK",
    "DESKTOP_SESSION",
    "SESSION_MANAGER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SESSION_BUS_PID",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_CLASS",
    "XDG_SESSION_DESKTOP",
    "XDG_SESSION_PATH",
    "TERM_SESSION_ID",
    "ITERM_SESSION_ID",
    "ZELLIJ_SESSION_NAME",
    "TOKENIZERS_PARALLELISM",
    "PASSWORD_STORE_DIR",
    "SSH_ASKPASS_REQUIRE",
    "GIT_TERMINAL_PROMPT",
    "KITTY_PUBLIC_KEY",
    "CLAUDE_CODE_SESSION_KIND",
];

/// Last words of a name that make its value the description of a secret, and not one.
const DESCRIBES: [&str; 19] = [
    "TYPE",
    "MODE",
    "METHOD",
    "ENDPOINT",
    "ISSUER",
    "HOST",
    "NAME",
    "PROVIDER",
    "STRATEGY",
    "ALGORITHM",
    "ALG",
    "HEADER",
    "DOMAIN",
    "PREFIX",
    "REGION",
    "VERSION",
    "PARALLELISM",
    "DRIVER",
    "BACKEND",
];

/// Words that make the value an amount.
const AMOUNTS: [&str; 24] = [
    "TOKENS",
    "MAX",
    "MIN",
    "LIMIT",
    "COUNT",
    "NUM",
    "SIZE",
    "LENGTH",
    "LEN",
    "TTL",
    "TIMEOUT",
    "EXPIRY",
    "EXPIRES",
    "EXPIRATION",
    "LIFETIME",
    "INTERVAL",
    "BUDGET",
    "BITS",
    "PORT",
    "ROUNDS",
    "RETRIES",
    "DAYS",
    "SECONDS",
    "MS",
];

/// Last words of a name whose value is where something is.
const PLACES: [&str; 8] = ["FILE", "PATH", "DIR", "SOCK", "SOCKET", "HOME", "ROOT", "FOLDER"];

/// Returns whether the name says so. The value only decides where it contradicts the name: a number of tokens is not a token.
pub(super) fn says_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if HARMLESS.contains(&name.as_str()) {
        return false;
    }
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has_part = PARTS.iter().any(|part| name.contains(part));
    let has_word = words
        .iter()
        .any(|word| WORDS.contains(word) || word.ends_with("PASS") && !["BYPASS", "COMPASS"].contains(word));
    if !has_part && !has_word {
        return false;
    }
    let is_number = value.parse::<f64>().is_ok();
    let last = words.last().copied().unwrap_or_default();
    let is_described = DESCRIBES.contains(&last)
        || is_number && words.iter().any(|word| AMOUNTS.contains(word))
        || is_switch(value) && !name.contains("PASS") && last != "PIN"
        || matches!(last, "URL" | "URI") && value.contains("://") && !words.contains(&"WEBHOOK")
        || words.contains(&"ASKPASS") && is_path(value)
        || words.contains(&"PUBLIC") && !has_part;
    let is_place = !has_part && PLACES.contains(&last) && is_path(value);
    !is_described && !is_place
}

fn is_switch(value: &str) -> bool {
    ["0", "1", "true", "false", "yes", "no", "on", "off", "enabled", "disabled", "auto", "none", "never", "always"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

pub(super) fn is_path(value: &str) -> bool {
    ["/", "~", "./", "../"].iter().any(|begin| value.starts_with(begin))
}
