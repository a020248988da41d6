//! Locks from end to end: declared by tasks, taken by people and by programs.

use serde_json::{Value, json};

use super::{delegated, text};
use crate::common::{World, append, gate};

#[test]
fn tasks_that_write_the_same_files_run_one_after_the_other_and_why_says_so() {
    let world = World::started("[roles.shell]\nmax = 3");
    let go = world.file("go");
    let hold = format!("{}; {}", gate(&go), append(&world.file("ran"), "first"));
    let first = delegated(&world, &["--writes", "src/{api,db}/**", &hold]);
    world.wait_for(&first, "running");
    let second = delegated(&world, &["--writes", "src/api/new.rs", &append(&world.file("ran"), "second")]);
    let other = delegated(&world, &["--writes", "docs", "--reads", "README.md", "true"]);
    world.wait_for(&other, "succeeded");
    world.wait_until("the second is parked", || {
        world.orch_json(&["locks"])["waiting"].as_array().is_some_and(|waiting| waiting.len() == 1)
    });
    let why = world.orch(&["why", &second]).ok();
    assert!(why.contains("waits for the lock of src/api/new.rs") && why.contains(&first), "{why}");
    let locks = world.orch_json(&["locks"]);
    let patterns: Vec<_> = locks["locks"].as_array().unwrap().iter().map(|lock| lock["pattern"].clone()).collect();
    assert_eq!(patterns, [json!("src/api"), json!("src/db")]);
    assert_eq!((&locks["locks"][0]["task"], &locks["waiting"][0]["task"]), (&json!(first), &json!(second)));
    assert_eq!(world.show(&second)["writes"], json!(["src/api/new.rs"]));
    let page = world.orch(&["locks"]).ok();
    assert!(page.contains("src/db") && page.contains("1 ready task waits for a lock"), "{page}");
    world.touch("go");
    world.wait_for(&second, "succeeded");
    assert_eq!(world.lines("ran"), ["first", "second"]);
    assert_eq!(world.orch(&["locks"]).ok(), "nothing is locked\n");
}

#[test]
fn a_persons_lock_keeps_tasks_from_starting_until_it_is_released() {
    let world = World::started("[roles.shell]\nmax = 2");
    let locked = world.orch_json(&["lock", "src/../src/db/", "--reason", "the migration"]);
    assert_eq!(locked["patterns"], json!(["src/db"]));
    let again = world.orch(&["lock", "."]).ended(6);
    assert!(again.stderr.contains("has the lock of src/db"), "{again:#?}");
    let task = delegated(&world, &["--writes", "src/db/a.sql", "true"]);
    let free = delegated(&world, &["--writes", "src/api", "true"]);
    world.wait_for(&free, "succeeded");
    assert_eq!(world.show(&task)["state"], "ready");
    let why = world.orch(&["why", &task]).ok();
    assert!(why.contains("the migration") && why.contains("orch unlock l-"), "{why}");
    let command = format!("orch unlock {}", text(&locked["id"]));
    let waited = world.orch(&["wait", &task, "--timeout", "100ms"]).ended(5);
    assert!(
        waited.stderr.contains("a person has had the lock of src/db") && waited.stderr.contains(&command),
        "{waited:#?}"
    );
    let kept = || world.status()["attention"].as_array().cloned().unwrap_or_default();
    world.wait_until("status says which lock keeps it", || {
        let of_lock = |one: &Value| {
            let what = one["what"].as_str().unwrap_or_default();
            one["kind"] == "lock" && one["do"] == json!(command) && what.contains("(the migration): 1 ready task waits")
        };
        kept().iter().any(of_lock)
    });
    let page = world.orch(&["locks"]).ok();
    assert!(page.contains("a person l-") && !page.contains("pid"), "{page}");
    world.orch(&["unlock", &text(&locked["id"])]).ok();
    world.wait_for(&task, "succeeded");
    assert!(kept().iter().all(|one| one["kind"] != "lock"));
    assert!(world.orch(&["unlock", "src/db"]).ended(2).stderr.contains("nothing is locked"));
    world.orch(&["lock", "x", "--ttl", "100ms"]).ok();
    let task = delegated(&world, &["--writes", "x", "true"]);
    world.wait_for(&task, "succeeded");
}

#[test]
fn a_program_locks_and_releases_for_its_own_task() {
    let world = World::started("[roles.shell]\nmax = 2");
    let script = format!(
        "orch lock lib && orch lock docs && orch unlock docs && {}; orch lock .; echo code $?",
        gate(&world.file("go"))
    );
    let first = delegated(&world, &["--writes", "src", &script]);
    world.wait_until("lib is locked", || {
        let locks = world.orch_json(&["locks"]);
        let patterns: Vec<_> = locks["locks"].as_array().unwrap().iter().map(|lock| lock["pattern"].clone()).collect();
        patterns == [json!("lib"), json!("src")]
    });
    let refused = world.orch(&["unlock", "lib"]).ended(1);
    assert!(refused.stderr.contains(&format!("orch cancel {first}")), "{refused:#?}");
    let other = delegated(&world, &["--writes", "lib/x", "true"]);
    world.wait_until("the other waits", || world.orch_json(&["locks"])["waiting_count"] == 1);
    world.touch("go");
    world.wait_for(&first, "succeeded");
    world.wait_for(&other, "succeeded");
    let said = world.orch(&["result", &first]).ok();
    assert!(said.contains("code 0") || said.contains("code 6"), "{said}");
}

#[test]
fn what_is_no_pattern_is_refused_before_anything_is_accepted() {
    let world = World::started("");
    for (pattern, why) in [
        ("../x", "leaves"),
        ("/etc/passwd", "leaves the project's root"),
        ("", "is empty"),
        ("!a", "exclude"),
        ("a\\b", "backslash"),
        ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "more than 64"),
    ] {
        for words in [["delegate", "--writes", pattern, "true"].as_slice(), &["lock", pattern]] {
            let refused = world.orch(words).ended(2);
            assert!(refused.stderr.contains(why), "{words:?}: {refused:#?}");
        }
    }
    assert!(world.orch(&["lock"]).ended(2).stderr.contains("PATTERN"));
    assert!(world.orch(&["unlock"]).ended(2).stderr.contains("nothing is named"));
    assert!(world.orch(&["unlock", "l-nowhere"]).ended(2).stderr.contains("nothing is locked"));
    world.orch(&["lock", "u1"]).ok();
    world.orch(&["lock", "u2"]).ok();
    let before = world.orch_json(&["locks"]);
    world.orch(&["unlock", "u1", "nope", "u2"]).ended(2);
    assert_eq!(patterns(&world.orch_json(&["locks"])), patterns(&before), "all of them or none");
    world.orch(&["unlock", "u1", "u2"]).ok();
    assert_eq!(world.orch_json(&["tasks"]).as_array().map_or(0, Vec::len), 0);
}

#[test]
fn two_parents_whose_subtasks_need_each_others_locks_are_reported_with_what_ends_it() {
    let world = World::started("[roles.shell]\nmax = 4");
    let parent = |writes: &str, lacks: &str, done: &str| {
        let both = gate(&world.file("both"));
        let wait = format!("id=$(orch delegate --role shell --writes {lacks} true) && orch wait $id");
        delegated(&world, &["--writes", writes, &format!("{both}; {wait}; {}", append(&world.file("ran"), done))])
    };
    let (one, other) = (parent("src", "docs/a.md", "one"), parent("docs", "src/a.rs", "other"));
    world.wait_for(&one, "running");
    world.wait_for(&other, "running");
    world.touch("both");
    let found = || {
        let all = world.status()["attention"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["kind"] == "deadlock")
    };
    world.wait_until("it is reported", || found().is_some());
    let found = found().expect("it stays");
    let (what, commands) = (text(&found["what"]), found["commands"].as_array().expect("commands").clone());
    assert!(what.contains(&one) && what.contains(&other) && commands.len() == 2, "{found:#}");
    let why = world.orch(&["why", &one]).ok();
    assert!(why.contains("these tasks wait for each other"), "{why}");
    let command = text(&commands[0]);
    world.orch(&command.split(' ').skip(1).collect::<Vec<_>>()).ok();
    world.wait_for(&one, "succeeded");
    world.wait_for(&other, "succeeded");
    let mut ran = world.lines("ran");
    ran.sort();
    assert_eq!(ran, ["one", "other"]);
}

#[test]
fn a_lock_for_no_time_is_refused() {
    let world = World::started("");
    let refused = world.orch(&["lock", "src", "--ttl", "0s"]).ended(2);
    assert!(refused.stderr.contains("a lock for no time keeps nothing"), "{refused:#?}");
    let refused = world.orch(&["lock", "src", "--ttl", "-5s"]).ended(2);
    assert!(refused.stderr.contains("'-5s'"), "{refused:#?}");
    assert_eq!(world.orch(&["locks"]).ok(), "nothing is locked\n");
}

/// The patterns that are locked.
fn patterns(locks: &Value) -> Vec<String> {
    locks["locks"].as_array().expect("a list").iter().map(|lock| text(&lock["pattern"])).collect()
}
