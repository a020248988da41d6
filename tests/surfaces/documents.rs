//! Tests and commands that the documents name exist.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// Whether `tests/` has what is named like `it::faults::runner::a_test`: a module, or a test in the module before it.
fn is_there(named: &str) -> bool {
    let path = format!("tests/{}", named.replace("::", "/"));
    let (module, test) = path.rsplit_once('/').unwrap_or_default();
    let files = |path: &str| [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/main.rs")];
    let has = |file: &String| read(file).contains(&format!("fn {test}("));
    files(&path).iter().any(|file| !read(file).is_empty()) || files(module).iter().any(has)
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let readme = read("README.md");
    let section = readme.split("## What is guaranteed").nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let mut named = 0;
    for quoted in section.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")) {
        assert!(is_there(quoted), "{quoted} is in the README and not in tests/");
        named += 1;
    }
    assert!(named > 10, "the table is found");
    assert!(!is_there("it::stop::no_such_test") && !is_there("it::no_such_module"), "what is not there is noticed");
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
