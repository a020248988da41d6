//! Tasks whose role orch chooses, and tasks that go on to the next tier.

use serde_json::json;

use super::{done, program, text};
use crate::common::World;

/// Three roles of scripts, each for texts of its own; the first two are tiers.
const ROLES: &str = r"
[roles.low]
driver = 'shell'
routes = ['^try', 'both']
tags = ['small']
escalate_to = 'high'
retry = { retries = 1, base = '0s' }
[roles.high]
driver = 'shell'
routes = ['^hard']
[roles.other]
driver = 'shell'
routes = ['both']
";

#[test]
fn a_task_for_auto_goes_to_the_role_whose_routes_match_and_why_prints_the_scores() {
    let world = World::started(ROLES);
    let task = done(&world, &["--role", "auto", "hard() { echo \"by ${ORCH_AGENT%-*}\"; }; hard"]);
    assert_eq!((&task["role"], &task["state"]), (&json!("high"), &json!("succeeded")), "{task:#}");
    assert_eq!(task["result"]["text"], "by high\n");
    assert_eq!((&task["routing"]["role"], &task["routing"]["by"]), (&json!("high"), &json!("only")), "{task:#}");
    let id = text(&task["id"]);
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("role high was chosen: no other role could take it"), "{why}");
    assert!(why.contains("SCORE") && why.contains("^hard"), "{why}");
    assert!(why.contains("none of its routes matches"), "{why}");
    let scores = world.orch_json(&["why", &id])["routing"]["scores"].clone();
    assert_eq!(scores[0]["role"], "high", "{scores:#}");
    assert!(scores[0]["left_out"].is_null() && scores[1]["left_out"].is_string(), "{scores:#}");
    // A person reads where it went; a program that only wants the id does not.
    let delegated = world.orch(&["delegate", "--role", "auto", "try() { :; }; both"]);
    assert!(delegated.stderr.contains("was routed to role low"), "{delegated:#?}");
    assert_eq!(delegated.stdout.trim().split('\n').count(), 1);
    let tagged = world.orch_json(&["delegate", "--role", "auto", "--needs", "small", "true # both"]);
    assert_eq!(tagged["routed_to"], "low");
    world.wait_for(&text(&tagged["id"]), "succeeded");
}

#[test]
fn a_routed_task_that_fails_goes_on_to_the_next_tier_and_a_named_role_is_never_replaced() {
    let world = World::started(ROLES);
    let script = "try() { case $ORCH_AGENT in high-*) echo done;; *) echo no >&2; exit 1;; esac; }; try";
    let task = done(&world, &["--role", "auto", script]);
    assert_eq!((&task["role"], &task["state"]), (&json!("high"), &json!("succeeded")), "{task:#}");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{task:#}");
    assert!(attempts[1]["agent"].as_str().unwrap().starts_with("low-"), "{task:#}");
    let id = text(&task["id"]);
    let why = world.orch(&["why", &id]).ok();
    assert!(why.contains("It failed there, and went on to role high"), "{why}");
    let events = world.orch_json(&["why", &id])["events"].to_string();
    assert!(events.contains("role high goes on with it"), "{events}");

    let named = done(&world, &["--role", "low", script]);
    assert_eq!((&named["role"], &named["state"]), (&json!("low"), &json!("failed")), "{named:#}");
    assert_eq!(named["routing"], json!(null));
}

#[test]
fn the_role_with_the_better_record_is_chosen_among_those_that_fit() {
    let world = World::started(ROLES);
    for _ in 0..6 {
        done(&world, &["--role", "low", "--retries", "0", "exit 1"]);
        done(&world, &["--role", "other", "true"]);
    }
    let task = done(&world, &["--role", "auto", "true # both"]);
    assert_eq!((&task["role"], &task["routing"]["by"]), (&json!("other"), &json!("record")), "{task:#}");
    let low = task["routing"]["scores"].as_array().unwrap().iter().find(|one| one["role"] == "low").unwrap();
    assert_eq!((&low["tries"], &low["successes"]), (&json!(6), &json!(0)), "{task:#}");
}

#[test]
fn a_router_decides_among_equals_alone_and_one_that_fails_changes_nothing() {
    let world = World::started(&format!("{ROLES}[routing]\nrouter = ['./route.sh']\n"));
    // Nothing of the caller's environment that is not its own, and what it is asked about.
    let [asked, environment] = ["asked", "environment"].map(|name| world.file(name).display().to_string());
    program(&world, "route.sh", &format!("cat > '{asked}'; env > '{environment}'; printf other"));
    let task = done(&world, &["--role", "auto", "true # both"]);
    assert_eq!((&task["role"], &task["routing"]["by"]), (&json!("other"), &json!("router")), "{task:#}");
    let asked: serde_json::Value = serde_json::from_str(&world.lines("asked").concat()).unwrap();
    assert_eq!(
        (&asked["text"], asked["roles"].as_array().map(Vec::len)),
        (&json!("true # both"), Some(2)),
        "{asked:#}"
    );
    assert!(
        !world.lines("environment").iter().any(|line| line.starts_with("ORCH")),
        "{:?}",
        world.lines("environment")
    );
    // Only one role fits.
    std::fs::remove_file(world.file("asked")).unwrap();
    let task = done(&world, &["--role", "auto", "hard() { :; }; hard"]);
    assert_eq!((&task["routing"]["by"], world.file("asked").exists()), (&json!("only"), false));
    for (script, why) in [("echo nobody", "it answered 'nobody'"), ("exit 3", "it ended with exit status: 3")] {
        program(&world, "route.sh", script);
        let task = done(&world, &["--role", "auto", "true # both"]);
        assert_eq!((&task["role"], &task["routing"]["by"]), (&json!("low"), &json!("order")), "{task:#}");
        let failed = task["routing"]["router_failed"].as_str().unwrap_or_default();
        assert!(failed.contains(why), "{task:#}");
        let said = world.orch(&["why", task["id"].as_str().unwrap()]).ok();
        assert!(said.contains("the router gave no answer"), "{said}");
    }
    world.stop_and_check_nothing_left();
}

#[test]
fn an_agents_task_is_routed_only_to_what_its_role_delegates_to() {
    let lead = "[roles.lead]\ndriver = 'shell'\ndelegates_to = ['other']\nroutes = ['^nothing$']\n";
    let world = World::started(&format!("{ROLES}{lead}"));
    let script =
        "orch delegate --role auto --wait --json 'true # both'; orch delegate --role auto 'hard() { :; }; hard'";
    let task = done(&world, &["--role", "lead", "--retries", "0", script]);
    assert_eq!(task["state"], "failed", "{task:#}");
    let child = world.show(&text(&task["children"][0]));
    assert_eq!(child["role"], "other", "{child:#}");
    assert_eq!(task["children"].as_array().map(Vec::len), Some(1), "{task:#}");
    let logs = world.orch(&["logs", &text(&task["id"])]).ok();
    assert!(logs.contains("no role can be chosen") && logs.contains("may not delegate to it"), "{logs}");
}

#[test]
fn what_can_not_be_routed_is_refused_with_why_each_role_is_left_out() {
    let world = World::started(ROLES);
    let nowhere = world.orch(&["delegate", "--role", "auto", "--needs", "nowhere", "true"]).ended(2);
    assert!(nowhere.stderr.contains("low: it lacks the tag nowhere"), "{nowhere:#?}");
    let named = world.orch(&["delegate", "--role", "low", "--needs", "small", "true"]).ended(2);
    assert!(named.stderr.contains("has no effect"), "{named:#?}");
    // A plan, and the same work again.
    std::fs::write(world.file("plan.toml"), "name = 'p'\n[tasks.a]\nrole = 'auto'\ntext = 'true # both'\n").unwrap();
    let plan = text(&world.orch_json(&["plan", world.file("plan.toml").to_str().unwrap()])["tasks"][0]["id"]);
    assert_eq!(world.wait_for(&plan, "succeeded")["routing"]["role"], "low");
    let words = ["delegate", "--role", "auto", "--key", "k", "true # both"];
    let (first, again) = (world.orch_json(&words), world.orch_json(&words));
    assert_eq!((&first["id"], &again["created"], &again["differs"]), (&again["id"], &json!(false), &json!(null)));
    world.wait_for(&text(&first["id"]), "succeeded");
    world.stop_and_check_nothing_left();
}
