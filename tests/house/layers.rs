//! The layers: imports go downward only (src/lib.rs, "The layers").

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each module may import, besides itself and `error`. `main.rs` and `lib.rs` only wire.
const MAY: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("os", &[]),
    ("admission", &["model"]),
    ("plan", &["model"]),
    ("schedule", &["model"]),
    ("routing", &["model"]),
    ("drivers", &["model"]),
    ("config", &["model", "schedule", "routing", "drivers", "os"]),
    ("mux", &["model", "os"]),
    ("redis_server", &["model", "os"]),
    ("store", &["model", "os", "redis_server", "admission"]),
    ("home", &["model", "os", "config", "redis_server", "store"]),
    ("launchers", &["model", "os", "config", "home", "drivers"]),
    (
        "ops",
        &[
            "model",
            "admission",
            "plan",
            "schedule",
            "routing",
            "os",
            "config",
            "mux",
            "redis_server",
            "store",
            "home",
            "drivers",
            "launchers",
        ],
    ),
    // It executes what its agent's programs ask for.
    (
        "runner",
        &["model", "plan", "os", "config", "mux", "redis_server", "store", "home", "drivers", "launchers", "ops"],
    ),
    (
        "supervisor",
        &[
            "model",
            "admission",
            "os",
            "config",
            "mux",
            "redis_server",
            "store",
            "home",
            "drivers",
            "launchers",
            // What runs at certain times is delegated as everything else is.
            "ops",
        ],
    ),
    ("drill", &["model", "admission", "os", "config", "mux", "redis_server", "store", "home"]),
    // It renders the answers of `ops`, and every surface renders with it.
    ("view", &["model", "plan", "ops"]),
    ("console", &["model", "os", "config", "home", "ops", "view"]),
    ("mcp", &["model", "plan", "os", "config", "home", "ops", "view"]),
    // The command line also dispatches to the programs that are not verbs.
    (
        "cli",
        &["model", "plan", "os", "config", "home", "ops", "supervisor", "runner", "console", "mcp", "drill", "view"],
    ),
];

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The code without comments, so that a link in a doc comment is no import.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The first word after every `crate::`, also inside `crate::{a::..., b}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            named.insert(word(after));
            continue;
        };
        let (mut depth, mut at_start) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if at_start && c.is_alphabetic() => {
                    named.insert(word(&group[i..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    named
}

pub fn each_file(mut see: impl FnMut(&str, &Path, &str)) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 50, "the files are found");
    for path in all {
        let relative = path.strip_prefix(&src).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        // Tests stand above the house: they may build any world they like.
        let is_test =
            |part: &std::ffi::OsStr| part.to_str().is_some_and(|p| p.trim_end_matches(".rs").ends_with("tests"));
        if !relative.iter().any(is_test) {
            see(first.trim_end_matches(".rs"), relative, &code(&path));
        }
    }
}

#[test]
fn imports_go_downward_only() {
    let may: BTreeMap<&str, &[&str]> = MAY.iter().copied().collect();
    let mut wrong = Vec::new();
    each_file(|room, path, code| {
        // `fuzz` and `samples` are there for tests alone: how long they look, and complete records.
        if matches!(room, "main" | "lib" | "error" | "fuzz" | "samples") {
            return;
        }
        let allowed = may.get(room).unwrap_or_else(|| panic!("the room {room} is not in the table"));
        for named in rooms_named(code) {
            let is_room = may.contains_key(named.as_str());
            if is_room && named != room && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}: {room} may not import {named}", path.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn view_knows_the_answers_of_ops_and_calls_no_verb() {
    let mut wrong = Vec::new();
    each_file(|room, path, code| {
        let calls = code.split("ops::").skip(1).any(|after| !after.starts_with("types"));
        if room == "view" && calls {
            wrong.push(path.display().to_string());
        }
    });
    assert!(wrong.is_empty(), "import more than ops::types: {wrong:?}");
}

#[test]
fn only_the_store_speaks_redis_and_only_mux_speaks_tmux() {
    // The private server limits its users to the keys of the namespace.
    let pattern_of_keys = |room: &str, what: &str| room == "redis_server" && what == "\"orch:{";
    let secrets = [("use redis", "store"), ("redis::cmd", "store"), ("\"orch:{", "store"), ("tmux_interface", "mux")];
    let mut wrong = Vec::new();
    each_file(|room, path, code| {
        for (what, only) in secrets {
            if code.contains(what) && room != only && !pattern_of_keys(room, what) {
                wrong.push(format!("{}: only {only} may know {what}", path.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_test_sees_what_it_looks_for() {
    let named = rooms_named("use crate::{a::{b, c}, d, e::f};\nuse crate::g::h; crate::i()");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["a", "d", "e", "g", "i"]);
}
