//! `{{...}}` in the texts of a plan. Inserted text is data: it is not searched for further `{{...}}`.
//!
//! `{{plan.name}}`, `{{plan.text}}` and `{{vars.NAME}}` are inserted when the plan is submitted. `{{results.KEY.text}}`
//! becomes `{{results.ID.text}}` then, with the id of that task, and is inserted when the attempt starts.

use crate::model::{
    id::TaskId,
    suggest::{nearest, printable},
};

/// Longest text of a task, with everything inserted.
pub(super) const LONGEST: usize = 1 << 20;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    /// Between `{{` and `}}`, without spaces at the ends; and at which byte of the text `{{` stands.
    Name(&'a str, usize),
}

/// Splits a text. `{{` and `}}` around a dotted name is a name; everything else is text, also any other brace. `\{{` stands
/// for `{{`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut start, mut from) = (Vec::new(), 0, 0);
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        if text[..open].ends_with('\\') {
            pieces.push(Piece::Text(&text[start..open - 1]));
            (start, from) = (open, open + 2);
            continue;
        }
        // A name is short: the next `}}` is not searched in the whole text.
        let mut end = (open + 2 + LONGEST_NAME).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let name = text[open + 2..end].split_once("}}").map(|(name, _)| (name.trim(), open + 4 + name.len()));
        match name.filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                pieces.push(Piece::Text(&text[start..open]));
                pieces.push(Piece::Name(name, open));
                (start, from) = (after, after);
            }
            None => from = open + 1,
        }
    }
    pieces.push(Piece::Text(&text[start..]));
    pieces
}

const LONGEST_NAME: usize = 256;

fn is_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    name.contains('.') && name.split('.').all(is_word)
}

/// What a text of a plan may name.
pub(super) struct Names<'a> {
    pub plan_name: &'a str,
    pub plan_text: &'a str,
    pub vars: &'a [(String, String)],
    /// The keys of all tasks.
    pub keys: &'a [&'a str],
}

/// A text with everything inserted but results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Inserted {
    /// Text, and between each two pieces the key of a task whose result stands there.
    pub pieces: Vec<String>,
    /// One less than there are pieces.
    pub results: Vec<String>,
}

impl Inserted {
    /// The text with the ids of the tasks whose results stand in it.
    pub fn with_ids(&self, id: impl Fn(&str) -> Option<TaskId>) -> String {
        let mut text = String::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            text.push_str(piece);
            if let Some(id) = self.results.get(at).and_then(|key| id(key)) {
                text.push_str(&format!("{{{{results.{id}.text}}}}"));
            }
        }
        text
    }
}

/// Inserts everything but results.
///
/// # Errors
/// What is named and does not exist, or a text that becomes too long: each with the byte of the text.
pub(super) fn insert(text: &str, names: &Names<'_>) -> Result<Inserted, Vec<(usize, String)>> {
    let (mut inserted, mut wrong) = (Inserted { pieces: vec![String::new()], results: Vec::new() }, Vec::new());
    let mut length = 0;
    for piece in pieces(text) {
        let what = match piece {
            Piece::Text(text) => text,
            Piece::Name(name, at) => match name.split('.').collect::<Vec<_>>().as_slice() {
                ["plan", "name"] => names.plan_name,
                ["plan", "text"] => names.plan_text,
                ["vars", var] => match names.vars.iter().find(|(name, _)| name == var) {
                    Some((_, value)) => value,
                    None => {
                        wrong.push((at, unknown(name, names)));
                        ""
                    }
                },
                ["results", key, "text"] if names.keys.contains(key) => {
                    inserted.results.push((*key).to_owned());
                    inserted.pieces.push(String::new());
                    ""
                }
                _ => {
                    wrong.push((at, unknown(name, names)));
                    ""
                }
            },
        };
        length += what.len();
        if length > LONGEST {
            wrong.push((0, format!("is longer than {LONGEST} bytes with everything inserted")));
            break;
        }
        if let Some(last) = inserted.pieces.last_mut() {
            last.push_str(what);
        }
    }
    if wrong.is_empty() { Ok(inserted) } else { Err(wrong) }
}

fn unknown(name: &str, names: &Names<'_>) -> String {
    let vars = names.vars.iter().map(|(name, _)| format!("vars.{name}"));
    let results = names.keys.iter().map(|key| format!("results.{key}.text"));
    let all: Vec<String> =
        ["plan.name", "plan.text"].map(str::to_owned).into_iter().chain(vars).chain(results).collect();
    let meant = match nearest(name, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {{{{{near}}}}}?"),
        None => "it may name plan.name, plan.text, vars.NAME or results.KEY.text".to_owned(),
    };
    format!("names {{{{{}}}}}, which is not a known field; {meant}", printable(name))
}

/// Replaces each `{{results.ID.text}}` by what `result` returns for it; what it does not know stays.
pub fn insert_results(text: &str, mut result: impl FnMut(&TaskId) -> Option<String>) -> String {
    let mut out = String::new();
    let mut start = 0;
    while let Some(open) = text[start..].find("{{results.t-").map(|at| start + at) {
        out.push_str(&text[start..open]);
        let found = text[open..].find(".text}}").and_then(|end| {
            let id: TaskId = text[open + 10..open + end].parse().ok()?;
            Some((result(&id)?, open + end + 7))
        });
        match found {
            Some((result, end)) => {
                out.push_str(&result);
                start = end;
            }
            None => {
                out.push_str("{{");
                start = open + 2;
            }
        }
    }
    out.push_str(&text[start..]);
    out
}

/// The tasks whose results a text names, each once.
pub fn results_in(text: &str) -> Vec<TaskId> {
    let mut ids: Vec<TaskId> = Vec::new();
    insert_results(text, |id| {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
        None
    });
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(vars: &'a [(String, String)]) -> Names<'a> {
        Names { plan_name: "p", plan_text: "it {{vars.a}}", vars, keys: &["api", "ui-2"] }
    }

    #[test]
    fn what_is_inserted_is_not_read_again() {
        let vars = [("a".to_owned(), "{{vars.b}} {{results.api.text}}".to_owned()), ("b".to_owned(), "B".to_owned())];
        let text = "{{ vars.a }}|{{plan.text}}|{{results.api.text}}|\\{{vars.b}}|{x}|${{ github }}|{{a b.c}}";
        let inserted = insert(text, &names(&vars)).unwrap();
        assert_eq!(inserted.results, ["api"]);
        assert_eq!(inserted.pieces[0], "{{vars.b}} {{results.api.text}}|it {{vars.a}}|");
        assert_eq!(inserted.pieces[1], "|{{vars.b}}|{x}|${{ github }}|{{a b.c}}");
        let id = TaskId::random();
        let stored = inserted.with_ids(|_| Some(id.clone()));
        let given = insert_results(&stored, |one| (*one == id).then(|| format!("<{{{{results.{id}.text}}}}>")));
        assert_eq!(given.matches(&format!("<{{{{results.{id}.text}}}}>")).count(), 1, "{given}");
        assert!(given.starts_with("{{vars.b}} {{results.api.text}}|"), "{given}");
        assert_eq!(results_in(&stored), [id]);
    }

    #[test]
    fn what_stands_for_nothing_is_told_with_what_was_meant() {
        let vars = [("api".to_owned(), String::new())];
        for (text, at, said) in [
            ("x {{vars.apj}}", 2, "{{vars.api}}"),
            ("{{results.ui2.text}}", 0, "{{results.ui-2.text}}"),
            ("{{results.api.data}}", 0, "results.api.text"),
            ("{{secrets.x}}", 0, "it may name"),
        ] {
            let wrong = insert(text, &names(&vars)).unwrap_err();
            assert_eq!(wrong[0].0, at);
            assert!(wrong[0].1.contains(said), "{wrong:?}");
        }
    }

    #[test]
    fn a_text_that_would_become_very_long_is_refused_before_it_is_made() {
        let vars = [("a".to_owned(), "x".repeat(LONGEST / 2))];
        assert!(insert(&"{{vars.a}}".repeat(100_000), &names(&vars)).is_err());
        assert!(insert(&"{{".repeat(200_000), &names(&vars)).is_ok());
    }
}
