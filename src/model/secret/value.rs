//! Decides by the value of a variable whether it is a secret, whatever its name is.

use super::{name::is_path, shape};

/// Shorter random text cannot be distinguished from an ordinary identifier.
const LONG: usize = 24;
/// Length of the shortest hash that is written in hexadecimal (MD5).
const HASH: usize = 32;
/// Words of a name whose value is a hash or an identifier.
const HASHES: [&str; 16] = [
    "SHA",
    "SHA1",
    "SHA256",
    "MD5",
    "HASH",
    "DIGEST",
    "CHECKSUM",
    "COMMIT",
    "REV",
    "REVISION",
    "REF",
    "ID",
    "UUID",
    "GUID",
    "BUILD",
    "FINGERPRINT",
];
/// Fields of a query or of a connection string that hold a secret.
const FIELDS: [&str; 18] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "token",
    "access_token",
    "auth_token",
    "api_key",
    "apikey",
    "key",
    "secret",
    "client_secret",
    "sig",
    "signature",
    "accountkey",
    "sharedaccesskey",
    "sharedaccesssignature",
    "auth",
];

/// Returns whether the value is a secret or contains one: a URL with a password, a token with a known prefix, a private key, a
/// field that is called password, or long random text.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    !secret_parts(value).is_empty() || has_password(value) || shape::is_in(value) || is_random(name, value)
}

/// Returns the passwords within a URL or a connection string that are long enough to be searched for.
pub(super) fn secret_parts(value: &str) -> Vec<String> {
    let of_urls = urls(value).filter_map(|authority| password(authority)).filter(|part| is_distinctive(part));
    let of_fields = fields(value).filter(|part| part.len() >= 6 && is_distinctive(part));
    of_urls.chain(of_fields).map(str::to_owned).collect()
}

fn has_password(value: &str) -> bool {
    urls(value).any(|authority| password(authority).is_some()) || fields(value).next().is_some()
}

/// Returns what follows each `://`, up to the host.
fn urls(value: &str) -> impl Iterator<Item = &str> {
    value.split("://").skip(1).filter_map(|rest| {
        // A password that contains a slash is written as it is more often than escaped.
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>?#".contains(c)).unwrap_or(rest.len());
        let at = match rest[..end].split('/').next().and_then(|authority| authority.rfind('@')) {
            Some(at) => at,
            None => {
                rest[..end].rfind('@').filter(|at| rest[..*at].split('/').next().is_some_and(|a| a.contains(':')))?
            }
        };
        Some(&rest[..at])
    })
}

/// Returns the password of `user:password`, or a user that is a token.
fn password(authority: &str) -> Option<&str> {
    match authority.split_once(':') {
        Some((_, password)) => Some(password).filter(|password| !password.is_empty()),
        None => Some(authority).filter(|user| user.len() >= 20 && user.bytes().any(|b| b.is_ascii_digit())),
    }
}

/// Returns the values of fields such as `password=...`, separated as in a query, a connection string or a libpq DSN.
fn fields(value: &str) -> impl Iterator<Item = &str> {
    let parts = value.split(|c: char| c.is_whitespace() || "?&;".contains(c));
    parts.filter_map(|part| part.split_once('=')).filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        (FIELDS.contains(&name.as_str()) && !value.is_empty()).then_some(value)
    })
}

/// Returns whether a value is long random text: mixed letters and digits without the separators of words, or hexadecimal
/// digits in a variable that is not called a hash.
fn is_random(name: &str, value: &str) -> bool {
    if value.len() < LONG || is_path(value) || is_uuid(value) {
        return false;
    }
    if value.len() >= HASH && value.bytes().all(|b| b.is_ascii_hexdigit()) {
        let name = name.to_ascii_uppercase();
        return value.bytes().any(|b| b.is_ascii_alphabetic()) && !name.split('_').any(|word| HASHES.contains(&word));
    }
    let is_of_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b);
    if !value.bytes().all(is_of_base64) {
        return false;
    }
    let count = |is: fn(&u8) -> bool| value.bytes().filter(is).count();
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    // Words and versions change between upper case, lower case and digits rarely; random text at every second character.
    let class = |b: u8| (b.is_ascii_uppercase(), b.is_ascii_lowercase(), b.is_ascii_digit());
    let changes = value.as_bytes().windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    upper >= 2 && lower >= 2 && digits >= 2 && changes >= value.len() / 3
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Returns whether a value can be searched for in texts: not an ordinary word, a number, a path or an address.
pub(super) fn is_distinctive(value: &str) -> bool {
    let is_word = value.len() < 16 && value.bytes().all(|b| b.is_ascii_lowercase())
        || value.len() < 16 && value.bytes().all(|b| b.is_ascii_uppercase());
    let is_number = value.len() < 12 && value.parse::<f64>().is_ok();
    value.len() >= 6 && !is_word && !is_number && !is_path(value) && !value.contains("://")
}
