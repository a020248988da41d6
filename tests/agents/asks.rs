//! Agent programs that ask for what only a person can give, such as a login: the request is reported immediately, and
//! the agent is not treated as hung.

use serde_json::{Value, json};

use crate::common::World;

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"SESSION","model":"m1"}"#;
const DONE: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"The answer.","usage":{"input_tokens":1,"output_tokens":1}}"#;
const SAYS: &str = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I am in."}]}}"#;
/// The line with which claude reports that its service rejected its key and that it retries.
const REFUSED: &str = r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":584,"error_status":401,"error":"authentication_failed"}"#;

/// Starts a world with these keys of `[supervisor]` and a `claude` that runs this script.
fn world(claude: &str, supervisor: &[(&'static str, &str)], role: &str) -> World {
    let builder = World::builder().tables(&format!("[roles.c]\ndriver = \"claude\"\n{role}\n"));
    let world = supervisor.iter().fold(builder, |builder, (key, value)| builder.supervisor(key, value)).build();
    world.program("claude", &format!("cat > prompt.$$\n{claude}"));
    world.program("notify", "line=$(cat); echo \"$line\" >> \"$HOME/notified\"");
    world.start();
    world
}

fn say(line: &str) -> String {
    format!("cat <<'EOF'\n{line}\nEOF\n")
}

fn needs(world: &World) -> Value {
    world.agent("c-1")["needs"].clone()
}

#[test]
fn a_rejected_login_is_reported_before_the_next_heartbeat_and_cleared_when_work_continues() {
    let script = format!("{}{}while [ ! -e ../go ]; do sleep 0.05; done\n{}", say(INIT), say(REFUSED), say(SAYS));
    let script = format!("{script}while [ ! -e ../end ]; do sleep 0.05; done\n{}", say(DONE));
    // The next heartbeat would come after this test has timed out.
    let keys = [("heartbeat", "\"2m\""), ("lease", "\"10m\""), ("notify_command", "[\"notify\"]")];
    let world = world(&script, &keys, "");
    let task = world.delegate("c", "work");
    world.wait_until("the agent needs a login", || needs(&world) == "login");
    let attention = world.status()["attention"].to_string();
    assert!(attention.contains(&format!("agent c-1 waits for {task}: its program asks for login")), "{attention}");
    let bell = || world.tmux(&["list-windows", "-t", "=c-1", "-F", "#{window_bell_flag}"]).ok().trim().to_owned();
    world.wait_until("the bell has rung", || bell() == "1");
    world.wait_until("the notification is sent", || !world.lines("notified").is_empty());
    let sent: Value = serde_json::from_str(&world.lines("notified")[0]).expect("JSON");
    let refused = json!("authentication_failed (401)");
    assert_eq!(
        (&sent["what"], &sent["agent"], &sent["task"], &sent["needs"], &sent["needs_for"], &sent["do"]),
        (&json!("needs"), &json!("c-1"), &json!(task), &json!("login"), &refused, &json!("orch attach c-1"))
    );
    assert!(sent["text"].as_str().unwrap().ends_with("its program asks for login: authentication_failed (401)"));
    world.touch("go");
    world.wait_until("the program continues", || needs(&world).is_null());
    assert_eq!(world.show(&task)["state"], "running");
    assert_eq!(world.lines("notified").len(), 1, "one notification is sent");
    world.touch("end");
    assert_eq!(world.wait_for(&task, "succeeded")["attempts"].as_array().map(Vec::len), Some(1));
    world.stop_and_check_nothing_left();
}

/// The line with which claude reports that its service does not answer and that it retries, for minutes.
const RETRIES: &str = r#"{"type":"system","subtype":"api_retry","attempt":3,"max_retries":10,"retry_delay_ms":2464,"error_status":null,"error":"unknown"}"#;

#[test]
fn a_service_that_does_not_answer_is_reported_immediately_and_until_it_does() {
    let script = format!("{}{}while [ ! -e ../go ]; do sleep 0.05; done\n{}", say(INIT), say(RETRIES), say(SAYS));
    let script = format!("{script}while [ ! -e ../end ]; do sleep 0.05; done\n{}", say(DONE));
    // The next heartbeat would come after this test has timed out.
    let world = world(&script, &[("heartbeat", "\"2m\""), ("lease", "\"10m\"")], "");
    let task = world.delegate("c", "work");
    let retrying = || world.agent("c-1")["retrying"].clone();
    world.wait_until("the agent reports a retry", || !retrying().is_null());
    let reported = retrying();
    let expected = (&json!(3), &json!(10), &json!("its service can't be reached"));
    assert_eq!((&reported["attempt"], &reported["of"], &reported["why"]), expected);
    assert!(reported["since"].is_string(), "{reported}");
    let tries = "tries again 3 of 10: its service can't be reached";
    for words in [&["status"][..], &["agents"], &["why", &task], &["why", "c-1"], &["show", "c-1"]] {
        let page = world.orch(words).ok();
        assert!(page.contains(tries), "{words:?}: {page}");
    }
    assert_eq!(world.status()["attention"], json!([]), "the program retries automatically, so nothing needs attention");
    let log = world.orch(&["logs", "--task", &task]).ok();
    assert!(log.contains("── tries again in 2.4s (3 of 10): its service can't be reached"), "{log}");
    assert_eq!(world.events_of("agent.retrying").len(), 1);
    world.touch("go");
    world.wait_until("the service answers", || retrying().is_null());
    assert_eq!(world.show(&task)["state"], "running");
    world.touch("end");
    world.wait_for(&task, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_login_that_is_rejected_again_ends_the_attempt_and_holds_the_task() {
    let script = format!("{}{}{}exec sleep 1000", say(INIT), say(REFUSED), say(&REFUSED.replace(":1,", ":2,")));
    let world = world(&script, &[], "");
    let held = world.wait_for(&world.delegate("c", "work"), "held");
    assert_eq!((&held["cause"], &held["failures"], &held["lost"]), (&json!("needs_person"), &json!(0), &json!(0)));
    let reason = held["reason"].as_str().unwrap();
    for words in ["claude asks to log in: authentication_failed (401)", "/login", "ANTHROPIC_API_KEY", "orch retry"] {
        assert!(reason.contains(words), "{words} in {reason}");
    }
    world.wait_until("the agent needs nothing any more", || needs(&world).is_null());
    assert!(world.status()["attention"].to_string().contains("is held: claude asks to log in"));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_asks_does_not_count_as_hung() {
    // Each sleep is longer than the stall timeout, so that the processor time of the loop is not progress.
    let wait = "while [ ! -e ../go ]; do sleep 3; done\n";
    let script = format!(
        "{}case $(cat prompt.$$) in ask*) {}{wait}{}{};; *) exec sleep 1000;; esac",
        say(INIT),
        say(REFUSED),
        say(SAYS),
        say(DONE)
    );
    let world = world(&script, &[], "max = 2\nstall_timeout = \"1s\"\n[roles.c.retry]\nlost = 0");
    let asks = world.delegate("c", "ask a person");
    world.wait_until("the agent needs a login", || needs(&world) == "login");
    let silent = world.wait_for(&world.delegate("c", "say nothing"), "failed");
    assert!(silent["reason"].as_str().unwrap().contains("hung"), "{silent:#}");
    assert_eq!((&world.show(&asks)["state"], needs(&world)), (&json!("running"), json!("login")));
    world.touch("go");
    assert_eq!(world.wait_for(&asks, "succeeded")["attempts"].as_array().map(Vec::len), Some(1));
    world.stop_and_check_nothing_left();
}

#[test]
fn the_time_limit_stands_still_while_a_program_waits_for_a_person_and_person_timeout_holds_its_task() {
    let wait = "while [ ! -e ../go ]; do sleep 0.1; done\n";
    let script = format!("{}{}{wait}{}{}", say(INIT), say(REFUSED), say(SAYS), say(DONE));
    let limits = "task_timeout = \"2s\"\nperson_timeout = \"PERSON\"\n[roles.c.retry]\nretries = 0";
    let patient = world(&script, &[], &limits.replace("PERSON", "1h"));
    let task = patient.delegate("c", "work");
    patient.wait_until("the agent needs a login", || needs(&patient) == "login");
    let since = std::time::Instant::now();
    patient.wait_until("it has waited for longer than its time limit", || since.elapsed().as_secs() >= 4);
    assert_eq!(patient.show(&task)["state"], "running");
    let why = patient.orch(&["why", &task]).ok();
    assert!(why.contains("stands still"), "{why}");
    patient.touch("go");
    assert_eq!(patient.wait_for(&task, "succeeded")["attempts"].as_array().map(Vec::len), Some(1));
    patient.stop_and_check_nothing_left();

    let short = world(&script, &[], &limits.replace("PERSON", "1s"));
    let task = short.delegate("c", "work");
    let held = short.wait_for(&task, "held");
    assert_eq!((&held["code"], &held["failures"]), (&json!("person_timeout"), &json!(0)), "{held:#}");
    let reason = held["reason"].as_str().unwrap();
    assert!(reason.starts_with("nobody answered within 1.0s (person_timeout): its program asks for login"), "{reason}");
    short.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_waits_for_its_service_does_not_count_as_hung() {
    // It produces no output and uses no processor time until the other program counts as hung.
    let wait = "while [ ! -e ../go ]; do sleep 3; done\n";
    let script = format!(
        "{}case $(cat prompt.$$) in away*) {}{wait}{}{};; *) exec sleep 1000;; esac",
        say(INIT),
        say(RETRIES),
        say(SAYS),
        say(DONE)
    );
    let world = world(&script, &[], "max = 2\nstall_timeout = \"1s\"\n[roles.c.retry]\nlost = 0");
    let away = world.delegate("c", "away");
    world.wait_until("the agent reports a retry", || !world.agent("c-1")["retrying"].is_null());
    let silent = world.wait_for(&world.delegate("c", "say nothing"), "failed");
    assert!(silent["reason"].as_str().unwrap().contains("hung"), "{silent:#}");
    assert_eq!(world.show(&away)["state"], "running");
    world.touch("go");
    assert_eq!(world.wait_for(&away, "succeeded")["attempts"].as_array().map(Vec::len), Some(1));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_reported_retry_is_cleared_when_another_program_continues_the_attempt() {
    let gone = "while [ ! -e ../seen ]; do sleep 0.05; done; echo 'No conversation found with session ID: SESSION' >&2; exit 1";
    let script = format!(
        "case \"$*\" in *--resume*) {}{gone};; esac\n{}[ $ORCH_ATTEMPT = 1 ] && exit 75\n: > ../restarted\n\
         while [ ! -e ../go ]; do sleep 0.05; done\n{}",
        say(RETRIES),
        say(INIT),
        say(DONE)
    );
    let world = world(&script, &[], "[roles.c.retry]\nbase = \"1ms\"");
    let task = world.delegate("c", "work");
    world.wait_until("the agent reports a retry", || !world.agent("c-1")["retrying"].is_null());
    world.touch("seen");
    world.wait_until("a new conversation has begun", || world.file("restarted").exists());
    world.wait_until("the agent reports no retry any more", || world.agent("c-1")["retrying"].is_null());
    world.touch("go");
    world.wait_for(&task, "succeeded");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_master_that_does_not_stay_up_reports_its_last_output() {
    let mut world = World::builder().master_driver("claude").build();
    world.env.insert("ANTHROPIC_API_KEY", "hunter2-hunter2".to_owned());
    let shown = "The service is not there: no route to host (with $ANTHROPIC_API_KEY)";
    world.program("claude", &format!("printf '\\033[31m****\\033[0m\\n'; echo \"{shown}\"; exit 1"));
    // The program may have ended three times before the start has checked; the start then fails with the reason.
    world.orch(&["start"]);
    let shown = "claude ends immediately, 3 times in a row; it shows: The service is not there: no route to host \
                 (with [redacted])";
    let ended = || world.events_of("agent.failed");
    world.wait_until("the master is declared failed", || !ended().is_empty());
    assert!(ended()[0]["reason"].as_str().is_some_and(|reason| reason.starts_with(shown)), "{:#?}", ended());
    world.wait_until("status reports it", || world.status()["attention"].to_string().contains(shown));
    world.orch(&["stop"]).ended(0);
    world.check_nothing_left(&[]);
}
