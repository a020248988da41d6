//! The contract with a program: what it receives, which files it may write, and what its end means.

use std::fs;

use serde_json::{Value, json};

use super::{delegated, done, each, ms, program, text};
use crate::common::{World, feed};

#[test]
fn delegate_wait_prints_only_the_answer_and_a_failure_with_its_reason() {
    let world = World::started("");
    let well = world.orch(&["delegate", "--role", "shell", "--wait", "echo answer; echo noise >&2"]);
    assert_eq!((well.code, well.stdout.as_str(), well.stderr.as_str()), (0, "answer\n", ""));
    let silent = world.orch(&["delegate", "--role", "shell", "--wait", "true"]);
    assert_eq!((silent.code, silent.stdout.as_str()), (0, ""));

    let ill = world.orch(&["delegate", "--wait", "echo half; echo broken pipe dream >&2; exit 65"]).ended(1);
    assert_eq!(ill.stdout, "half\n");
    assert!(ill.stderr.contains("has failed: exit code 65 (permanent): broken pipe dream"), "{ill:#?}");
    assert!(ill.stderr.contains("orch why t-"), "{ill:#?}");

    let whole = world.orch(&["delegate", "--wait", "--json", "echo x; exit 65"]).ended(1).json();
    assert_eq!((&whole["state"], &whole["result"]["text"]), (&json!("failed"), &json!("x\n")));
}

#[test]
fn the_prompt_is_standard_input_or_replaces_its_placeholder() {
    let world = World::started(
        r#"
        [roles.input]
        command = ["cat"]
        [roles.word]
        command = ["sh", "-c", "printf '%s|' \"$@\"; cat", "sh", "a b", "<{prompt}>", "{promptly}"]
        [roles.file]
        command = ["sh", "-c", "cat \"$1\"; cat", "sh", "{prompt_file}"]
        "#,
    );
    let prompt = "two\n  lines \"of\" $HOME";
    for (role, answer) in [("input", prompt), ("word", "a b|<two\n  lines \"of\" $HOME>|{promptly}|"), ("file", prompt)]
    {
        let task = done(&world, &["--role", role, prompt]);
        assert_eq!(task["result"]["text"], answer, "{role}: {task:#}");
    }
}

#[test]
fn a_program_finds_its_task_in_its_environment_and_orch_on_its_path() {
    let world = World::started("[roles.tool]\ncommand = [\"./tool\"]\nenv = { COLOUR = \"teal\" }");
    program(
        &world,
        "tool",
        r#"cp "$ORCH_CONTEXT" "$HOME/context"; env > "$HOME/env"; command -v orch; orch show "$ORCH_TASK" --json"#,
    );
    let id = delegated(
        &world,
        &["--role", "tool", "--context", r#"{"a": [1, null]}"#, "--label", "k=v", "--artifact", "src/a.rs", "look"],
    );
    let task = world.wait_for(&id, "succeeded");

    let env = world.lines("env");
    let value = |name: &str| {
        let line = env.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {env:#?}")).to_owned()
    };
    assert_eq!([value("ORCH_TASK"), value("ORCH_AGENT"), value("ORCH_ATTEMPT")], [id.as_str(), "tool-1", "1"]);
    assert_eq!(value("COLOUR"), "teal");
    assert!(!env.iter().any(|line| line.starts_with("TMUX=") || line.starts_with("TMUX_PANE=")), "{env:#?}");
    assert!(
        value("TMUX_TMPDIR").starts_with(&world.home.display().to_string()),
        "the program's tmux server is a private one"
    );

    let context: Value = serde_json::from_str(&world.lines("context").join("\n")).unwrap();
    for field in ["id", "role", "description", "context", "labels", "artifacts", "depth", "timeout_ms"] {
        assert_eq!(context[field], task[field], "{field}");
    }
    assert_eq!(context["context"], json!({"a": [1, null]}));

    let answer = task["result"]["text"].as_str().unwrap();
    let (orch, seen) = answer.split_once('\n').unwrap();
    assert_eq!(orch, world.home.join("bin/orch").display().to_string());
    let seen: Value = serde_json::from_str(seen).unwrap();
    assert_eq!((&seen["state"], &seen["attempts"][0]["agent"]), (&json!("running"), &json!("tool-1")));
}

#[test]
fn the_result_file_says_what_the_exit_code_cannot() {
    let world = World::started("[roles.tool]\ncommand = [\"sh\"]");
    let left = |file: &str, then: &str| {
        let script = format!("cat > \"$ORCH_RESULT\" <<'END'\n{file}\nEND\necho printed\n{then}");
        done(&world, &["--role", "tool", "--retries", "0", &script])
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.25});
    let all = left(&json!({"text": "said", "data": {"n": [1, "ü"]}, "usage": usage}).to_string(), "");
    assert_eq!(all["state"], "succeeded");
    let result = &all["result"];
    assert_eq!((&result["text"], &result["data"], &result["usage"]), (&json!("said"), &json!({"n": [1, "ü"]}), &usage));

    let cause = left(r#"{"cause": "permanent"}"#, "exit 0");
    assert_eq!((&cause["state"], &cause["cause"]), (&json!("failed"), &json!("permanent")));
    assert_eq!(cause["result"]["text"], "printed\n", "the output replaces a missing text");

    let broken = left("{", "");
    assert_eq!(broken["state"], "succeeded", "the exit code decides");
    assert!(broken["attempts"][0]["reason"].as_str().unwrap().contains("cannot be read"), "{broken:#}");
    // It is no plain success.
    assert_eq!(broken["attempts"][0]["code"], "result_unreadable");
    let id = broken["id"].as_str().unwrap();
    let result = world.orch(&["result", id]).ended(0);
    assert!(result.stdout == "printed\n" && result.stderr.contains("its result file"), "{result:?}");
    assert!(world.orch(&["why", id]).ok().contains("Its result is not complete"));
}

#[test]
fn a_rate_limit_delays_the_task_and_counts_as_no_failure() {
    let world = World::started("");
    let script = format!(
        "[ -e '{0}' ] && exit 0; touch '{0}'; echo '{{\"cause\": \"rate_limited\", \"retry_after_ms\": 400}}' > \"$ORCH_RESULT\"; exit 1",
        world.file("limited").display()
    );
    let task = done(&world, &["--retries", "0", &script]);
    assert_eq!((&task["state"], &task["failures"]), (&json!("succeeded"), &json!(0)));
    assert_eq!(each(&task["attempts"], "cause"), ["rate_limited", "success"]);
    let first = &task["attempts"][0];
    assert_eq!(ms(&first["next_retry_at"]) - ms(&first["ended_at"]), 400);
    assert!(ms(&task["attempts"][1]["started_at"]) >= ms(&first["next_retry_at"]));
}

#[test]
fn every_end_of_a_program_has_its_cause_and_state() {
    let world = World::started("[roles.shell.retry]\nretries = 0\nlost = 0");
    for (script, cause, state, code, part) in [
        ("exit 0", "success", "succeeded", json!(0), "exit code 0"),
        ("exit 65", "permanent", "failed", json!(65), "exit code 65"),
        ("exit 75", "transient", "failed", json!(75), "exit code 75"),
        ("echo log in >&2; exit 77", "needs_person", "held", json!(77), "log in"),
        ("exit 3", "transient", "failed", json!(3), "exit code 3"),
        ("kill -9 $$", "lost", "failed", json!(null), "signal 9"),
        ("kill -TERM $$", "lost", "failed", json!(null), "SIGTERM"),
    ] {
        let id = delegated(&world, &[script]);
        let task = world.wait_for(&id, state);
        let attempt = &task["attempts"][0];
        assert_eq!(
            (&task["attempts"].as_array().unwrap().len(), &attempt["cause"], &attempt["exit_code"]),
            (&1, &json!(cause), &code),
            "{script}: {task:#}"
        );
        assert!(attempt["reason"].as_str().unwrap().contains(part), "{script}: {attempt:#}");
        if cause != "success" {
            let (reason, last) = (task["reason"].as_str().unwrap(), attempt["reason"].as_str().unwrap());
            assert!(task["cause"] == cause && reason.starts_with(last), "{script}: {task:#}");
        }
    }
}

#[test]
fn an_attempts_folder_holds_prompt_context_and_output() {
    let world = World::started("");
    let task = done(&world, &["echo out; echo err >&2; printf tail"]);
    let dir = std::path::PathBuf::from(task["result"]["path"].as_str().unwrap());
    assert!(dir.starts_with(&world.home), "{dir:?}");
    assert_eq!(fs::read_to_string(dir.join("prompt")).unwrap(), task["description"]);
    let output = fs::read_to_string(dir.join("output")).unwrap();
    for part in ["out\n", "err\n", "tail"] {
        assert!(output.contains(part), "{output:?}");
    }
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&world.home).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(dir.join("output")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn an_invalid_result_file_is_reported_and_the_exit_code_decides() {
    let world = World::started("");
    for (left, part) in [
        ("mkdir \"$ORCH_RESULT\"", "not a file"),
        ("mkfifo \"$ORCH_RESULT\"", "not a file"),
        ("ln -s /dev/zero \"$ORCH_RESULT\"", "not a file"),
        ("head -c 5000000 /dev/zero > \"$ORCH_RESULT\"", "it has more than 4 MiB"),
        ("printf '\\377' > \"$ORCH_RESULT\"", "cannot be read"),
        ("echo '{\"cause\": \"bored\"}' > \"$ORCH_RESULT\"", "bored"),
        ("echo '[]' > \"$ORCH_RESULT\"", "cannot be read"),
    ] {
        let task = done(&world, &[&format!("{left}; echo printed")]);
        assert_eq!((&task["state"], &task["result"]["text"]), (&json!("succeeded"), &json!("printed\n")), "{left}");
        let reason = task["attempts"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(part), "{left}: {reason}");
    }
    let empty = done(&world, &["> \"$ORCH_RESULT\"; echo printed"]);
    assert_eq!(
        empty["attempts"][0]["reason"], "the program ended with exit code 0",
        "an empty result file counts as none"
    );
}

#[test]
fn no_terminal_executes_escape_sequences_in_a_result() {
    let world = World::started("");
    let script =
        r#"printf '{"text": "\\u001b]0;title\\u0007plain \\u001b[31mred", "data": "\\u001b[2J"}' > "$ORCH_RESULT""#;
    let task = done(&world, &[script]);
    let id = task["id"].as_str().unwrap();
    for words in [&["show", id][..], &["wait", id], &["why", id], &["tasks"]] {
        let shown = world.orch(words).ok();
        assert!(!shown.contains('\x1b') && !shown.contains('\x07'), "{words:?}: {shown:?}");
    }
    assert!(world.orch(&["show", id]).ok().contains("plain red"));
}

#[test]
fn an_attempt_that_prints_nothing_and_leaves_nothing_makes_no_file() {
    let world = World::started("");
    done(&world, &["true"]);
    let files = || {
        let (mut found, mut open) = (Vec::new(), vec![world.home.clone()]);
        while let Some(folder) = open.pop() {
            // Its own business.
            for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.file_name() != "redis") {
                if entry.path().is_dir() {
                    open.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    };
    let before = files();
    for script in ["true", "cat \"$ORCH_CONTEXT\" >/dev/null", "cd \"$(dirname \"$ORCH_RESULT\")\" && : > litter"] {
        let task = done(&world, &[script]);
        assert_eq!(task["result"]["path"], "", "{script}");
        assert!(!world.orch(&["show", task["id"].as_str().unwrap()]).ok().contains("files "), "{script}");
    }
    // The last of them has had its folder removed with what it left there; the next one makes it anew.
    done(&world, &["true"]);
    assert_eq!(files(), before);
    let kept = done(&world, &["echo '{\"text\": \"kept\"}' > \"$ORCH_RESULT\""]);
    let dir = std::path::PathBuf::from(kept["result"]["path"].as_str().unwrap());
    for name in ["prompt", "context.json", "answer.json", "result.json"] {
        assert!(dir.join(name).is_file(), "{name}");
    }
}

#[test]
fn with_each_there_is_one_task_per_line() {
    let world = World::started("");
    let fed = |words: &[&str], input: &str| feed(world.orch_command(words), input.as_bytes());
    let ids = |output: &str| output.lines().map(str::to_owned).collect::<Vec<_>>();
    let printed = fed(&["delegate", "--role", "shell", "--each", "-", "echo {}"], "one\n\ntwo\n").ok();
    let texts: Vec<_> =
        ids(&printed).iter().map(|id| world.wait_for(id, "succeeded")["result"]["text"].clone()).collect();
    assert_eq!(texts, ["one\n", "two\n"]);

    let file = world.file("tasks");
    fs::write(&file, "true\n{\"text\": \"exit 65\", \"role\": \"shell\"}\n").unwrap();
    let file = file.display().to_string();
    let printed = world.orch(&["delegate", "--role", "shell", "--json", "--each", &file]).ok();
    let second: Value = serde_json::from_str(printed.lines().nth(1).unwrap()).unwrap();
    world.wait_for(second["id"].as_str().unwrap(), "failed");

    // One that is wrong keeps all of its step back.
    let before = world.status()["tasks"].clone();
    let refused = fed(&["delegate", "--role", "shell", "--each", "-"], "true\n{\"text\": \"\"}\n").ended(2);
    assert!(refused.stderr.contains("line 2 of standard input"), "{refused:#?}");
    assert_eq!(refused.stdout, "");
    assert_eq!(world.status()["tasks"], before);
    world.orch(&["delegate", "--each", "-", "--key", "k"]).ended(2);
}

#[test]
fn a_program_finds_what_came_before_and_its_instructions_in_its_context() {
    let world = World::started(
        "[roles.tool]\ncommand = [\"sh\", \"-c\", \"cat; cat $ORCH_CONTEXT > \\\"$HOME/context\\\"\"]\nmodel = \"m1\"\n\
         instructions = \"Be brief.\"\nmax_task_tokens = 1000\n[roles.told]\ncommand = [\"cat\"]\nprompt = \"full\"",
    );
    let long = done(&world, &["--role", "shell", "head -c 20000 /dev/zero | tr '\\0' x; echo THE-END"]);
    let data = done(&world, &["--role", "shell", r#"echo '{"text": "said", "data": {"n": 1}}' > "$ORCH_RESULT""#]);
    let (long, data) = (text(&long["id"]), text(&data["id"]));
    let task = done(&world, &["--role", "tool", "--after", &long, "--after", &data, "look"]);
    assert_eq!(task["result"]["text"], "look", "its standard input is the text alone");

    let context: Value = serde_json::from_str(&world.lines("context").join("\n")).unwrap();
    assert_eq!((&context["instructions"], &context["model"]), (&json!("Be brief."), &json!("m1")));
    assert_eq!(context["budget"]["tokens"], 1000);
    let results = &context["results"];
    assert_eq!((&results[0]["id"], &results[0]["truncated"]), (&json!(long), &json!(true)));
    let end = results[0]["text"].as_str().unwrap();
    assert!(end.len() == 16 * 1024 && end.ends_with("THE-END\n"), "{}", end.len());
    assert_eq!((&results[1]["text"], &results[1]["data"]), (&json!("said"), &json!({"n": 1})));

    let told = done(&world, &["--role", "told", "--after", &data, "look"]);
    let answer = told["result"]["text"].as_str().unwrap();
    assert!(answer.starts_with("look\n\n[orch] Task t-") && answer.contains("\nsaid\n{\"n\":1}\n"), "{answer}");
}
