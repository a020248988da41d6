//! Failures of `claude`: its service fails, or the program dies.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::fleet::{Fleet, SONNET};
use crate::{
    common::{Process, kill9},
    model_server::{Answer, Asked, INPUT_TOKENS, OUTPUT_TOKENS, tool, when},
};

#[test]
fn claude_itself_retries_an_overloaded_service() {
    let rules = vec![
        when("say hello").times(3).answer(Answer::overloaded()),
        when("say hello").answer(Answer::text("hello at last")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.world.delegate("sonnet", "say hello");
    let retrying = || fleet.world.agent("sonnet-1")["retrying"].clone();
    fleet.wait_until("the agent reports the retry", || !retrying().is_null());
    assert_eq!((&retrying()["of"], &retrying()["why"]), (&json!(10), &json!("overloaded (529)")));
    let task = fleet.wait_for(&task, "succeeded");
    assert!(retrying().is_null());
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "no attempt failed: {task:#}");
    assert_eq!(fleet.model.times_asked("say hello"), 4);
    let log = fleet.world.orch(&["logs", "--task", task["id"].as_str().unwrap()]).ok();
    assert!(log.contains("529"), "the log shows the reason for the delay: {log}");
    fleet.stop();
}

#[test]
fn claude_itself_retries_after_a_cut_stream() {
    let rules = vec![
        when("say hello").times(1).answer(Answer::Cut("hel".to_owned())),
        when("say hello").answer(Answer::text("hello, whole")),
    ];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("hello, whole"), "{task:#}");
    assert!(fleet.model.times_asked("say hello") >= 2);
    fleet.stop();
}

#[test]
fn orch_retries_a_service_that_fails_for_longer_than_claude_retries() {
    let broken = Answer::error(500, "api_error", "Internal server error");
    let rules =
        vec![when("say hello").times(1).answer(broken.no_retry()), when("").answer(Answer::text("hello at last"))];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("transient")), "{task:#}");
    assert_eq!(task["result"]["text"].as_str().map(str::trim_end), Some("hello at last"));
    fleet.stop();
}

#[test]
fn a_usage_limit_delays_the_task_and_costs_it_no_retry() {
    let limit = Answer::error(429, "rate_limit_error", "This request would exceed your limit. Try again in 1s.");
    let rules = vec![
        when("say hello").times(1).answer(limit.no_retry()),
        when("").answer(Answer::text("hello after the limit")),
    ];
    let no_retries = format!("{SONNET}\n[roles.sonnet.retry]\nretries = 0");
    let Some(fleet) = Fleet::started(&["claude"], &no_retries, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("rate_limited")), "{task:#}");
    fleet.stop();
}

#[test]
fn a_model_that_never_answers_does_not_block_its_task() {
    let rules = vec![
        when("say hello").times(1).answer(Answer::Hang),
        when("say hello").answer(Answer::text("hello from the next attempt")),
    ];
    let soon = format!("{SONNET}\nstall_timeout = \"8s\"");
    let Some(fleet) = Fleet::started(&["claude"], &soon, rules) else { return };
    let task = fleet.done("sonnet", "say hello");
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("lost")), "{task:#}");
    assert!(attempts[0]["reason"].as_str().unwrap().contains("hung"), "{task:#}");
    fleet.stop();
}

/// From the first rejection on, `orch status` reports that a login is needed.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_rejected_key_is_reported_immediately_and_holds_the_task_for_a_person() {
    let refused = Answer::error(401, "authentication_error", "invalid x-api-key");
    // claude alone would retry ten times, over some minutes.
    let Some(fleet) = Fleet::started(&["claude"], SONNET, vec![when("").answer(refused)]) else { return };
    let task = fleet.world.delegate("sonnet", "say hello");
    let mut seen_at = None;
    fleet.wait_until("status reports that a login is needed", || {
        let attention = fleet.world.status()["attention"].to_string();
        seen_at = Some(Instant::now());
        attention.contains("asks for login") || attention.contains("claude asks to log in")
    });
    let held = fleet.wait_for(&task, "held");
    assert_eq!(held["attempts"][0]["cause"], "needs_person", "{held:#}");
    let requests = fleet.model.requests();
    let asked: Vec<_> = requests.iter().filter(|request| request.asked.is_some()).collect();
    assert!(asked.len() <= 3, "what can only fail is not tried on: {}", asked.len());
    let late = seen_at.unwrap().duration_since(asked[0].at);
    println!("a key is refused → seen in orch status    {late:?}");
    assert!(late < SEEN_WITHIN, "{late:?}");
    fleet.stop();
}

/// A command that claude runs in a separate session, so that it outlives a killed claude. The world can find it.
const COMMAND: &str = "sleep 2718";

/// Starts a claude, and waits until it is in the middle of its task and its command runs.
fn at_work() -> Option<(Fleet, String)> {
    let command = json!({"command": format!("echo begun > begun; {COMMAND}"), "timeout": 600_000});
    let rules = vec![
        when("do the work").step(0).times(1).answer(tool("Bash", command)),
        when("do the work").answer(Answer::text("done in the second attempt")),
    ];
    let may_run = format!("{SONNET}\nallowed_tools = [\"Bash\"]");
    let fleet = Fleet::started(&["claude"], &may_run, rules)?;
    let task = fleet.world.delegate("sonnet", "do the work");
    fleet.wait_until("its command runs", || fleet.world.project.join("begun").exists() && !commands(&fleet).is_empty());
    Some((fleet, task))
}

fn commands(fleet: &Fleet) -> Vec<Process> {
    fleet.world.processes().into_iter().filter(|p| p.command.contains(COMMAND)).collect()
}

#[test]
fn a_killed_claude_leaves_no_command_behind_and_the_next_attempt_resumes_its_conversation() {
    let Some((fleet, task)) = at_work() else { return };
    let [claude] = &fleet.processes_of("claude")[..] else { panic!("{:#?}", fleet.world.processes()) };
    let sockets = fleet.world.home.join(format!("runs/{task}/1/tmp/cc-socks"));
    assert_eq!(fs::read_dir(&sockets).map(Iterator::count).unwrap_or_default(), 1, "{}", sockets.display());
    kill9(claude.pid);
    let done = fleet.wait_for(&task, "succeeded");
    let attempts = done["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["cause"].as_str()), (2, Some("lost")), "{done:#}");
    assert_eq!(done["lost"], 1);
    assert_eq!(commands(&fleet), [], "the killed program's command has ended");
    // Sockets and outputs are removed, too: those of the killed claude, and those of the claude that exited.
    for attempt in ["1", "2"] {
        let run = fleet.world.home.join("runs").join(&task).join(attempt);
        assert!(run.join("mcp.json").exists() && !run.join("tmp").exists(), "{}", run.display());
    }
    assert!(!fleet.world.file("tmp/cc-socks").exists());
    let session = |attempt: u32| {
        let path = fleet.world.home.join(format!("runs/{task}/{attempt}/session.json"));
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        written["session"].as_str().unwrap().to_owned()
    };
    assert_eq!(session(1), session(2));
    let texts = fleet.model.asked().pop().unwrap().texts;
    assert!(
        texts.iter().any(|text| text.trim().starts_with("do the work\n\n[orch] Task ")),
        "the conversation contains the first attempt: {texts:#?}"
    );
    assert!(texts.last().unwrap().contains("This is attempt 2"), "{texts:#?}");
    fleet.stop();
}

#[test]
fn a_killed_runner_leaves_neither_claude_nor_its_command_and_its_task_succeeds() {
    let Some((fleet, task)) = at_work() else { return };
    let before = [fleet.processes_of("claude"), commands(&fleet)].concat();
    kill9(fleet.world.runner_pid("sonnet-1"));
    let done = fleet.wait_for(&task, "succeeded");
    assert_eq!((&done["lost"], done["attempts"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{done:#}");
    fleet.wait_until("the processes of the dead runner have ended", || !before.iter().any(Process::is_alive));
    fleet.stop();
}

/// Lets a program resume its conversation this many times, each after a request that its service refuses, and compares what
/// orch has counted with the answers that the service has given.
fn counts_what_its_service_counts(program: &'static str, role: &str, tables: &str, call: Answer) {
    const RESUMES: usize = 5;
    // claude asks several times after a refusal, each time without another feature, so the refusals are not a fixed number.
    let (refuses, refusals) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let after_the_call = {
        let (refuses, refusals) = (refuses.clone(), refusals.clone());
        move |_: &Asked| {
            if !refuses.load(SeqCst) {
                return Answer::text("counted");
            }
            refusals.fetch_add(1, SeqCst);
            Answer::error(400, "invalid_request_error", "this can't be done")
        }
    };
    let rules = vec![when("count me").step(0).answer(call), when("count me").answer_by(after_the_call)];
    let Some(fleet) = Fleet::started(&[program], tables, rules) else { return };
    let id = fleet.world.delegate(role, "count me");
    for resume in 1..=RESUMES {
        fleet.wait_for(&id, "failed");
        refuses.store(resume < RESUMES, SeqCst);
        fleet.world.orch(&["retry", &id]).ok();
    }
    let task = fleet.wait_for(&id, "succeeded");
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(RESUMES + 1), "{task:#}");
    let answered = (fleet.model.times_asked("count me") - refusals.load(SeqCst)) as u64;
    let costs = fleet.world.orch_json(&["costs", "--by", "role"]);
    let counted = (&costs["total"]["input_tokens"], &costs["total"]["output_tokens"]);
    assert_eq!(counted, (&json!(answered * INPUT_TOKENS), &json!(answered * OUTPUT_TOKENS)), "{program}: {task:#}");
    // The program's own total of the whole conversation, where it names a price.
    let raw = fs::read_to_string(fleet.world.home.join(format!("runs/{id}/{}/raw.jsonl", RESUMES + 1))).unwrap();
    let lines = raw.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    if let Some(total) = lines.filter_map(|line| line["total_cost_usd"].as_f64()).next_back() {
        let counted = costs["total"]["cost_usd"].as_f64().unwrap();
        assert!((counted - total).abs() < 0.000_01, "{program}: {counted} for {total}");
        println!("{program}: {} resumes, {answered} answers    {counted:.6} USD counted, {total:.6} USD used", RESUMES);
    }
    fleet.stop();
}

#[test]
fn usage_over_resumes_is_what_the_service_of_claude_has_counted() {
    let may_run = format!("{SONNET}\nallowed_tools = [\"Bash\"]");
    counts_what_its_service_counts("claude", "sonnet", &may_run, tool("Bash", json!({"command": "echo 1"})));
}

#[test]
fn usage_over_resumes_is_what_the_service_of_codex_has_counted() {
    let coder = "[roles.coder]\ndriver = \"codex\"\npermission_mode = \"bypass\"\n";
    counts_what_its_service_counts("codex", "coder", coder, tool("exec_command", json!({"cmd": "echo 1"})));
}

#[test]
fn usage_over_resumes_is_what_the_service_of_gemini_has_counted() {
    let role = "[roles.g]\ndriver = \"gemini\"\nmodel = \"gemini-2.5-pro\"\npermission_mode = \"yolo\"\n";
    counts_what_its_service_counts("gemini", "g", role, tool("run_shell_command", json!({"command": "echo 1"})));
}
