//! Every guarantee in the documentation names tests that exist.

use super::{markdown, read, root};

/// Whether `tests/` has what is named like `it::faults::runner::a_test`: a module, or a test in the module before it.
fn is_there(named: &str) -> bool {
    let path = format!("tests/{}", named.replace("::", "/"));
    let (module, test) = path.rsplit_once('/').unwrap_or_default();
    let files = |path: &str| [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/main.rs")];
    let has = |file: &String| {
        std::fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(&format!("fn {test}(")))
    };
    files(&path).iter().any(|file| root().join(file).is_file()) || files(module).iter().any(has)
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let mut named = 0;
    for page in ["docs/src/guarantees.md", "docs/src/trust.md"] {
        let text = read(page);
        for (number, line) in markdown::prose(&text) {
            for quoted in line.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("::")) {
                assert!(is_there(quoted), "{page}:{number}: {quoted} is not in tests/");
                named += 1;
            }
        }
    }
    assert!(named > 20, "the table is found");
    assert!(!is_there("it::stop::no_such_test") && !is_there("it::no_such_module"), "what is not there is noticed");
}
