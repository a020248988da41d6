//! How long the tests look that feed a reader with whatever others may have written. Each reader has a `fuzz` module
//! beside it; `scripts/fuzz` runs them all, for as long as one likes. What was found is a test of its own, with a name.

use proptest::test_runner::Config;

/// `ordinary` cases, or `ORCH_FUZZ_CASES`.
pub fn cases(ordinary: u32) -> Config {
    let cases = std::env::var("ORCH_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(ordinary);
    Config { cases, failure_persistence: None, ..Config::default() }
}
