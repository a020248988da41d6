//! `orch hook`, called as an agent's program calls it.

use serde_json::{Value, json};

use crate::common::{Output, World, feed, kill9};

const MASTER: &str = "opus-master";

/// Calls it as the master's program does.
fn hook(world: &World, event: &str) -> Output {
    world.as_master(&["hook", "claude"], &json!({ "hook_event_name": event, "tool_name": "Bash" }).to_string())
}

/// What the model reads of a hook's answer.
fn handed(told: &Value) -> &str {
    told["hookSpecificOutput"]["additionalContext"].as_str().unwrap_or_default()
}

fn noted(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(world.home.join("agents").join(MASTER).join("hooks.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn messages_are_delivered_once_even_after_an_interrupted_hook() {
    let world = World::with_obedient_master("");
    world.orch(&["send", MASTER, "the tests are green"]).ended(0);
    assert_eq!(hook(&world, "PreToolUse").ok(), "", "not in the middle of a turn");
    // What a hook leaves that was killed after it had read.
    let left = world.home.join("agents").join(MASTER).join("handing");
    let told: Value = serde_json::from_str(&hook(&world, "Stop").ok()).expect("JSON");
    assert!(handed(&told).contains("the tests are green") && told["decision"].is_null(), "{told}");
    assert!(!left.exists());
    assert_eq!(hook(&world, "Stop").ok(), "", "once");

    world.orch(&["send", MASTER, "the docs are read"]).ended(0);
    std::fs::write(&left, "a-token").expect("written");
    assert_eq!(hook(&world, "PreToolUse").ok(), "");
    assert!(left.exists(), "whoever hands over nothing settles nothing");
    assert!(world.as_master(&["inbox"], "").ok().contains("the docs are read"));
    assert!(!left.exists(), "read by the program itself, with the same token");
    assert_eq!(hook(&world, "Stop").ok(), "");
    let kinds: Vec<Value> = noted(&world).into_iter().map(|line| line["hook"].clone()).collect();
    assert_eq!(kinds, ["tool_call", "goes_on", "ended", "tool_call", "ended"]);
    world.stop_and_check_nothing_left();
}

#[test]
fn the_master_is_not_told_again_of_ends_that_it_has_waited_for() {
    let world = World::with_obedient_master("");
    let as_master = |words: &[&str]| world.as_master(words, "").stdout.trim().to_owned();
    let delegate = |text: &str| as_master(&["delegate", "--role", "shell", text]);
    let (one, two) = (delegate("echo one"), delegate("echo two"));
    as_master(&["wait", &one, &two]);
    assert_eq!(hook(&world, "Stop").ok(), "", "each told would be a turn of the model's more");
    let alone = delegate("echo three");
    world.wait_for(&alone, "succeeded");
    as_master(&["wait", &one]);
    let told: Value = serde_json::from_str(&hook(&world, "Stop").ok()).expect("JSON");
    let text = handed(&told);
    assert!(text.contains(") succeeded: three") && !text.contains(") succeeded: one"), "{told}");
    world.stop_and_check_nothing_left();
}

#[test]
fn hooks_are_recorded_while_the_configuration_is_invalid() {
    let world = World::with_obedient_master("");
    std::fs::write(world.project.join("sessions.toml"), "[half a ta").expect("written");
    assert_eq!(hook(&world, "Stop").ok(), "");
    assert_eq!(noted(&world).len(), 1);
    assert_eq!(hook(&world, "Nonsense").ok(), "");
    assert_eq!(noted(&world).len(), 1);
    let elsewhere = World::new();
    // 2 would keep the program from what it does.
    let by_a_person = feed(elsewhere.orch_command(&["hook", "claude"]), br#"{"hook_event_name":"Stop"}"#);
    assert!(by_a_person.ended(1).stderr.contains("called by the program of an agent"));
}

/// A master's stand-in: it waits for a file before each of its turns, and takes another one's place in the middle of one.
const TURNS: &str = r#"
tell() { printf '{"hook_event_name":"%s",%s}' "$1" "$2" | orch hook claude > /dev/null; }
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
answer() { echo '{"type":"assistant","timestamp":"'${2:-$(now)}'","message":{"id":"'$1'","usage":{"input_tokens":10,"output_tokens":5}}}'; }
R=$HOME/.claude/projects/p
mkdir -p $R
# The conversation is an old one, which somebody else has led.
[ -e $R/record.jsonl ] || answer m0 2020-01-01T00:00:00Z >> $R/record.jsonl
tell SessionStart "\"session_id\":\"s-1\",\"source\":\"startup\",\"transcript_path\":\"$R/record.jsonl\""
turn() {
    until [ -e ../turn-$1 ]; do sleep 0.05; done
    tell UserPromptSubmit '"prompt":"go on"'
    # The last that it has said is written down after the end is told.
    [ $1 = 2 ] || tell Stop '"last_assistant_message":"done"'
    answer m$1 >> $R/record.jsonl
}
[ -e ../turn-1 ] || turn 1
[ -e ../turn-2 ] || { turn 2; touch ../in-the-middle; }
# An agent within it, whose words are kept apart.
until [ -e ../turn-3 ]; do sleep 0.05; done
mkdir -p $R/record/subagents
answer s1 >> $R/record/subagents/agent-1.jsonl
turn 3
while :; do sleep 0.05; done
"#;

#[test]
fn the_masters_usage_is_counted_once_without_a_task() {
    let world = World::builder().master_driver("claude").build();
    world.program("claude", TURNS);
    world.start();
    let used = |by: &str| {
        let rows = world.orch_json(&["costs", "--by", by])["rows"].take();
        let names = [MASTER, "opus"];
        let row =
            rows.as_array().and_then(|rows| rows.iter().find(|row| names.iter().any(|name| row["name"] == *name)));
        row.map_or(0, |row| row["input_tokens"].as_u64().expect("a number"))
    };
    assert_eq!(used("agent"), 0);
    world.touch("turn-1");
    world.wait_until("the first turn is counted", || used("agent") == 10);
    world.touch("turn-2");
    world.wait_until("it is in the middle of the second", || world.file("in-the-middle").exists());
    // Its runner dies with it, and the next one knows nothing but the record.
    kill9(world.runner_pid(MASTER));
    world.touch("turn-3");
    world.wait_until("three answers and a subagent's are counted", || used("agent") == 40);
    assert_eq!((used("agent"), used("role")), (40, 40));
    assert_eq!(world.orch_json(&["costs"])["total"]["output_tokens"], 20);
    world.stop_and_check_nothing_left();
}
