//! What suspends an account or a role: limits of the service, a key that is withheld, a program that repeats itself.

use serde_json::{Value, json};

use super::headless::*;
use crate::common::World;

#[test]
fn a_limit_delays_until_it_ends_and_counts_as_no_failure() {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3_600;
    let limit = format!(r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{at}}}}}"#);
    let refused = r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your limit","api_error_status":429}"#;
    let world = world_with_claude(&format!("{}exit 1", [INIT, &limit, refused].map(say).concat()));
    let task = world.delegate("c", "work");
    let delayed = world.wait_for(&task, "delayed");
    assert_eq!((&delayed["cause"], &delayed["failures"]), (&json!("rate_limited"), &json!(0)));
    let due: jiff::Timestamp = delayed["due_at"].as_str().unwrap().parse().unwrap();
    let late = due.as_second() - at as i64;
    assert!((0..=10).contains(&late), "{late} s after the limit's end");
}

#[test]
fn a_limit_that_a_person_lifts_ends_immediately() {
    let limit = r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your limit. Try again in 5 hours.","api_error_status":429}"#;
    let script = format!("{}[ $ORCH_ATTEMPT = 1 ] && {{ {}exit 1; }}\n{}", say(INIT), say(limit), say(DONE));
    let world = world_with_claude(&script);
    let task = world.delegate("c", "work");
    world.wait_for(&task, "delayed");
    let names_the_command = |what: &str, of: &str| assert!(of.contains("orch resume c"), "{what}: {of}");
    names_the_command("status", &world.status()["attention"].to_string());
    names_the_command("why", &world.orch(&["why", &task]).ok());
    assert_eq!(world.orch_json(&["resume", "c"])["changed"], true);
    assert_eq!(world.wait_for(&task, "succeeded")["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.orch_json(&["resume", "c"])["changed"], false);
    assert!(!world.status()["attention"].to_string().contains("starts nothing"));
}

/// Figure: starts during a limit of 3 hours, of five tasks that are ready together.
#[test]
fn two_of_five_tasks_meet_a_limit_of_hours_and_nothing_starts_until_it_ends() {
    let limit = r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your limit. Try again in 3 hours.","api_error_status":429}"#;
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\"\nmax = 5\n").build();
    world.program("claude", &format!("cat > /dev/null\n{}exit 1", [INIT, limit].map(say).concat()));
    world.start();
    let tasks: Vec<String> = (0..5).map(|_| world.delegate("c", "work")).collect();
    world.wait_until("the limit is known", || !world.events_of("role.rate_limited").is_empty());
    let attempts = |id: &String| world.show(id)["attempts"].as_array().map_or(0, Vec::len);
    world.wait_until("no attempt runs", || tasks.iter().all(|id| world.show(id)["state"] != "running"));
    let starts: usize = tasks.iter().map(attempts).sum();
    assert!((1..=2).contains(&starts), "{starts} starts: {:#}", world.status());
    let waits = tasks.iter().find(|id| attempts(id) == 0).unwrap();
    let why = world.orch(&["why", waits]).ok();
    assert!(why.contains("Try again in 3 hours"), "{why}");
}

#[test]
fn a_limit_that_ended_in_the_past_does_not_cause_a_retry_storm() {
    let tables = "[roles.c]\ndriver = \"claude\"\n[roles.c.retry]\nbase = \"30s\"\ncap = \"60s\"";
    let world = World::builder().tables(tables).build();
    let limit = r#"{"type":"result","subtype":"success","is_error":true,"result":"usage limit reached|1700000000","api_error_status":429,"permission_denials":[]}"#;
    world.program("claude", &format!("cat > /dev/null\n{}exit 1", [INIT, limit].map(say).concat()));
    world.start();
    let task = world.delegate("c", "work");
    let attempts = || world.show(&task)["attempts"].as_array().unwrap().clone();
    world.wait_until("the second attempt has ended", || {
        attempts().get(1).is_some_and(|again| !again["cause"].is_null())
    });
    assert_eq!(attempts()[1]["cause"], "rate_limited");
    let why = world.orch(&["why", &task]).ok();
    let (_, rest) = why.split_once("Attempt 3 may start in ").unwrap_or_else(|| panic!("{why}"));
    assert!(rest.starts_with("2") || rest.starts_with("30s"), "{why}");
}

#[test]
fn a_limit_that_names_a_clock_time_suspends_the_account_until_then() {
    let world = World::builder().tables("[roles.c]\ndriver = \"claude\"\n[roles.d]\ndriver = \"claude\"\n").build();
    // Three minutes from now, as the program's screen shows it. A clock time has no seconds.
    let limited = r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit · resets AT (UTC)","terminal_reason":"api_error","session_id":"SESSION","permission_denials":[]}"#;
    let at = r#"at=$(date -u -d '+3 minutes' +%I:%M%p | tr 'APM' 'apm')"#;
    let (head, tail) = limited.split_once("AT").unwrap();
    let script =
        format!("{at}\n{}printf '%s%s%s\\n' \"{}\" \"$at\" '{tail}'\nexit 1", say(INIT), head.replace('"', "\\\""));
    world.program("claude", &format!("echo run >> '{}'\ncat > /dev/null\n{script}", world.file("called").display()));
    world.start();
    let task = world.delegate("c", "work");
    world.wait_until("the task is delayed", || world.show(&task)["state"] == "delayed");
    let shown = world.show(&task);
    assert_eq!(shown["attempts"][0]["cause"], "rate_limited", "{shown:#}");
    let (ended, due) = (&shown["attempts"][0]["ended_at"], &shown["due_at"]);
    let ms = |at: &Value| serde_json::from_value::<orch::model::time::Timestamp>(at.clone()).unwrap();
    let left = ms(due).since(ms(ended)).as_millis();
    assert!((60_000..=181_000).contains(&left), "{left} ms: {shown:#}");
    let other = world.delegate("d", "more");
    let why = world.orch(&["why", &other]).ok();
    assert!(why.contains("Role d starts nothing for"), "{why}");
    assert_eq!(world.lines("called").len(), 1);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_repeats_itself_without_a_token_is_ended() {
    let step = r#"{"type":"step_start","sessionID":"ses_1","part":{"type":"step-start"}}"#;
    let done = r#"{"type":"step_finish","sessionID":"ses_1","part":{"type":"step-finish","reason":"stop","cost":0,"tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}}}}"#;
    let world = World::builder().tables("[roles.o]\ndriver = \"opencode\"\n[roles.o.retry]\nretries = 0\n").build();
    let forever = format!("while :; do\n{}sleep 0.01\ndone", [step, done].map(say).concat());
    world.program("opencode", &format!("cat > /dev/null\n{forever}"));
    world.start();
    let failed = world.wait_for(&world.delegate("o", "work"), "failed");
    reason(&failed["attempts"][0], &["runaway: it began more than 60 turns within", "without a token"]);
    assert_eq!(
        (&failed["attempts"][0]["cause"], &failed["attempts"][0]["code"]),
        (&json!("transient"), &json!("runaway"))
    );
    world.stop_and_check_nothing_left();
}

#[test]
fn a_key_that_orch_withholds_holds_the_task_with_the_line_to_add_and_suspends_its_role() {
    let mut world = World::builder().tables("[roles.x]\ndriver = \"codex\"\nmax = 1\n").build();
    world.env.insert("STUB_API_KEY", "stub-0123456789abcdef".to_owned());
    let begun = r#"{"type":"thread.started","thread_id":"thread-1"}"#;
    let failed = r#"{"type":"turn.failed","error":{"message":"Missing environment variable: `STUB_API_KEY`."}}"#;
    let done = r#"{"type":"turn.completed","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let fixed = world.file("fixed");
    let script = format!("[ -e '{}' ] || {{ {}exit 1; }}\n{}", fixed.display(), say(failed), say(done));
    world.program("codex", &format!("cat > /dev/null\n{}{script}", say(begun)));
    world.start();
    let first = world.delegate("x", "work");
    let held = world.wait_for(&first, "held");
    assert_eq!(
        (held["attempts"].as_array().map(Vec::len), &held["code"]),
        (Some(1), &json!("key_withheld")),
        "{held:#}"
    );
    reason(&held, &[r#"add env_from = ["STUB_API_KEY"] to [roles.x]"#]);
    // The others would fail in the same way.
    let others: Vec<String> = (0..3).map(|n| world.delegate("x", &format!("work {n}"))).collect();
    let why = world.orch(&["why", &others[0]]).ok();
    assert!(
        why.contains("Role x starts nothing until its program is logged in") && why.contains("orch resume x"),
        "{why}"
    );
    assert!(others.iter().all(|task| world.show(task)["state"] == "ready"));
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains("role x starts nothing until"), "{attention}");
    std::fs::write(&fixed, "").unwrap();
    world.orch(&["retry", &first]).ok();
    for task in others.iter().chain([&first]) {
        let done = world.wait_for(task, "succeeded");
        assert!(done["attempts"].as_array().unwrap().len() <= 2, "{done:#}");
    }
    world.stop_and_check_nothing_left();
}
