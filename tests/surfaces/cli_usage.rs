//! The command line where nothing runs: help, usage errors, exit codes, closed streams.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// `orch` in an empty project: no environment of ours, a state folder of its own.
fn orch(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orch"));
    command.args(args).current_dir(dir).stdin(Stdio::null()).env_clear();
    command.envs([("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent")]).env("ORCH_HOME", dir.join("home"));
    command
}

fn run(args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    orch(dir.path(), args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", text(&output.stdout)))
}

#[test]
fn help_lists_the_verbs_in_groups_and_exits_with_0() {
    let help = run(&["--help"]);
    assert_eq!(code(&help), 0);
    let page = text(&help.stdout);
    for part in ["Tasks:\n", "Agents:\n", "\n  delegate ", "\n  doctor ", "Examples:\n  orch start\n", "--json"] {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
    assert!(!page.contains("supervise ") && !page.contains("run-agent"), "{page}");
    assert!(!page.contains('\x1b'), "no colours where no terminal is");
}

#[test]
fn manual_pages_are_printed_and_written_to_a_folder() {
    let page = run(&["man"]);
    assert_eq!(code(&page), 0);
    assert!(text(&page.stdout).contains(".TH orch 1"), "{}", text(&page.stdout));

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("share/man1");
    let written = orch(dir.path(), &["man", folder.to_str().unwrap(), "--json"]).output().unwrap();
    let pages = json(&written)["pages"].as_array().unwrap().len();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), pages);
    assert!(folder.join("orch.1").is_file() && folder.join("orch-delegate.1").is_file());

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let failed = orch(dir.path(), &["man", file.to_str().unwrap()]).output().unwrap();
    assert_eq!((code(&failed), text(&failed.stdout)), (4, ""));
    assert!(text(&failed.stderr).contains("cannot be written"), "{}", text(&failed.stderr));
}

#[test]
fn each_verb_has_a_help_page_that_fits_40_columns() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["", "delegate", "tasks", "logs", "stop", "doctor", "completions", "scale", "spawn", "kill", "costs"] {
        let args = [verb, "--help"];
        let args = if verb.is_empty() { &args[1..] } else { &args[..] };
        let help = orch(dir.path(), args).env("COLUMNS", "40").output().unwrap();
        assert_eq!(code(&help), 0, "{verb}");
        let page = text(&help.stdout);
        let written: Vec<&str> =
            page.lines().filter(|l| !l.starts_with("Usage: ")).take_while(|l| *l != "Examples:").collect();
        assert!(written.iter().all(|l| l.chars().count() <= 40), "{verb}: {page}");
    }
}

#[test]
fn the_version_names_the_release_and_the_build() {
    for flag in ["-V", "--version"] {
        let version = run(&[flag]);
        assert_eq!(text(&version.stdout), format!("orch {}\n", orch::model::build::IN_WORDS));
        assert_eq!(code(&version), 0);
    }
}

#[test]
fn without_a_verb_it_prints_help_and_exits_with_2() {
    let nothing = run(&[]);
    assert_eq!((code(&nothing), text(&nothing.stdout)), (2, ""));
    assert!(text(&nothing.stderr).contains("\n  delegate "));
}

#[test]
fn an_unknown_verb_suggests_the_nearest_one() {
    let wrong = run(&["stauts"]);
    assert_eq!((code(&wrong), text(&wrong.stdout)), (2, ""));
    assert_eq!(
        text(&wrong.stderr),
        "orch: there is no verb 'stauts'\n  hint: did you mean 'status'? orch --help lists the verbs\n"
    );
}

#[test]
fn usage_errors_are_json_with_json() {
    for args in [
        &["stauts", "--json"][..],
        &["--json", "tasks", "--state", "runing"],
        &["delegate", "--json", "two", "words"],
        &["wait", "--json", "t-7k2m9qx4hz", "--timeout", "90"],
        &["--json"],
    ] {
        let wrong = run(args);
        assert_eq!((code(&wrong), text(&wrong.stderr)), (2, ""), "{args:?}");
        let error = &json(&wrong)["error"];
        assert_eq!(error["kind"], "usage", "{args:?}");
        assert!(error["message"].is_string() && error["hint"].is_string(), "{args:?}: {error}");
    }
}

#[test]
fn a_mistyped_verb_of_plan_is_recognised_and_options_say_what_they_expect() {
    for (words, said) in [
        (&["plan", "chek", "x.toml"] as &[&str], "did you mean: orch plan check x.toml"),
        (&["plan", "sbumit"], "did you mean: orch plan submit"),
        (&["plan", "--template", "x", "--var", "nope"], "'nope' gives no variable a value: write NAME=VALUE"),
        (&["plan", "--template", "x", "Version", "2"], "orch plan --template x 'Version 2'"),
        (&["plan", "a.toml", "b.toml"], "orch plan --help lists its verbs"),
        (&["plan"], "no plan is named"),
        (&["plan", "check", "a.toml", "b.toml"], "a plan is one file"),
        (&["plan", "--role", "opus", "a.toml"], "--from"),
    ] {
        let refused = run(words);
        assert_eq!(code(&refused), 2, "{words:?}");
        let told = text(&refused.stderr);
        assert!(told.contains(said), "{words:?}: {told}");
    }
}

#[test]
fn several_words_suggest_quotes() {
    let wrong = run(&["delegate", "fix", "the", "tests"]);
    assert_eq!(code(&wrong), 2);
    assert!(text(&wrong.stderr).contains("put quotes around all of it: orch delegate 'fix ...'"));
}

#[test]
fn a_text_on_standard_input_is_checked_first() {
    let dir = tempfile::tempdir().unwrap();
    for (input, complaint) in [(vec![b'x'; (1 << 20) + 1], "larger than 1 MiB"), (b"caf\xe9".to_vec(), "not UTF-8")] {
        let mut child = orch(dir.path(), &["delegate", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // What is too much is not read to its end.
        let _ = child.stdin.take().unwrap().write_all(&input);
        let wrong = child.wait_with_output().unwrap();
        assert_eq!(code(&wrong), 2);
        assert!(text(&wrong.stderr).contains(complaint), "{}", text(&wrong.stderr));
    }
}

#[test]
fn status_is_complete_and_exits_with_3_where_nothing_runs() {
    let status = run(&["status", "--json"]);
    assert_eq!(code(&status), 3);
    let status = json(&status);
    assert_eq!(status["supervisor"]["state"], "stopped");
    assert_eq!(status["redis"]["state"], "unreachable");
    assert!(status["agents"].is_array() && status["tasks"].is_object() && status["attention"].is_array());

    let page = run(&["status"]);
    assert_eq!(code(&page), 3);
    // A line of it may be wrapped anywhere.
    let page = text(&page.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        page.contains("supervisor stopped · redis stopped")
            && page.contains("orch is not running for")
            && page.contains(", and was never started"),
        "{page}"
    );
    assert!(page.contains("orch start"));
}

#[test]
fn verbs_that_need_redis_report_that_nothing_runs() {
    for args in [&["delegate", "echo x"][..], &["tasks"], &["agents"], &["events"], &["why", "t-7k2m9qx4hz"]] {
        let refused = run(args);
        assert_eq!((code(&refused), text(&refused.stdout)), (3, ""), "{args:?}");
        let said = text(&refused.stderr);
        assert!(
            said.contains("orch is not running for")
                && said.contains(", and was never started")
                && said.contains("  hint: start it with: orch start"),
            "{said}"
        );
    }
}

#[test]
fn an_invalid_sessions_toml_is_reported_with_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sessions.toml"), "[supervisor]\nheartbaet = \"5s\"\n").unwrap();
    let wrong = orch(dir.path(), &["status", "--json"]).output().unwrap();
    assert_eq!(code(&wrong), 4);
    let error = json(&wrong)["error"].clone();
    let said = error.to_string();
    assert_eq!(error["kind"], "configuration");
    assert!(said.contains("heartbaet") && said.contains('2'), "{said}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["status"], &["completions", "bash"], &["stauts", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = orch(dir.path(), args).stdout(writer).output().unwrap();
        let expected = if args[0] == "stauts" { 2 } else { 0 };
        assert_eq!((code(&ended), text(&ended.stderr)), (expected, ""), "{args:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = orch(dir.path(), &["--help"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(code(&failed), 1);
    assert!(text(&failed.stderr).contains("standard output cannot be written"));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(code(&script), 0);
        for word in ["delegate", "priority", "completions"] {
            assert!(text(&script.stdout).contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(code(&run(&["completions", "dosh"])), 2);
    let script = run(&["completions", "bash"]);
    for hidden in ["run-agent", "supervise", "console"] {
        assert!(!text(&script.stdout).contains(hidden), "{hidden}");
    }
}

#[test]
fn init_writes_a_valid_file_and_never_overwrites_one() {
    let dir = tempfile::tempdir().unwrap();
    let written = orch(dir.path(), &["init", "--json"]).output().unwrap();
    assert_eq!(code(&written), 0, "{}", text(&written.stdout));
    assert!(Path::new(json(&written)["path"].as_str().unwrap()).is_file());
    assert_eq!(code(&orch(dir.path(), &["status"]).output().unwrap()), 3, "it reads");
    assert_eq!(code(&orch(dir.path(), &["init"]).output().unwrap()), 6);
    assert_eq!(code(&orch(dir.path(), &["init", "--force"]).output().unwrap()), 0);
    assert_eq!(code(&orch(dir.path(), &["--config", "other.toml", "init"]).output().unwrap()), 0);
    assert!(dir.path().join("other.toml").is_file(), "--config says where");
}
