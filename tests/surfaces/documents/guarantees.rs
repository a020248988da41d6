//! Every guarantee in the documentation names tests that exist.

use super::{markdown, read, root};

/// Whether `tests/` has what is named like `it::faults::runner::a_test` (a module, or a test in the module before it), or
/// `src/` a unit test named like `home::files::tests::a_test`.
fn is_there(named: &str) -> bool {
    let path = named.replace("::", "/");
    let (module, test) = path.rsplit_once('/').unwrap_or_default();
    let files = |path: &str| [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/main.rs")];
    let is_file = |path: &str| files(path).iter().any(|file| root().join(file).is_file());
    let has = |path: &str| {
        let contains = |file: &String| {
            std::fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(&format!("fn {test}(")))
        };
        files(path).iter().any(contains)
    };
    let unit = format!("src/{module}");
    // A module `tests` is a file, or is in the file that it tests.
    let inline = unit.strip_suffix("/tests").unwrap_or(&unit);
    is_file(&format!("tests/{path}")) || has(&format!("tests/{module}")) || has(&unit) || has(inline)
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let mut named = 0;
    for page in ["docs/src/guarantees.md", "docs/src/trust.md"] {
        let text = read(page);
        for (number, line) in markdown::prose(&text) {
            for quoted in line.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")) {
                assert!(is_there(quoted), "{page}:{number}: {quoted} is no test");
                named += 1;
            }
        }
    }
    assert!(named > 20, "the table is found");
    assert!(!is_there("it::stop::no_such_test") && !is_there("it::no_such_module"), "what is not there is noticed");
}
