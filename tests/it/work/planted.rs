//! Secrets of many forms, planted in every place where a text can enter: none is found again anywhere.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;

use super::delegated;
use crate::common::{World, gate, start};

/// How orch is given a secret: the first ones by the environment, the others only in texts.
struct Secret {
    variable: Option<&'static str>,
    value: String,
    /// What must not be found anywhere.
    needle: String,
}

/// Twelve forms. Joined here, so that no scanner takes this file for a leak.
fn secrets() -> Vec<Secret> {
    let secret = |variable: Option<&'static str>, parts: &[&str]| Secret {
        variable,
        value: parts.concat(),
        needle: parts.concat(),
    };
    let mut all = vec![
        // Only their values are known: a password in a URL, a variable that env_from names, and two with telling names.
        Secret {
            variable: Some("DATABASE_URL"),
            value: "postgres://app:pl4nted-Pw-One@db/shop".into(),
            needle: "pl4nted-Pw-One".into(),
        },
        secret(Some("DEPLOY_THING"), &["pl4nted granted value"]),
        secret(Some("MYSQL_PWD"), &["pl4nted-Mysql-2"]),
        secret(Some("BW_SESSION"), &["cGw0bnRlZA", "+session/vAlue=="]),
        // Their form is known, wherever they come from.
        secret(None, &["s", "k-ant-api03-Pl4nted0123456789abcdefghij"]),
        secret(None, &["gh", "p_Pl4nted0123456789abcdefghijklmnopqr"]),
        secret(None, &["github", "_pat_11PL4NTED0_0123456789abcdefghijklmn"]),
        secret(None, &["AK", "IAPL4NTED123456789"]),
        secret(None, &["xo", "xb-123456789012-pl4ntedabcdefghijkl"]),
        secret(None, &["gl", "pat-pl4nted0123456789ab"]),
        secret(None, &["AI", "zaSyPl4nted0123456789abcdefghijklmnop"]),
        secret(None, &["ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbDRudGVkIn0.pl4nted0123456789"]),
    ];
    // In the env of a role, which sessions.toml has.
    all.push(secret(None, &["pl4nted-of-", "a-role-5"]));
    // A private key is a fourteenth: several lines, of which each is a needle.
    all.push(Secret {
        variable: None,
        value: ["-----BEGIN PRIV", "ATE KEY-----\nMIIEvPl4ntedKeyLine0123456789\n-----END PRIVATE KEY-----"].concat(),
        needle: "Pl4ntedKeyLine".into(),
    });
    all
}

/// Appends where in a folder's files one of the needles is.
fn in_files(dir: &Path, needles: &[&str], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => in_files(&entry.path(), needles, found),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes);
                found.extend(in_text(&entry.path().display().to_string(), &text, needles));
            }
            _ => {}
        }
    }
}

fn in_text(place: &str, text: &str, needles: &[&str]) -> Vec<String> {
    // tmux and terminals wrap lines.
    let joined = text.replace('\n', "");
    needles.iter().filter(|n| text.contains(**n) || joined.contains(**n)).map(|n| format!("{place}: {n}")).collect()
}

#[test]
fn a_planted_secret_is_found_nowhere() {
    let all = secrets();
    let text: String = all.iter().fold(String::new(), |mut text, secret| {
        let _ = writeln!(text, "<{}>", secret.value);
        text
    });
    let needles: Vec<&str> = all.iter().map(|secret| secret.needle.as_str()).collect();
    let mut world = World::builder()
        .tables("[roles.trusted]\ndriver = \"shell\"\nenv_from = [\"DEPLOY_THING\"]\n[roles.shell]\nmax = 2\nenv = { SHOP_TOKEN = \"pl4nted-of-a-role-5\" }")
        .supervisor("notify_command", "[\"sh\", \"-c\", \"cat >> $HOME/notices\"]")
        .build();
    for secret in &all {
        if let Some(name) = secret.variable {
            world.env.insert(name, secret.value.clone());
        }
    }
    start(world.orch_command(&["start"])).end().ok();
    // In a file: a program that reads it is not what is tested here.
    fs::write(world.file("plant"), &text).unwrap();
    let plant = world.file("plant").display().to_string();
    // A verb within an agent's program recognizes forms; the values that were withheld from the program it cannot know.
    let formed: Vec<&str> = all.iter().filter(|s| s.variable.is_none()).map(|s| s.value.as_str()).collect();
    let formed = formed.join("\n");
    fs::write(world.file("formed"), &formed).unwrap();
    let call = |id: u32, method: &str, params: serde_json::Value| {
        serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    let about = serde_json::json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let initialized = serde_json::json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let report = serde_json::json!({"name": "report_progress", "arguments": {"text": &formed}});
    let calls = [call(1, "initialize", about), initialized, call(2, "tools/call", report)].join("\n") + "\n";
    fs::write(world.file("calls"), calls).unwrap();

    // By a person: text, context, label's name and value, key, artifact, message, answer.
    let json = serde_json::json!({"of": {&text: [&text]}}).to_string();
    fs::write(world.file("context.json"), &json).unwrap();
    let one_line = text.replace('\n', " ");
    let verbs = "\
        (cat calls; until [ -e go ]; do sleep 0.05; done) | orch mcp > /dev/null &\n\
        orch send master \"$(cat formed)\"\n\
        orch delegate --key \"k $(cat formed)\" --label l=\"$(cat formed)\" \"true # $(tr '\\n' ' ' < formed)\"\n\
        orch ask --no-wait \"$(cat formed)\" > /dev/null\n";
    let script = format!(
        "# {one_line}\nsed 's/^/stdout /' {plant}; sed 's/^/stderr /' {plant} >&2\nenv | grep SHOP_TOKEN\ncd {}\n{verbs}{}\n\
         orch inbox | sed 's/^/received /'\n\
         text=$(cat {plant})\n\
         printf '{{\"text\": \"%s\", \"data\": {{\"of\": \"%s\"}}}}' \"$(echo $text)\" \"$(echo $text)\" > $ORCH_RESULT\n\
         cat $ORCH_RESULT; exit 1",
        world.file("").display(),
        gate(&world.file("go"))
    );
    let id = delegated(
        &world,
        &[
            "--role",
            "shell",
            "--retries",
            "0",
            "--context",
            &format!("@{}", world.file("context.json").display()),
            "--label",
            &format!("env={one_line}"),
            "--key",
            &one_line,
            "--artifact",
            &one_line,
            &script,
        ],
    );
    world.wait_until("its question is open", || world.show(&id)["questions"][0]["question"].is_string());
    // Before it is answered: an answered question needs nobody any more.
    world.wait_until("its question was notified", || !world.lines("notices").is_empty());
    world.orch(&["send", &id, &text]).ok();
    world.orch(&["answer", &id, &text]).ok();
    let progress = || world.events_of("task.progress").len();
    world.wait_until("the progress is reported", || progress() > 0);
    // Another role's output has the secret of a role that may have it.
    let granted = delegated(&world, &["--role", "trusted", "echo \"granted $DEPLOY_THING\" | tee -a $HOME/granted"]);
    let granted = world.wait_for(&granted, "succeeded");
    assert_eq!(granted["result"]["text"], "granted [redacted]\n");
    assert!(world.lines("granted").iter().any(|line| line.contains("pl4nted granted value")), "the program had it");

    let mut found = Vec::new();
    let processes = |found: &mut Vec<String>| {
        for process in world.processes() {
            found.extend(in_text(&format!("argv of {}", process.pid), &process.command, &needles));
        }
        for pid in [world.supervisor_pid(), world.runner_pid("shell-1"), world.redis_pid()] {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
            found.extend(in_text(&format!("environ of {pid}"), &String::from_utf8_lossy(&environ), &needles));
        }
    };
    processes(&mut found);
    world.touch("go");
    world.wait_for(&id, "failed");
    found.extend(in_text("notices", &world.lines("notices").join("\n"), &needles));
    found.extend(in_text("redis", &super::secrets::everything_in_redis(&world), &needles));
    in_files(&world.home, &needles, &mut found);
    let (task, mut inbox) = (id.as_str(), String::new());
    for words in [
        &["status", "--json"][..],
        &["tasks", "--json"],
        &["agents", "--json"],
        &["events", "-n", "10000", "--json"],
        &["show", task, "--json"],
        &["show", "shell-1", "--json"],
        &["why", task, "--json"],
        &["logs", "--task", task, "--json"],
        &["logs", "--task", task, "-n", "10000"],
        &["logs", "shell-1"],
        &["inbox", "--json"],
        &["wait", task, "--json"],
        &["costs", "--json"],
        &["doctor", "--json"],
    ] {
        let output = world.orch(words);
        if words[0] == "inbox" {
            inbox.clone_from(&output.stdout);
        }
        found.extend(in_text(&words.join(" "), &(output.stdout + &output.stderr), &needles));
    }
    for session in world.sessions() {
        found.extend(in_text(&format!("pane of {session}"), &world.pane(&session), &needles));
        for words in [&["show-environment", "-t"][..], &["show-options", "-t"], &["list-panes", "-t"]] {
            let shown = world.tmux(&[words, &[&format!("={session}:")]].concat()).stdout;
            found.extend(in_text(&format!("{words:?} {session}"), &shown, &needles));
        }
    }
    for words in [&["show-environment", "-g"][..], &["show-options", "-g"], &["list-sessions"], &["show-buffer"]] {
        found.extend(in_text(&format!("{words:?}"), &world.tmux(words).stdout, &needles));
    }
    let places = arrived(&world, &id, &granted, &inbox);
    println!("planted: {} secrets in {} places, {} found", all.len(), places.len(), found.len());
    for (place, text) in &places {
        assert!(text.contains("[redacted]"), "{place}: {text}");
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
    world.stop_and_check_nothing_left();
}

/// Every place in which something was planted, with what is shown of it: it did arrive there, redacted.
fn arrived(world: &World, id: &str, granted: &Value, inbox: &str) -> Vec<(&'static str, String)> {
    let shown = world.show(id);
    let question = &shown["questions"][0];
    let subtask = world.show(shown["children"][0].as_str().unwrap_or_else(|| panic!("a subtask: {shown:#}")));
    let log = world.orch(&["logs", "--task", id, "-n", "10000"]).ok();
    let lines = |of: &str| log.lines().filter(|line| line.contains(of)).collect::<Vec<_>>().join("\n");
    let progress: Vec<String> = world.events_of("task.progress").iter().map(Value::to_string).collect();
    vec![
        ("a task's text", shown["description"].to_string()),
        ("its context", shown["context"].to_string()),
        ("its labels", shown["labels"].to_string()),
        ("its key", shown["key"].to_string()),
        ("its artifacts", shown["artifacts"].to_string()),
        ("a message to it", lines("received")),
        ("its program's output", lines("stdout")),
        ("its program's errors", lines("stderr")),
        ("its question", question["question"].to_string()),
        ("the answer to it", question["answer"].to_string()),
        ("its progress", progress.join("\n")),
        ("its result's text", shown["result"]["text"].to_string()),
        ("its result's data", shown["result"]["data"].to_string()),
        ("a subtask's text", subtask["description"].to_string()),
        ("its labels", subtask["labels"].to_string()),
        ("its key", subtask["key"].to_string()),
        ("a message to the master", inbox.to_owned()),
        ("what notify_command gets", world.lines("notices").join("\n")),
        ("the output of a role that may have a secret", granted["result"].to_string()),
        ("the output of a role that has one in its env", lines("SHOP_TOKEN")),
    ]
}
