//! Quotes words so that tmux receives them unchanged.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// Quotes a word of a tmux process's arguments: a trailing `;` would separate commands, and `\;` stands for it.
pub(super) fn process_word(word: &OsStr) -> OsString {
    match word.as_bytes().strip_suffix(b";") {
        Some(head) => OsString::from_vec([head, br"\;"].concat()),
        None => word.to_owned(),
    }
}

/// Quotes text that tmux expands as a format, so that the result is unchanged: `##` stands for `#`, except before `[`,
/// where tmux leaves any number of `#` unchanged.
pub(super) fn format_literal(text: &OsStr) -> OsString {
    let mut literal = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'#') {
        let (plain, tail) = rest.split_at(at);
        let hashes = tail.iter().take_while(|&&byte| byte == b'#').count();
        literal.extend_from_slice(plain);
        let written = if tail.get(hashes) == Some(&b'[') { hashes } else { hashes * 2 };
        literal.resize(literal.len() + written, b'#');
        rest = &tail[hashes..];
    }
    literal.extend_from_slice(rest);
    OsString::from_vec(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_semicolon_separates_commands() {
        for (word, written) in [("a;", r"a\;"), (r"a\;", r"a\\;"), (";", r"\;"), ("a;b", "a;b"), ("", "")] {
            assert_eq!(process_word(word.as_ref()), written);
        }
    }

    #[test]
    fn hashes_are_doubled_except_before_a_bracket() {
        for (text, written) in
            [("#(touch x)", "##(touch x)"), ("a##", "a####"), ("#[b", "#[b"), ("##[#{pid}", "##[##{pid}"), ("", "")]
        {
            assert_eq!(format_literal(text.as_ref()), written);
        }
    }
}
