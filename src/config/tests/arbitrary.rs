//! No text, however broken, makes the module panic, hang, or answer without naming the file.

use proptest::prelude::*;

use super::super::{
    Config, Env, REFERENCE,
    discovery::{self, Found},
    resolve::resolve,
    written::parse,
};

/// As `Config::load_with`, without the disk.
fn load(text: &str) -> crate::error::Result<Config> {
    let env = Env { cwd: "/project".into(), home: Some("/home/me".into()), ..Env::default() };
    let found = Found { file: None, root: "/project".into(), content: Some(text.to_owned()) };
    let (written, diagnostics) = parse(text, found.diagnostics(&env));
    resolve(&written, diagnostics, &env, found)
}

/// Right or wrong, the answer is one that a person can use.
fn check(text: &str) -> Result<(), TestCaseError> {
    match load(text) {
        Ok(config) => {
            prop_assert!(config.roles.len() >= 4);
            prop_assert!(config.roles.values().all(|role| role.max >= role.min && role.cwd.is_absolute()));
            prop_assert!(config.supervisor.lease >= config.supervisor.heartbeat * 2);
        }
        Err(error) => {
            for line in error.message.lines() {
                let known = line.starts_with("sessions.toml:") || line.starts_with("and ");
                prop_assert!(known && !line.contains(char::is_control), "{line:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::fuzz::cases(256))]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_words_of_the_language(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "{", "}", "=", ",", ".", "\n", "\"", "'", "\"\"\"", "#", "roles", "sonnet", "retry",
                "max", "env", "command", "delegates_to", "driver", "supervisor", "lease", "\"5m\"", "5", "-1", "1e9",
                "0x", "true", "1979-05-27", "\"a\"", "\"\\u0000\"", "é", "\r\n", "\u{feff}",
            ]),
            0..60,
        )
    ) {
        check(&words.concat())?;
    }

    #[test]
    fn the_reference_with_a_part_changed(
        from in 0..REFERENCE.len(), length in 0usize..40, instead in "\\PC{0,12}|[\\[\\]=\"\n.0-9]{0,6}"
    ) {
        let at = |offset: usize| (0..=offset.min(REFERENCE.len())).rev().find(|at| REFERENCE.is_char_boundary(*at));
        let (from, to) = (at(from).unwrap_or(0), at(from + length).unwrap_or(0));
        check(&[&REFERENCE[..from], &instead, &REFERENCE[to..]].concat())?;
    }

    #[test]
    fn any_value_for_any_key(
        line in prop::sample::select(REFERENCE.lines().filter(|line| line.contains(" = ")).collect::<Vec<_>>()),
        value in prop::sample::select(vec![
            "0", "-1", "1.5", "nan", "-inf", "99999999999999999999", "\"\"", "\"0s\"", "\"3660d\"", "[]", "[1]",
            "[\"\"]", "{}", "{ a = 1 }", "true", "1979-05-27", "\"\\u0000\\u001b\"", "\"opus\"", "[\"opus\"]",
        ]),
    ) {
        let key = line.trim_start_matches("# ").split(' ').next().unwrap_or_default();
        check(&REFERENCE.replace(line, &format!("{key} = {value}")))?;
    }
}

#[test]
fn deep_nesting_is_refused_or_read_but_never_overflows() {
    for text in [
        "a.".repeat(200_000) + "a = 1",
        format!("[{}a]", "a.".repeat(200_000)),
        "a = ".to_owned() + &"[".repeat(200_000),
        "a = ".to_owned() + &"{a=".repeat(200_000),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.message.contains("recurs"), "{error}");
    }
}

#[test]
fn long_chains_and_many_circles_of_delegation_are_walked() {
    let chain = |last: &str| {
        let steps = (0..10_000).map(|n| format!("[roles.r{n}]\ndelegates_to = [\"r{}\"]\n", n + 1));
        steps.collect::<String>() + "[roles.r10000]\ndelegates_to = [" + last + "]"
    };
    assert!(load(&chain("")).is_ok());
    assert!(load(&chain("\"r0\"")).is_err_and(|error| error.message.contains("forms a cycle")));
    let dense: String = (0..300)
        .map(|n| {
            let all: Vec<String> = (0..300).map(|to| format!("\"r{to}\"")).collect();
            format!("[roles.r{n}]\ndelegates_to = [{}]\n", all.join(","))
        })
        .collect();
    assert!(load(&dense).is_err_and(|error| error.message.lines().count() <= 10));
}

#[test]
fn one_line_of_a_thousand_errors_is_told_once() {
    assert_eq!(load(&"= ] ".repeat(50_000)).unwrap_err().message.lines().count(), 1);
    assert!(discovery::read("/dev/zero".as_ref()).is_err());
}
