//! Every command that a document shows is one that orch understands.

use std::ffi::OsString;

use super::{markdown, pages, read};

/// The words of the first simple command of a line, as a shell splits them; `None` where the quotes do not match.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut in_word) = (Vec::new(), String::new(), None, false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            // What another command prints stands for what the verb takes there.
            (None | Some('"'), '$') if characters.peek() == Some(&'(') => {
                characters.by_ref().find(|c| *c == ')')?;
                word.push('$');
                in_word = true;
            }
            (Some('\''), c) => word.push(c),
            (None, '\'' | '"') => (quote, in_word) = (Some(c), true),
            (_, '\\') => word.push(characters.next()?),
            (Some(_), c) => word.push(c),
            (None, '|' | '>' | '<' | '&' | ';' | ')') => break,
            (None, '#') if !in_word => break,
            (None, c) if c.is_whitespace() => {
                if in_word {
                    words.push(std::mem::take(&mut word));
                }
                in_word = false;
            }
            (None, c) => {
                word.push(c);
                in_word = true;
            }
        }
    }
    if in_word {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// A variable of a shell script stands for what the verb takes there, mostly a task.
fn meant(word: String) -> OsString {
    if word.starts_with('$') { "t-7k2m9qx4hz".into() } else { word.into() }
}

#[test]
fn every_command_shown_parses() {
    let mut tried = 0;
    for page in pages() {
        let text = read(&page);
        for (number, line) in markdown::commands(&text) {
            let line = line.trim_start();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if !line.starts_with("orch ") {
                continue;
            }
            let at = format!("{}:{number}: {line}", page.display());
            let words: Vec<OsString> =
                words(line).unwrap_or_else(|| panic!("{at}: quotes")).into_iter().map(meant).collect();
            if let Err(e) = orch::cli::args::parse(&words, 80) {
                assert!(!e.use_stderr(), "{at}\n{e}");
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "only {tried} commands were found");
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(
        words("orch delegate --wait 'a b' | x"),
        Some(["orch", "delegate", "--wait", "a b"].map(String::from).into())
    );
    assert_eq!(words("orch ask \"it's\"  # why"), Some(["orch", "ask", "it's"].map(String::from).into()));
}
