//! A task's text reaches its program byte for byte.

use std::{fs, path::Path};

use serde_json::json;

use super::{done, text};
use crate::common::{World, feed};

const CAT: &str = "[roles.cat]\ncommand = [\"cat\"]\n[roles.word]\ncommand = [\"printf\", \"%s\", \"{prompt}\"]";

#[test]
fn a_text_arrives_byte_for_byte() {
    let world = World::started(CAT);
    for sent in [
        "quotes ' \" ` and $HOME $(touch pwned) \\ \\n %s",
        "lines\n\n  more\n",
        "semicolons; and one at the end;",
        "#(touch pwned) #{pane_pid} #[fg=red]",
        "{prompt} {prompt_file} {\"json\": true}",
        "emoji 🦀🧑‍🚀, ünïcode, 日本語, e\u{301}, \u{202e}rtl",
        "-rf --help",
        "tab\there",
        " ",
        "*",
    ] {
        if sent.trim().is_empty() {
            let empty = world.orch(&["delegate", "--role", "cat", sent]).ended(2);
            assert!(empty.stderr.contains("no text"), "{empty:#?}");
            continue;
        }
        for role in ["cat", "word"] {
            let words = ["delegate", "--json", "--role", role, "--", sent];
            let id = text(&world.orch(&words).ended(0).json()["id"]);
            let task = world.wait_for(&id, "succeeded");
            assert_eq!(
                (task["description"].as_str(), task["result"]["text"].as_str()),
                (Some(sent), Some(sent)),
                "{role}"
            );
        }
    }
    assert!(!world.project.join("pwned").exists());
}

#[test]
fn terminal_escape_sequences_reach_the_program_and_no_terminal() {
    let world = World::started(CAT);
    let hostile = "\x1b]0;title\x07\x1b[31mred\x1b[0m \u{9b}2J\r\nend";
    let task = done(&world, &["--role", "cat", hostile]);
    let output = fs::read(Path::new(task["result"]["path"].as_str().unwrap()).join("output")).unwrap();
    assert_eq!(output, hostile.as_bytes(), "the program received every byte, and the log contains every byte");
    let shown = text(&task["result"]["text"]);
    let lines = |text: &str| text.replace("\r\n", "\n");
    assert!(!lines(&shown).contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(shown.contains("red") && shown.ends_with("end"), "{shown:?}");
    for words in [&["tasks"][..], &["events"], &["logs"], &["show", task["id"].as_str().unwrap()]] {
        let shown = world.orch(words).ok();
        assert!(!lines(&shown).contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{words:?}: {shown:?}");
    }
}

#[test]
fn a_text_has_at_most_one_mebibyte() {
    let world = World::started(CAT);
    let delegate = |input: &[u8]| feed(world.orch_command(&["delegate", "--role", "cat", "--json", "-"]), input);
    let mut most = "0123456789abcdé\n".repeat(1 << 16).into_bytes();
    most.truncate(1 << 20);
    while std::str::from_utf8(&most).is_err() {
        most.pop();
    }
    most.resize(1 << 20, b'.');
    let id = text(&delegate(&most).ended(0).json()["id"]);
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["description"].as_str().unwrap().as_bytes(), most);
    let result = &task["result"];
    assert_eq!(fs::read(Path::new(result["path"].as_str().unwrap()).join("output")).unwrap(), most);
    assert_eq!(result["truncated"], true);
    assert!(most.ends_with(result["text"].as_str().unwrap().as_bytes()), "the end is kept");
    // As a single argument it is too long: the task reports that, and is not retried.
    let id = text(&feed(world.orch_command(&["delegate", "--role", "word", "--json", "-"]), &most).json()["id"]);
    let task = world.wait_for(&id, "failed");
    assert_eq!((&task["cause"], task["attempts"].as_array().unwrap().len()), (&json!("permanent"), 1));
    assert!(task["reason"].as_str().unwrap().contains("{prompt_file}"), "{}", task["reason"]);

    most.push(b'.');
    let refused = delegate(&most).ended(2);
    assert!(refused.stdout.contains("1 MiB") && refused.stdout.contains("--artifact"), "{refused:#?}");
    assert_eq!(world.orch_json(&["tasks"]).as_array().unwrap().len(), 2, "no other task is accepted");
}

#[test]
fn standard_input_is_a_text() {
    let world = World::started(CAT);
    let output =
        feed(world.orch_command(&["delegate", "--role", "cat", "--wait", "-"]), "-\nvon der Pipe ü\n".as_bytes());
    assert_eq!(output.ok(), "-\nvon der Pipe ü\n");
    for (input, complaint) in [(&b"a\0b"[..], "NUL"), (b"caf\xe9", "UTF-8"), (b"", "no text"), (b" \n", "no text")] {
        let refused = feed(world.orch_command(&["delegate", "--role", "cat", "-"]), input).ended(2);
        assert!(refused.stderr.contains(complaint) && refused.stderr.contains("hint:"), "{refused:#?}");
    }
}
