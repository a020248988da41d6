//! Used by build.rs: writes, for each transition, the parts of the prelude that it needs.
//!
//! Redis runs a whole script for each call, and all of the prelude, of which a small transition needs little, takes longer
//! than that transition itself. The part that a script needs is what it names, what those parts name, and so on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// In this order.
const PRELUDE: [&str; 19] = [
    "base",
    "people",
    "usage",
    "trial",
    "budgets",
    "retry",
    "edges",
    "plans",
    "shares",
    "plan_budgets",
    "charges",
    "patterns",
    "locks",
    "moves",
    "records",
    "ends",
    "approvals",
    "grow",
    "schedules",
];
/// What every script has.
const ALWAYS: [&str; 3] = ["P", "now", "format"];

/// Of the 200 local variables of a function, what stands above the prelude takes some (src/store/script.rs).
const MOST_LOCALS: usize = 184;
/// Beyond so many, a script's own text becomes a function of its own.
const ROOM_LEFT: usize = 150;

/// A statement at the top level of the prelude.
struct Part {
    /// The names that it defines; none where it only acts, and is always needed.
    defines: Vec<String>,
    text: String,
}

/// Writes `OUT_DIR/lua/SUBJECT/NAME.prelude.lua` and `OUT_DIR/lua/SUBJECT/NAME.body.lua` for each transition, without comments.
pub fn write_scripts() {
    let sources = Path::new("src/store/lua");
    println!("cargo::rerun-if-changed={}", sources.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("lua");
    let read = |path: &Path| without_comments(&fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}")));
    let parts: Vec<Part> = PRELUDE
        .iter()
        .flat_map(|name| parts(&read(&sources.join("prelude").join(name).with_extension("lua"))))
        .collect();
    check_names(&parts);
    let (parts, constants) = without_constants(parts);
    for subject in list(sources).into_iter().filter(|path| path.is_dir() && !path.ends_with("prelude")) {
        let folder = out.join(subject.file_name().expect("it was listed"));
        fs::create_dir_all(&folder).expect("OUT_DIR is writable");
        for script in list(&subject) {
            let (body, name) =
                (inlined(&read(&script), &constants), folder.join(script.file_name().expect("it was listed")));
            let write = |kind, text: &str| fs::write(name.with_extension(kind), text).expect("OUT_DIR is writable");
            let prelude = needed(&parts, &body);
            let (own, others) = (locals(&body), locals(&prelude));
            assert!(others <= MOST_LOCALS, "{script:?} has {others} local variables in its prelude: Lua allows 200");
            write("prelude.lua", &prelude);
            // A function of its own has variables of its own.
            let is_apart = own + others > ROOM_LEFT;
            write("body.lua", &if is_apart { format!("return (function()\n{body}end)()\n") } else { body });
        }
    }
}

/// Takes out the constants that are numbers or texts, and writes their values where they are named: a function of Lua may have no
/// more than 200 local variables, and a script is one function.
fn without_constants(parts: Vec<Part>) -> (Vec<Part>, Vec<(String, String)>) {
    let constants: Vec<(String, String)> = parts.iter().filter_map(constant).collect();
    let others = parts.into_iter().filter(|part| constant(part).is_none());
    (others.map(|part| Part { text: inlined(&part.text, &constants), ..part }).collect(), constants)
}

/// `local NAME = 60000`, `local NAME = 'text'`.
fn constant(part: &Part) -> Option<(String, String)> {
    let (name, value) = part.text.strip_prefix("local ")?.trim_end().split_once(" = ")?;
    let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let is_number = value.parse::<f64>().is_ok();
    let text = value.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let is_text = text.is_some_and(|text| !text.contains(['\'', '\\']));
    (is_name && (is_number || is_text)).then(|| (name.to_owned(), value.to_owned()))
}

/// The text with the constants' values in the place of their names, but for those in texts and of fields.
fn inlined(text: &str, constants: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Texts are in single quotes, and none goes over a line.
        for (at, piece) in line.split('\'').enumerate() {
            if at > 0 {
                out.push('\'');
            }
            if at % 2 == 1 {
                out.push_str(piece);
                continue;
            }
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let mut rest = piece;
            while let Some(from) = rest.find(is_of_name) {
                let length = rest[from..].find(|c| !is_of_name(c)).unwrap_or(rest.len() - from);
                let (before, word) = (&rest[..from], &rest[from..from + length]);
                let is_field = before.ends_with('.') && !before.ends_with("..");
                let value = constants.iter().find(|(name, _)| name == word).filter(|_| !is_field);
                out.push_str(before);
                out.push_str(value.map_or(word, |(_, value)| value));
                rest = &rest[from + length..];
            }
            out.push_str(rest);
        }
    }
    out
}

/// How many local variables the statements at the top level have.
fn locals(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("local ")).map(|line| defined(line).len()).sum()
}

/// Of two definitions of one name, Lua takes the later one without a word.
fn check_names(parts: &[Part]) {
    let mut seen = BTreeSet::new();
    for name in parts.iter().filter(|part| part.text.starts_with("local ")).flat_map(|part| &part.defines) {
        assert!(seen.insert(name), "two parts of the prelude define {name}");
    }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    entries.map(|entry| entry.expect("it can be listed").path()).collect()
}

fn without_comments(text: &str) -> String {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
    text.lines().filter(is_code).fold(String::new(), |text, line| text + line + "\n")
}

/// Splits a file at the lines that begin a statement. A statement ends with its own `end`.
fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines() {
        let is_first = line.starts_with(|c: char| c.is_ascii_alphabetic()) && line != "end";
        match parts.last_mut().filter(|_| !is_first) {
            Some(part) => part.text += line,
            None => parts.push(Part { defines: defined(line), text: line.to_owned() }),
        }
        parts.iter_mut().last().expect("there is one").text.push('\n');
    }
    parts
}

/// The names that a statement defines: `local function f(`, `local a, b = `, `f = function(`.
fn defined(line: &str) -> Vec<String> {
    let names = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect();
    if let Some(rest) = line.strip_prefix("local function ") {
        return names(rest.split('(').next().unwrap_or_default());
    }
    match (line.strip_prefix("local "), line.split_once(" = function(")) {
        (Some(rest), _) => names(rest.split('=').next().unwrap_or_default()),
        (None, Some((name, _))) => names(name),
        (None, None) => Vec::new(),
    }
}

/// The parts that a script needs, in their order.
fn needed(parts: &[Part], body: &str) -> String {
    let mut named: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).chain(words(body)).collect();
    let mut taken = vec![false; parts.len()];
    loop {
        let is_needed = |part: &Part| part.defines.is_empty() || part.defines.iter().any(|name| named.contains(name));
        let Some(next) = (0..parts.len()).find(|at| !taken[*at] && is_needed(&parts[*at])) else { break };
        taken[next] = true;
        named.extend(words(&parts[next].text));
    }
    parts.iter().zip(taken).filter(|(_, taken)| *taken).map(|(part, _)| part.text.as_str()).collect()
}

/// The names in a text, but for those of fields.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let from = rest.find(is_of_name)?;
            let is_field = rest[..from].ends_with('.') && !rest[..from].ends_with("..");
            let length = rest[from..].find(|c| !is_of_name(c)).unwrap_or(rest.len() - from);
            let word = &rest[from..from + length];
            rest = &rest[from + length..];
            if !is_field {
                return Some(word.to_owned());
            }
        }
    })
}
