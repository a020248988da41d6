//! Nothing is decided by comparing sentences: every refusal, end and event carries a code (`src/model/code.rs`).

use regex::RegexSet;

use crate::layers::each_file;

/// Where the text of other programs is read, which has no codes of ours.
const FOREIGN: &[&str] = &["drivers/", "mux/", "redis_server/", "store/error.rs"];

/// Comparisons that decide nothing, or read a text that is not ours: the file, the code, the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("cli/errors.rs", "message.strip_prefix(\"error: \")", "clap's message, which is rewritten for people"),
    ("view/event.rs", "event.reason.contains(other)", "the agent is not shown twice in one line"),
];

/// What compares a sentence, or the word of a code as text.
fn comparisons() -> RegexSet {
    let sentence = r"(?:reason|message|refusal|complaint)";
    let patterns = [
        format!(
            r"\b{sentence}(?:\(\))?(?:\s*\.as_(?:deref|str|ref)\(\))*\s*\.(?:starts_with|ends_with|contains|strip_prefix|split_once|find|eq)\("
        ),
        format!(r#"\b{sentence}(?:\.as_(?:deref|str)\(\))? (?:==|!=) (?:Some\()?""#),
        r#"refusal\(\) (?:==|!=) Some\(""#.to_owned(),
        r#"\.to_string\(\)\s*\.(?:starts_with|ends_with|contains)\("#.to_owned(),
        r#"\b(?:kind|code|cause)\.as_str\(\) (?:==|!=) ""#.to_owned(),
    ];
    RegexSet::new(patterns).unwrap()
}

/// The code above the file's own tests.
fn before_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or(code)
}

#[test]
fn nothing_is_decided_by_comparing_sentences() {
    let comparisons = comparisons();
    let (mut wrong, mut used) = (Vec::new(), Vec::new());
    each_file(|_, path, code| {
        let file = path.display().to_string();
        if FOREIGN.iter().any(|foreign| file.starts_with(foreign)) || file.ends_with("fuzz.rs") {
            return;
        }
        for line in before_tests(code).lines().filter(|line| comparisons.is_match(line)) {
            match ALLOWED.iter().find(|(allowed, what, _)| file == *allowed && line.contains(what)) {
                Some(allowed) => used.push(allowed),
                None => wrong.push(format!("{file}: {}", line.trim())),
            }
        }
    });
    assert!(wrong.is_empty(), "compare a code instead:\n{}", wrong.join("\n"));
    let unused: Vec<_> = ALLOWED.iter().filter(|allowed| !used.contains(allowed)).collect();
    assert!(unused.is_empty(), "no longer there: {unused:?}");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let comparisons = comparisons();
    for found in [
        r#"if reason.starts_with("crashed: ") {"#,
        r#"e.refusal() == Some("stale")"#,
        r#"event.reason.starts_with(&refusal)"#,
        r#"verdict.reason.contains("says")"#,
        r#"task.reason.as_deref() == Some("x")"#,
        r#"error.to_string().contains("x")"#,
        r#"event.kind.as_str() == "task.ready""#,
    ] {
        assert!(comparisons.is_match(found), "{found}");
    }
    assert!(!comparisons.is_match("e.refusal() == Some(Refusal::Stale)"));
}
