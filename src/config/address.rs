//! The address of a Redis server without its user and password, for files that are kept and for messages.

/// Stands in an address for a user and a password that were left out.
const LOGIN: &str = "[login]";
/// Parameters that log in to nothing.
const HARMLESS: [&str; 2] = ["db=", "protocol="];

/// Returns the address without user and password. What was left out is marked ([`has_login`]).
pub fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let is_socket = scheme.ends_with("unix");
    // A password that is written as it is may hold any character, so that the last `@` ends it. The path of a socket has
    // no user.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) if !is_socket => (true, rest),
        _ => (false, rest),
    };
    let (place, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
    let kept = parameters.iter().copied().filter(|one| HARMLESS.iter().any(|name| one.starts_with(name)));
    let kept: Vec<&str> = kept.collect();
    let left_out = user || kept.len() < parameters.len();
    let mark = if left_out { format!("{LOGIN}@") } else { String::new() };
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}://{mark}{place}{query}")
}

/// Returns the address without user and password, and without a mark of these: two that are equal name the same server.
pub fn place(url: &str) -> String {
    without_login(url).replacen(&format!("{LOGIN}@"), "", 1)
}

/// Returns whether something was left out of this address.
pub fn has_login(address: &str) -> bool {
    address.contains(LOGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_place_and_no_password() {
        for (url, kept) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://10.0.0.1:6379/3", "redis://10.0.0.1:6379/3"),
            ("redis://:hunter2@localhost:6379/3", "redis://[login]@localhost:6379/3"),
            ("rediss://u:p@ss/w?rd@host", "rediss://[login]@host"),
            ("unix:///run/r.sock", "unix:///run/r.sock"),
            ("unix:///run/a@b.sock?db=2", "unix:///run/a@b.sock?db=2"),
            ("unix:///run/r.sock?db=2&pass=hunter2&user=u", "unix://[login]@/run/r.sock?db=2"),
            ("redis+unix:///run/r.sock?pass=x", "redis+unix://[login]@/run/r.sock"),
        ] {
            assert_eq!(without_login(url), kept);
            assert_eq!(has_login(kept), kept.contains('['), "{kept}");
            assert_eq!(without_login(kept), kept, "it stays what it is");
            assert_eq!(place(url), kept.replace("[login]@", ""));
        }
    }
}
