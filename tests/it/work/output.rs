//! The output of programs: results, `orch logs`, `orch events`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{delegated, done, each, text};
use crate::common::{World, gate};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[test]
fn a_long_output_is_complete_in_the_log_and_its_end_is_the_answer() {
    let world = World::started("");
    // 20,000 lines of 6 bytes: 117 KiB.
    let task = done(&world, &["i=10000; while [ $i -lt 30000 ]; do echo $i; i=$((i + 1)); done"]);
    let result = &task["result"];
    let answer = text(&result["text"]);
    assert_eq!(result["truncated"], true);
    assert!(answer.len() <= 64 * 1024 && answer.len() > 60 * 1024 && answer.ends_with("29999\n"), "{}", answer.len());
    let whole: String = (10_000..30_000).map(|i| format!("{i}\n")).collect();
    assert_eq!(fs::read_to_string(Path::new(result["path"].as_str().unwrap()).join("output")).unwrap(), whole);
    let id = task["id"].as_str().unwrap();
    let log = lines(&world.orch(&["logs", "--task", id, "-n", "100000", "--json"]).ok());
    assert_eq!((log.len(), texts(&log)[0], texts(&log)[19_999]), (20_000, "10000", "29999"));
    assert_eq!(world.orch(&["logs", "--task", id]).ok().lines().count(), 50, "the default is the last 50 lines");
}

#[test]
fn logs_are_selected_by_task_or_agent_and_can_be_searched() {
    let world = World::started("[roles.shell]\nmax = 1");
    let first = done(&world, &["echo apple; echo banana >&2; echo cherry"]);
    let second = done(&world, &["--retries", "1", "echo try $ORCH_ATTEMPT; [ $ORCH_ATTEMPT = 2 ]"]);
    let id = first["id"].as_str().unwrap();
    let log = lines(&world.orch(&["logs", "--task", id, "--json"]).ok());
    let mut by_text: Vec<(&Value, &Value)> = log.iter().map(|l| (&l["text"], &l["stream"])).collect();
    by_text.sort_by_key(|(text, _)| text.to_string());
    let expected = [("apple", "stdout"), ("banana", "stderr"), ("cherry", "stdout")].map(|(t, s)| (json!(t), json!(s)));
    assert_eq!(by_text, expected.iter().map(|(t, s)| (t, s)).collect::<Vec<_>>());
    for line in &log {
        let fields: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["agent", "at", "attempt", "stream", "task", "text"], "{line}");
        assert_eq!((&line["task"], &line["agent"], &line["attempt"]), (&json!(id), &json!("shell-1"), &json!(1)));
    }
    let retried = lines(&world.orch(&["logs", "--task", second["id"].as_str().unwrap(), "--json"]).ok());
    assert_eq!(retried.iter().map(|l| &l["attempt"]).collect::<Vec<_>>(), [1, 2]);

    let agent = lines(&world.orch(&["logs", "shell-1", "--json"]).ok());
    assert_eq!(agent.len(), 5);
    assert_eq!(lines(&world.orch(&["logs", "--json"]).ok()), agent, "the default is all agents");
    let found = lines(&world.orch(&["logs", "--grep", "^(apple|try \\d)$", "--json"]).ok());
    assert_eq!(texts(&found), ["apple", "try 1", "try 2"]);
    let last = lines(&world.orch(&["logs", "--grep", "try", "-n", "1", "--json"]).ok());
    assert_eq!(texts(&last), ["try 2"], "the last line that matches");
    assert_eq!(world.orch(&["logs", "-n", "0"]).ok(), "");

    let human = world.orch(&["logs", "--task", id]).ok();
    assert!(human.contains("shell-1| apple\n") && human.contains("shell-1! banana\n"), "{human}");
    let wrong = world.orch(&["logs", "--grep", "("]).ended(2);
    assert!(wrong.stderr.contains("not a regular expression") && wrong.stderr.contains("unclosed"), "{wrong:#?}");
    world.orch(&["logs", "shell-9"]).ended(2);
    world.orch(&["logs", "--task", "t-7k2m9qx4hz"]).ended(2);
}

#[test]
fn following_a_tasks_log_ends_with_the_task() {
    let world = World::started("");
    let script = format!("echo one; {}; echo two; printf last", gate(&world.file("go")));
    let id = delegated(&world, &[&script]);
    world.wait_until("the task prints", || world.orch(&["logs", "--task", &id]).stdout.contains("one"));
    let mut follow = world.orch_started(&["logs", "--task", &id, "-f", "--json"]);
    assert!(!follow.has_ended());
    world.touch("go");
    let log = lines(&follow.end().ok());
    assert_eq!(texts(&log), ["one", "two", "last"]);
    // For an ended task, following prints the log; for a task without output, nothing.
    assert_eq!(texts(&lines(&world.orch(&["logs", "--task", &id, "-f", "--json"]).ok())), ["one", "two", "last"]);
    let silent = done(&world, &["true"]);
    assert_eq!(world.orch(&["logs", "-f", "--task", silent["id"].as_str().unwrap()]).ok(), "");
}

#[test]
fn events_record_the_transitions_of_a_task_in_order() {
    let world = World::started("");
    let follow = world.orch_command(&["events", "-f", "-n", "0", "--json"]);
    // A follower does not exit on its own: `grep -m1` ends it.
    let mut shell = world.command("sh");
    let words: Vec<String> = std::iter::once(follow.get_program())
        .chain(follow.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    shell.arg("-c").arg(format!("{} | grep -m1 task.succeeded", words.join(" ")));
    let followed = crate::common::start(shell);

    let task = done(&world, &["--retries", "1", "[ $ORCH_ATTEMPT = 2 ]"]);
    let id = task["id"].as_str().unwrap();
    let all = lines(&world.orch(&["events", "-n", "1000", "--json"]).ok());
    let fields = ["agent", "at", "code", "data", "from", "id", "kind", "reason", "task", "to"];
    for event in &all {
        assert_eq!(event.as_object().unwrap().keys().collect::<Vec<_>>(), fields, "{event}");
        assert!(event["reason"].as_str().is_some_and(|r| !r.is_empty()), "every transition has a reason: {event}");
    }
    let of_task: Vec<&Value> =
        all.iter().filter(|e| e["task"] == id && text(&e["kind"]).starts_with("task.")).collect();
    let path: Vec<&Value> = of_task.iter().map(|e| &e["to"]).collect();
    assert_eq!(path, ["ready", "running", "delayed", "ready", "running", "succeeded"], "{of_task:#?}");
    for (a, b) in of_task.iter().zip(&of_task[1..]) {
        assert_eq!(a["to"], b["from"], "each transition starts in the state in which the previous one ended");
    }
    let last = world.orch(&["events", "-n", "2", "--json"]).ok();
    assert_eq!(lines(&last).len(), 2);
    // The follower may have started after this success; the next one ends it.
    let mut followed = followed;
    world.wait_until("the follower has seen a success", || {
        if !followed.has_ended() {
            done(&world, &["true"]);
        }
        followed.has_ended()
    });
    let seen = lines(&followed.end().ok());
    assert_eq!(each(&json!(seen), "kind"), ["task.succeeded"]);
}

#[test]
fn any_output_of_a_program_is_accepted() {
    let world = World::started("");
    // Bytes that are not text, an endless line, and far more than should be kept in memory.
    for (script, size) in [
        ("head -c 1000000 /dev/urandom", 1_000_000),
        ("head -c 3000000 /dev/zero | tr '\\0' x", 3_000_000),
        ("yes 0123456789 | head -c 20000000", 20_000_000),
    ] {
        let task = done(&world, &[script]);
        assert_eq!((&task["state"], &task["result"]["truncated"]), (&json!("succeeded"), &json!(true)), "{script}");
        let output = Path::new(task["result"]["path"].as_str().unwrap()).join("output");
        assert_eq!(fs::metadata(output).unwrap().len(), size, "{script}");
        let last = world.orch(&["logs", "--task", task["id"].as_str().unwrap(), "-n", "1", "--json"]).ok();
        assert_eq!(lines(&last).len(), 1, "{script}");
    }
}

#[test]
fn the_number_of_lines_is_unlimited() {
    let world = World::started("");
    done(&world, &["echo x"]);
    let most = u64::MAX.to_string();
    assert_eq!(lines(&world.orch(&["logs", "-n", &most, "--json"]).ok()).len(), 1);
    assert!(lines(&world.orch(&["events", "-n", &most, "--json"]).ok()).len() > 3);
    assert_eq!(world.orch(&["events", "-n", "0"]).ok(), "");
}

#[test]
fn a_line_is_shown_as_a_terminal_shows_it_and_crlf_reaches_files_pipes_and_json() {
    let world = World::started("");
    let task = done(&world, &[r"printf 'tests 1/3\rtests 2/3\rtests 3/3 ok\n'"]);
    assert_eq!(task["result"]["text"], "tests 3/3 ok\n");
    let log = lines(&world.orch(&["logs", "--task", task["id"].as_str().unwrap(), "--json"]).ok());
    assert_eq!(texts(&log), ["tests 3/3 ok"]);
    let output = Path::new(task["result"]["path"].as_str().unwrap()).join("output");
    assert_eq!(fs::read(output).unwrap(), b"tests 1/3\rtests 2/3\rtests 3/3 ok\n", "every byte is in the file");

    let diff = "@@ -1 +1 @@\r\n-one\r\n+two\r\n";
    fs::write(world.project.join("diff"), diff).unwrap();
    let task = done(&world, &["cat diff"]);
    let id = task["id"].as_str().unwrap();
    assert_eq!(task["result"]["text"], diff);
    assert_eq!(world.orch(&["result", id]).ok(), diff);
    assert_eq!(world.orch(&["delegate", "--wait", "cat diff"]).ok(), diff);
    let log = lines(&world.orch(&["logs", "--task", id, "--grep", "(one|two)$", "--json"]).ok());
    assert_eq!(texts(&log), ["-one\r", "+two\r"], "a pattern's $ is before the line's end");
    assert!(!world.orch(&["show", id]).ok().contains('\r'));
}
