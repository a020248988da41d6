//! What the documents say stands in the code.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// All tests of `tests/NAME.rs` or `tests/NAME/*.rs`, as text.
fn tests_of(name: &str) -> String {
    let mut text = read(&format!("tests/{name}.rs"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        text.push_str(&format!("mod {};", entry.path().file_stem().unwrap_or_default().display()));
        text.push_str(&fs::read_to_string(entry.path()).unwrap_or_default());
    }
    text
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let readme = read("README.md");
    let section = readme.split("## What is guaranteed").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let mut named = 0;
    for quoted in section.split('`').skip(1).step_by(2) {
        let Some((file, test)) = quoted.split_once("::") else { continue };
        let tests = tests_of(file);
        let there = tests.contains(&format!("fn {test}(")) || tests.contains(&format!("mod {test};"));
        assert!(there, "{quoted} is in the README and not in tests/");
        named += 1;
    }
    assert!(named > 10, "the table is found");
}

#[test]
fn every_verb_of_the_help_is_in_the_readme() {
    let readme = read("README.md");
    let commands = readme.split("## Commands").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    for verb in orch::cli::args::command(80).get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = verb.get_name();
        assert!(name == "help" || commands.contains(&format!("`{name}")), "{name} is not in the README");
    }
}
