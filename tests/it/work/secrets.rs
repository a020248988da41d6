//! A secret stays in the environment: it reaches no argument, Redis key, tmux option, file or log.

use std::{fs, path::Path};

use super::{delegated, text};
use crate::common::{World, gate, start};

const SECRET: &str = "s3cr3t-Zx9-value";

/// Appends every file below `dir` that contains the secret to `found`.
fn files_with_it(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_with_it(&path, found),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                if bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
                    found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
}

/// Returns all keys of the world's Redis and their values, as text.
pub(super) fn everything_in_redis(world: &World) -> String {
    let mut redis = world.redis();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis).unwrap();
    assert!(!keys.is_empty());
    let mut all = String::new();
    for key in keys {
        assert!(key.starts_with("orch:{w}:"), "{key} is outside the namespace");
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut redis).unwrap();
        let read: &[&str] = match kind.as_str() {
            "string" => &["GET"],
            "hash" => &["HGETALL"],
            "set" => &["SMEMBERS"],
            "zset" => &["ZRANGE", "0", "-1"],
            "list" => &["LRANGE", "0", "-1"],
            "stream" => &["XRANGE", "-", "+"],
            other => panic!("{key} is a {other}"),
        };
        let value: redis::Value = redis::cmd(read[0]).arg(&key).arg(&read[1..]).query(&mut redis).unwrap();
        all.push_str(&format!("{key} {value:?}\n"));
    }
    all
}

#[test]
fn a_secret_reaches_the_program_it_is_meant_for_and_nothing_else() {
    let world = World::builder()
        .tables("[roles.trusted]\ndriver = \"shell\"\nenv_from = [\"DEPLOY_TOKEN\"]\n[roles.other]\ndriver = \"shell\"")
        .build();
    let mut begin = world.orch_command(&["start"]);
    begin.env("DEPLOY_TOKEN", SECRET).env("DEPLOY_PLAIN", "plain");
    start(begin).end().ok();

    // The program prints the secret on both streams, in pieces, and in its result's text and data: each is redacted.
    let script = format!(
        "[ \"$DEPLOY_TOKEN\" = s3cr3t-'Zx9'-value ] && echo has it\n\
         echo \"out: $DEPLOY_TOKEN\"; echo \"err: $DEPLOY_TOKEN\" >&2\n\
         printf 's3cr3t-'; sleep 0.2; printf 'Zx9-value\\n'\n\
         printf '{{\"text\": \"it is %s\", \"data\": {{\"key\": [\"%s\"]}}}}' \"$DEPLOY_TOKEN\" \"$DEPLOY_TOKEN\" > \"$ORCH_RESULT\"\n{}",
        gate(&world.file("go"))
    );
    let id = delegated(&world, &["--role", "trusted", &script]);
    world.wait_until("the output is in the log", || world.orch(&["logs", "--task", &id]).stdout.contains("err:"));
    world.wait_until("all output is in the pane", || world.pane("trusted-1").matches("[redacted]").count() >= 3);
    // While it runs, other users of this machine could read arguments and tmux's environment.
    for process in world.processes() {
        assert!(!process.command.contains(SECRET), "{process:?}");
    }
    for words in [
        &["show-environment", "-g"][..],
        &["show-environment", "-t", "=trusted-1"],
        &["show-options", "-t", "=trusted-1:"],
    ] {
        let shown = world.tmux(words).stdout;
        assert!(!shown.contains(SECRET) && !shown.contains("DEPLOY_TOKEN"), "{words:?}: {shown}");
    }
    assert!(!world.pane("trusted-1").contains(SECRET));
    world.touch("go");
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "it is [redacted]");
    assert_eq!(task["result"]["data"]["key"][0], "[redacted]", "{task:#}");
    let log = world.orch(&["logs", "--task", &id, "-n", "100"]).ok();
    assert!(log.contains("has it") && log.matches("[redacted]").count() == 3 && !log.contains(SECRET), "{log}");

    // A role without `env_from` does not receive it, but does receive a variable that does not look like a secret.
    let other = delegated(&world, &["--role", "other", "echo \"<$DEPLOY_TOKEN> $DEPLOY_PLAIN\"; env > \"$HOME/env\""]);
    assert_eq!(text(&world.wait_for(&other, "succeeded")["result"]["text"]), "<> plain\n");
    assert!(!world.lines("env").iter().any(|line| line.contains(SECRET)));

    assert!(!everything_in_redis(&world).contains(SECRET));
    for words in [&["events", "-n", "1000", "--json"][..], &["status", "--json"], &["show", "trusted-1", "--json"]] {
        assert!(!world.orch(words).stdout.contains(SECRET), "{words:?}");
    }
    // The whole state folder, including the append-only file with every command that Redis received.
    let mut found = Vec::new();
    files_with_it(&world.home, &mut found);
    // The program itself wrote the secret into this file.
    found.retain(|path| !path.ends_with("/answer.json"));
    assert_eq!(found, [] as [String; 0]);
    world.stop_and_check_nothing_left();
}
