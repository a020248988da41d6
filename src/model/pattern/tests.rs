use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_pattern_has_one_normal_form() {
    for (text, normal) in [
        ("src/api/**", "src/api"),
        ("src/api/", "src/api"),
        ("./src//api/.", "src/api"),
        ("src/../lib", "lib"),
        ("**", "."),
        ("./", "."),
        ("***/", "."),
        ("a/**/**/b", "a/**/b"),
        ("a/**b", "a/*b"),
        ("src/*/**", "src/*/**"),
        ("src/?[a-z]*.rs", "src/*.rs"),
        ("[[:alpha:]]*.md", "*.md"),
        ("[]a]x", "*x"),
        ("[!]]x", "*x"),
        ("[a]b[c]d", "*d"),
        ("f{1..3}", "f*"),
        ("f{1}", "f{1}"),
        ("a[/b]", "a[/b]"),
        ("\u{e9}", "e\u{301}"),
        ("{a}", "{a}"),
    ] {
        assert_eq!(pattern(text).as_str(), normal, "{text}");
        assert_eq!(pattern(normal).as_str(), normal, "{text}");
    }
    assert_eq!(Pattern::parse("Src/É", true).unwrap().as_str(), "src/e\u{301}");
}

#[test]
fn what_is_no_pattern_is_refused() {
    let long = "a/".repeat(600);
    let deep = "a/".repeat(33);
    for (text, why) in [
        ("", "empty"),
        ("../x", "leaves"),
        ("a/../../x", "leaves"),
        ("*/..", "wildcard"),
        ("a\\b", "backslash"),
        ("a\nb", "control"),
        ("!a", "exclude"),
        (long.as_str(), "1200 bytes"),
        (deep.as_str(), "33 parts"),
    ] {
        assert!(text.parse::<Pattern>().unwrap_err().contains(why), "{text}");
    }
}

#[test]
fn alternatives_are_several_patterns() {
    assert_eq!(expand("a/{b,c{d,e}}/f"), Ok(["a/b/f", "a/cd/f", "a/b/f", "a/ce/f"].map(str::to_owned).to_vec()));
    assert_eq!(expand("{a}/{,b}"), Ok(["{a}/", "{a}/b"].map(str::to_owned).to_vec()));
    assert!(expand(&"{a,b}".repeat(7)).unwrap_err().contains("64"));
    assert!(expand(&"{".repeat(1000)).is_ok());
}

#[test]
fn patterns_conflict_where_a_path_is_covered_by_both() {
    for (one, other, meets) in [
        ("src/a.rs", "src/a.rs", true),
        ("src/a.rs", "src/b.rs", false),
        ("e*", "\u{e9}t\u{e9}.txt", true),
        ("\u{e9}*", "e.txt", false),
        ("src", "src/a.rs", true),
        ("src", "src2/a.rs", false),
        ("src/*.rs", "src/api/mod.rs", false),
        ("src/*.rs", "src", true),
        ("*.md", "src", false),
        ("**/*.md", "src", true),
        ("**/*.md", "**/*.rs", false),
        ("**/*_test.go", "pkg/**/a*", true),
        (".", "x", true),
        ("src/*/mod.rs", "src/**/mod.rs", true),
        ("src/a*", "src/*b", true),
        ("src/a*c", "src/b*", false),
        ("src/*", "src/x/y", false),
        ("src/*/**", "src/x/y", true),
        ("a*bc*d", "aXbcYd", true),
        ("ab*ba", "aba", false),
    ] {
        let (one, other) = (pattern(one), pattern(other));
        assert_eq!(one.meets(&other), meets, "{one} and {other}");
        assert_eq!(other.meets(&one), meets, "{other} and {one}");
    }
}

#[test]
fn the_node_of_a_pattern_is_above_what_it_covers() {
    for (text, node) in [("src/api", "src/api"), ("src/*.rs", "src"), ("*.md", ""), (".", ""), ("a/b/**/c", "a/b")] {
        assert_eq!(pattern(text).node(), node);
    }
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "é", "a.b"]).prop_map(str::to_owned)
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => name(),
        1 => prop::sample::select(vec!["*", "**", "a*", "*b", "a*b", "*.b"]).prop_map(str::to_owned),
    ]
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    prop::collection::vec(part(), 1..5).prop_map(|parts| pattern(&parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn two_patterns_that_cover_one_path_conflict(
        one in any_pattern(), other in any_pattern(), path in prop::collection::vec(name(), 1..5)
    ) {
        let path = pattern(&path.join("/"));
        if one.covers(&path) && other.covers(&path) {
            prop_assert!(one.meets(&other), "{one} and {other} cover {path}");
            prop_assert!(other.meets(&one));
            let (node, its) = (one.node(), other.node());
            let above = |a: &str, b: &str| a.is_empty() || a == b || b.starts_with(&format!("{a}/"));
            prop_assert!(above(node, its) || above(its, node), "{one} and {other} are not compared");
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_refused(text in "\\PC{0,40}") {
        for text in expand(&text).unwrap_or_default() {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.as_str().parse::<Pattern>(), Ok(pattern.clone()));
                prop_assert!(pattern.meets(&pattern));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The other direction. The names suffice for every meeting of two parts, and the length for every one of two patterns.
    #[test]
    fn patterns_that_conflict_cover_one_path(
        one in prop::collection::vec(part(), 1..4), other in prop::collection::vec(part(), 1..4)
    ) {
        let (one, other) = (pattern(&one.join("/")), pattern(&other.join("/")));
        let is_common = |path: &Pattern| one.covers(path) && other.covers(path);
        prop_assert_eq!(one.meets(&other), paths().iter().any(is_common), "{} and {}", one, other);
    }
}

/// Every path of up to five of these names, and the root.
fn paths() -> &'static [Pattern] {
    static PATHS: std::sync::LazyLock<Vec<Pattern>> = std::sync::LazyLock::new(|| {
        let (mut all, mut longest) = (vec![".".to_owned()], vec![".".to_owned()]);
        for _ in 0..5 {
            let longer = |path: &String| ["a", "b", "ab", "a.b", "é"].map(|name| format!("{path}/{name}"));
            longest = longest.iter().flat_map(longer).collect();
            all.extend_from_slice(&longest);
        }
        all.iter().map(|path| pattern(path)).collect()
    });
    &PATHS
}
