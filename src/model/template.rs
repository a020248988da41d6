//! A role's own template for the prompt of its agents (`prompt_template` in sessions.toml).

use super::suggest::{nearest, printable};

/// What a template can name, as `{text}`.
pub const FIELDS: &[&str] = &[
    "text",
    "task",
    "attempt",
    "role",
    "limits",
    "tools",
    "parent",
    "labels",
    "artifacts",
    "context",
    "results",
    "answers",
];

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Field(&'a str),
}

/// Splits a template. `{word}` is a field; any other brace is text, so that a template may contain JSON.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut text, mut from) = (Vec::new(), 0, 0);
    while let Some(at) = template[from..].find('{').map(|at| from + at) {
        let rest = &template[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        from = at + 1;
        if end > 0 && rest[end..].starts_with('}') {
            pieces.push(Piece::Text(&template[text..at]));
            pieces.push(Piece::Field(&rest[..end]));
            from = at + 1 + end + 1;
            text = from;
        }
    }
    pieces.push(Piece::Text(&template[text..]));
    pieces
}

/// Checks a template.
///
/// # Errors
/// A field that does not exist, or no `{text}`: an agent without its task's text has nothing to do.
pub fn check(template: &str) -> Result<(), String> {
    let mut has_text = false;
    for piece in pieces(template) {
        let Piece::Field(name) = piece else { continue };
        if !FIELDS.contains(&name) {
            let meant = nearest(name, FIELDS.iter().copied()).map_or_else(
                || format!("it can name {{{}}}", FIELDS.join("}, {")),
                |near| format!("did you mean {{{near}}}?"),
            );
            return Err(format!("{{{}}} is not a known field; {meant}", printable(name)));
        }
        has_text |= name == "text";
    }
    if has_text { Ok(()) } else { Err("it does not contain {text}, which stands for the task's text".to_owned()) }
}

/// Returns the template with each field replaced by what `value` returns for it. What is inserted is not expanded again.
pub fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    pieces(template)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Field(name) => value(name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_replaced_once_and_other_braces_stay() {
        let value = |name: &str| format!("<{name} {{text}}>");
        assert_eq!(fill("a {text} {\"b\": {c}} {text", value), "a <text {text}> {\"b\": <c {text}>} {text");
        assert_eq!(fill("{text}{Text}{}{a b}", value), "<text {text}>{Text}{}{a b}");
        assert_eq!(fill("", value), "");
    }

    #[test]
    fn a_template_names_what_there_is() {
        assert_eq!(check("Do {text}.\n{results}"), Ok(()));
        assert!(check("{results}").unwrap_err().contains("{text}"));
        assert_eq!(check("{text} {result}").unwrap_err(), "{result} is not a known field; did you mean {results}?");
        assert!(check("{text} {zzzzzz}").unwrap_err().contains("it can name {text}, {task}"));
    }
}
