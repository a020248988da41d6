//! Checks names that users write and orch uses in tmux targets, Redis keys and paths.
//!
//! A name that has passed [`check`] needs no quoting anywhere: it cannot end a tmux command, match as a prefix
//! pattern, or leave its folder.

use super::suggest::printable;

/// The longest name of an agent or a session.
pub const MAX: usize = 48;
/// The longest name of a role: an agent's name (`sonnet-1`) and the master's session (`opus-master`) are the role's
/// name plus a suffix, and must fit [`MAX`].
pub const MAX_ROLE: usize = 40;
/// The longest namespace.
pub const MAX_NAMESPACE: usize = 64;

/// Checks that `text` can name an agent or a session: `^[a-z][a-z0-9-]{0,47}$`.
///
/// # Errors
/// A message that describes a valid name.
pub fn check(text: &str) -> Result<(), String> {
    check_up_to(text, MAX)
}

/// Checks that `text` can name a role: as [`check`], but at most [`MAX_ROLE`] characters.
///
/// # Errors
/// A message that describes a valid name.
pub fn check_role(text: &str) -> Result<(), String> {
    check_up_to(text, MAX_ROLE)
}

fn check_up_to(text: &str, max: usize) -> Result<(), String> {
    let good = text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        return Ok(());
    }
    Err(format!(
        "'{}' is not a name: a small letter, then small letters, digits and '-', at most {max} in all",
        printable(text)
    ))
}

/// Checks that `text` can be a namespace: `^[a-z0-9][a-z0-9._-]{0,63}$`. Braces are excluded because a namespace is
/// the hash tag of its Redis keys, slashes because it names a folder.
///
/// # Errors
/// A message that describes a valid namespace, and suggests the most similar one.
pub fn check_namespace(text: &str) -> Result<(), String> {
    let good = text.len() <= MAX_NAMESPACE
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if good {
        return Ok(());
    }
    let mut sentence = format!(
        "'{}' is not a namespace: small letters, digits, '.', '_' and '-', \
         the first a letter or digit, at most {MAX_NAMESPACE} in all",
        printable(text)
    );
    let slug = slug(text, MAX_NAMESPACE);
    if !slug.is_empty() {
        sentence += &format!("; did you mean '{slug}'?");
    }
    Err(sentence)
}

/// Returns the valid namespace that is most similar to a text, at most `max` bytes: `My Shop!` becomes `my-shop`.
/// Empty if no character of the text can be used.
pub fn slug(text: &str, max: usize) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => slug.push(c),
            c @ ('.' | '_' | '-') if !slug.is_empty() => slug.push(c),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() >= max {
            break;
        }
    }
    slug.truncate(slug.trim_end_matches(['.', '_', '-']).len());
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_short_small_and_plain() {
        for good in ["a", "opus-master", "sonnet-1", &"a".repeat(48)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "1a", "-a", "Opus", "a_b", "a b", "é", "a;", "a\n", &"a".repeat(49)] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check_role(&"a".repeat(40)).is_ok() && check_role(&"a".repeat(41)).is_err());
    }

    #[test]
    fn a_role_leaves_room_for_its_agents_and_its_master_session() {
        let role = "r".repeat(MAX_ROLE);
        assert_eq!(check(&format!("{role}-master")), Ok(()));
        assert_eq!(check(&format!("{role}-9999999")), Ok(()));
    }

    #[test]
    fn a_wrong_namespace_comes_with_a_good_one() {
        assert_eq!(check_namespace("shop.v2_x-1"), Ok(()));
        assert!(check_namespace("My Shop!").unwrap_err().ends_with("did you mean 'my-shop'?"));
        for bad in ["", "..", "a/b", "{a}", ".hidden", &"a".repeat(65)] {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
        assert!(!check_namespace("!").unwrap_err().contains("did you mean"));
    }

    proptest! {
        #[test]
        fn a_slug_is_empty_or_a_namespace(text in any::<String>(), max in 1usize..=MAX_NAMESPACE) {
            let slug = slug(&text, max);
            prop_assert!(slug.is_empty() || check_namespace(&slug).is_ok(), "{slug}");
            prop_assert!(slug.len() <= max);
        }
    }
}
