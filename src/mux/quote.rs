//! Words that reach tmux exactly as they are. tmux reads a word in three different ways, so there are three functions.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// One word of a control-mode line. `None` for what no quoting carries there: a newline ends the line, and the byte 0xFF
/// ends tmux's parser (it takes it for the end of its input).
pub(super) fn control_word(word: &OsStr) -> Option<Vec<u8>> {
    let bytes = word.as_bytes();
    if bytes.iter().any(|byte| matches!(byte, 0 | b'\n' | 0xFF)) {
        return None;
    }
    // Nothing is special between single quotes but the quote itself.
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    quoted.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    Some(quoted)
}

/// One word of a tmux process's arguments: there a trailing `;` would separate commands, and `\;` stands for it.
pub(super) fn process_word(word: &OsStr) -> OsString {
    match word.as_bytes().strip_suffix(b";") {
        Some(head) => OsString::from_vec([head, br"\;"].concat()),
        None => word.to_owned(),
    }
}

/// Text that tmux will expand as a format, such that it comes out unchanged: `##` stands for `#`, except before `[`,
/// where tmux leaves any number of `#` alone.
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

    fn control(word: &str) -> String {
        String::from_utf8(control_word(word.as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn control_words_are_quoted_or_refused() {
        assert_eq!(control(""), "''");
        assert_eq!(control("$HOME #(x) ~;"), "'$HOME #(x) ~;'");
        assert_eq!(control("it's"), r"'it'\''s'");
        for carried_by_no_quoting in [&b"a\nb"[..], b"\xff", b"a\0"] {
            assert_eq!(control_word(OsStr::from_bytes(carried_by_no_quoting)), None);
        }
    }

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
