//! A text that a person gives as an argument; `-` stands for standard input.

use std::io::{self, Read};

use crate::error::{Error, Result};

/// A text is something to be read, not a file: what is larger belongs into one.
const LIMIT: u64 = 1024 * 1024;

/// What is meant.
///
/// # Errors
/// Usage: standard input holds too much, or no text. Failed: it can't be read.
pub(super) fn given(argument: String) -> Result<String> {
    if argument == "-" { read(&mut io::stdin().lock()) } else { Ok(argument) }
}

pub(super) fn read(stdin: &mut dyn Read) -> Result<String> {
    let mut bytes = Vec::new();
    stdin
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::failed(format!("standard input cannot be read: {e}")))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::usage("the text on standard input is larger than 1 MiB")
            .hint("write it to a file, and name that in the text"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::usage(format!("the text on standard input is not UTF-8 (byte {at})"))
            .hint("write it to a file, and name that in the text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn standard_input_ends_at_a_mebibyte_and_is_text() {
        assert_eq!(given("x".into()), Ok("x".into()));
        let most = vec![b'x'; LIMIT as usize];
        assert_eq!(read(&mut most.as_slice()).map(|t| t.len()), Ok(most.len()));
        let more = vec![b'x'; LIMIT as usize + 1];
        assert_eq!(read(&mut more.as_slice()).unwrap_err().kind, Kind::Usage);
        let binary = read(&mut b"caf\xe9".as_slice()).unwrap_err();
        assert_eq!(binary.message, "the text on standard input is not UTF-8 (byte 3)");
    }
}
