//! Recognizes secrets, and removes them from texts.
//!
//! There are two decisions with different rules. Whether a variable of an environment may reach a program depends on
//! its name and its value ([`looks_secret`]): withholding a harmless variable is annoying, passing on a secret is
//! worse. What is removed from a text ([`Redactor`]) must be certain: the values of known secrets, and tokens whose
//! form is unmistakable (`shape`). A commit hash, a UUID or an image in base64 is not a secret.

mod name;
mod redactor;
mod shape;
#[cfg(test)]
mod tests;
mod value;

pub use redactor::Redactor;

/// Returns whether a variable of an environment looks like a secret, by its name or by its value.
#[must_use]
pub fn looks_secret(name: &str, value: &str) -> bool {
    !value.is_empty() && (name::says_secret(name, value) || value::is_secret(name, value))
}

/// Returns what has to be removed from texts because of a variable that looks like a secret: its value, or the parts of it
/// that are secret. Nothing for a value that could be an ordinary word, a number or a path: removing it everywhere would spoil
/// texts that have nothing to do with it.
#[must_use]
pub fn known_values(name: &str, value: &str) -> Vec<String> {
    if !looks_secret(name, value) {
        return Vec::new();
    }
    let mut known = value::secret_parts(value);
    if value::is_secret(name, value) || name::says_secret(name, value) && value::is_distinctive(value) {
        known.push(value.to_owned());
    }
    known
}
