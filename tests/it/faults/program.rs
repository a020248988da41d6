//! Agent programs that misbehave, hang or are killed: each attempt ends with the right cause, and leaves nothing
//! behind.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{ORPHAN, causes, only_once, orphans, orphans_left};
use crate::common::{World, append, forever, gate, kill9};

/// Delegates a script that is retried at most once, and returns the task after it has ended.
#[track_caller]
fn done(world: &World, script: &str) -> Value {
    let id = world.delegate("shell", script);
    let waited = world.orch(&["wait", &id, "--timeout", "60s"]);
    assert!(matches!(waited.code, 0 | 1), "{waited:#?}");
    world.show(&id)
}

fn succeeded(task: &Value, text: &str) {
    assert_eq!((&task["state"], &task["result"]["text"]), (&json!("succeeded"), &json!(text)), "{task:#}");
    assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "{task:#}");
}

/// A program whose only process changes all the time: each process starts the next one in a session of its own, and
/// exits. All of them ignore the polite signals.
const HOPS: &str =
    "trap '' TERM HUP INT; n=$1; [ $n = 0 ] && exec sleep 76543; setsid \"$0\" $((n - 1)) & [ $n = 1 ] && wait";

fn hops_left(world: &World) -> usize {
    let is_one = |command: &str| command.contains("/bin/hop ") || command.contains("sleep 76543");
    world.processes().iter().filter(|p| is_one(&p.command)).count()
}

#[test]
fn a_program_that_hops_from_process_to_process_is_caught() {
    let world = World::started("[roles.shell]\nmax = 1");
    world.program("hop", HOPS);
    let task = done(&world, "hop 1000 >/dev/null 2>&1 & sleep 0.1; echo done");
    succeeded(&task, "done\n");
    assert_eq!(hops_left(&world), 0, "the end is reported only after everything is gone");

    // The same after its runner was killed.
    let task = world.delegate("shell", "[ $ORCH_ATTEMPT = 2 ] && exit; hop 1000 >/dev/null 2>&1 & sleep 1000");
    world.wait_until("the program runs", || hops_left(&world) > 0);
    kill9(world.runner_pid("shell-1"));
    assert_eq!(world.wait_for(&task, "succeeded")["lost"], 1);
    world.wait_until("no process is left", || hops_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_forks_in_a_loop_is_ended_with_all_its_processes() {
    let world = World::started("[roles.shell]\nmax = 1");
    let child = "setsid sh -c 'trap \"\" TERM HUP; sleep 76543; sleep 76543' >/dev/null 2>&1 &";
    let script = format!("i=0; while [ $i -lt 100 ]; do {child} i=$((i + 1)); done; echo done");
    succeeded(&done(&world, &script), "done\n");
    assert_eq!(hops_left(&world), 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_hundred_megabytes_without_a_line_end_cost_no_memory() {
    let world = World::started("[roles.shell]\nmax = 1");
    let id = world.delegate("shell", "head -c 100000000 /dev/zero | tr '\\0' x");
    let task = world.wait_for(&id, "succeeded");
    let result = &task["result"];
    assert_eq!((&result["truncated"], result["text"].as_str().unwrap().len()), (&json!(true), 64 * 1024));
    let kib = world.runner_peak("shell-1");
    assert!(kib < 16 * 1024, "the runner had {kib} KiB");
    let last = world.orch(&["logs", "--task", &id, "-n", "1"]).ok();
    assert!(last.len() < 70_000 && last.contains("xxx"), "{}", last.len());
}

#[test]
fn bytes_that_are_not_text_are_shown_as_text() {
    let world = World::started("[roles.shell]\nmax = 1");
    // Invalid UTF-8, C1 controls as bytes and as characters, a NUL, a truncated character, and terminal escape
    // sequences, on both streams.
    let bytes = r"\377\376 \300\257 \355\240\200 \000 \233\061m \302\2332J \033]0;title\007 \033P1;2|x\033\\ \033[6n \360\237\230";
    let id = world.delegate("shell", &format!("printf 'out {bytes}'; printf 'err {bytes}' >&2; exit 65"));
    world.wait_for(&id, "failed");
    for words in [&["logs", "--task", &id][..], &["result", &id], &["show", &id], &["why", &id], &["events"]] {
        for json in [&[][..], &["--json"]] {
            let words = [words, json].concat();
            let output = world.orch_command(&words).stdin(Stdio::null()).output().unwrap();
            let shown = String::from_utf8(output.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}"));
            let bad = shown.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            assert!(bad.is_none() && !shown.is_empty(), "{words:?}: {bad:?} in {shown:?}");
        }
    }
}

#[test]
fn a_program_that_closes_its_output_keeps_running() {
    let world = World::started("[roles.shell]\nmax = 1");
    let script = format!("echo first; exec >&- 2>&-; {}; exit 0", gate(&world.file("go")));
    let id = world.delegate("shell", &script);
    world.wait_for(&id, "running");
    world.wait_until("the first line is in the log", || world.orch(&["logs", "--task", &id]).stdout.contains("first"));
    // Its runner waits without polling.
    let runner = world.runner_pid("shell-1");
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{runner}/stat")).unwrap();
        let fields: Vec<u64> = stat.rsplit(')').next().unwrap().split_whitespace().flat_map(str::parse).collect();
        fields[10] + fields[11]
    };
    let (before, began) = (ticks(), Instant::now());
    world.wait_until("some time has passed", || began.elapsed() > Duration::from_secs(1));
    assert!(ticks() - before < 30, "the runner used {} ticks", ticks() - before);
    world.touch("go");
    succeeded(&world.wait_for(&id, "succeeded"), "first\n");
}

#[test]
fn a_program_that_does_not_read_its_input_succeeds() {
    let world = World::started("[roles.deaf]\ncommand = [\"sh\", \"-c\", \"echo done\"]");
    let text = "x".repeat(1 << 20);
    let id = crate::common::feed(world.orch_command(&["delegate", "--role", "deaf", "--json", "-"]), text.as_bytes());
    succeeded(&world.wait_for(id.json()["id"].as_str().unwrap(), "succeeded"), "done\n");
}

/// No person reads the terminal of an agent's program. The kernel would stop a program that asks there anyway (sudo,
/// ssh, git), without any report.
#[test]
fn a_program_that_reads_the_terminal_fails_instead_of_hanging() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = done(&world, "if read answer < /dev/tty; then echo \"got $answer\"; else echo refused; fi 2>/dev/null");
    succeeded(&task, "refused\n");
    let task = done(&world, "stty -echo < /dev/tty; stty echo < /dev/tty; echo done");
    succeeded(&task, "done\n");
}

#[test]
fn a_program_that_stops_itself_ends_at_its_timeout() {
    let world = World::started("[roles.shell]\nmax = 1");
    let id =
        world.orch_json(&["delegate", "--timeout", "1s", "--retries", "0", "kill -STOP $$; sleep 1000"])["id"].clone();
    let task = world.wait_for(id.as_str().unwrap(), "failed");
    assert_eq!(task["cause"], "timeout", "{task:#}");
    world.stop_and_check_nothing_left();
}

#[test]
fn every_signal_that_ends_a_program_is_a_lost_attempt_with_its_name() {
    let world = World::started("[roles.shell]\nmax = 4");
    // Every signal that ends a process by default.
    let deadly = (1..=31).filter(|signal| ![17, 18, 19, 20, 21, 22, 23, 28].contains(signal));
    let script = |signal| format!("ulimit -c 0; [ $ORCH_ATTEMPT = 2 ] || kill -{signal} $$; echo done");
    let tasks: Vec<(i32, String)> = deadly.map(|signal| (signal, world.delegate("shell", &script(signal)))).collect();
    for (signal, task) in &tasks {
        let shown = world.wait_for(task, "succeeded");
        let first = &shown["attempts"][0];
        assert_eq!((&first["cause"], &shown["lost"]), (&json!("lost"), &json!(1)), "{shown:#}");
        let name = nix::sys::signal::Signal::try_from(*signal).unwrap();
        assert!(first["reason"].as_str().unwrap().contains(&format!("signal {signal} {name}")), "{shown:#}");
    }
    assert_eq!(tasks.len(), 23);
}

#[test]
fn every_exit_code_is_recorded_with_its_cause() {
    let world = World::started("[roles.shell]\nmax = 4\nretry = { retries = 0 }");
    let codes = [1, 2].into_iter().chain(64..=78).chain([126, 127, 128, 129, 137, 143, 254, 255]);
    let tasks: Vec<(i32, String)> =
        codes.map(|code| (code, world.delegate("shell", &format!("exit {code}")))).collect();
    for (code, task) in &tasks {
        let (state, cause) = match code {
            65 => ("failed", "permanent"),
            77 => ("held", "needs_person"),
            _ => ("failed", "transient"),
        };
        let shown = world.wait_for(task, state);
        let only = &shown["attempts"][0];
        assert_eq!((&only["cause"], &only["exit_code"]), (&json!(cause), &json!(code)), "{shown:#}");
    }
}

/// A program may change its attempt's folder. Whatever it does there, the attempt ends, and its output counts.
#[test]
fn a_program_that_damages_its_attempts_folder_blocks_nothing() {
    let world = World::started("[roles.shell]\nmax = 1");
    let dir = "cd \"$(dirname \"$ORCH_RESULT\")\"";
    for spoil in [
        "rm -rf ../*",
        "mkdir result.json",
        "mkfifo output output.index",
        "ln -s /dev/zero output.index; ln -s /dev/zero output",
        "rm prompt context.json; mkdir output output.index",
        "echo '1 o 18446744073709551615' > output.index",
    ] {
        let task = done(&world, &format!("{dir} && {spoil}; echo printed"));
        succeeded(&task, "printed\n");
        let id = task["id"].as_str().unwrap();
        let mut logs = world.orch_started(&["logs", "--task", id]);
        world.wait_until(&format!("{spoil}: `orch logs` returns"), || logs.has_ended());
        assert_ne!(logs.end().code, 70, "{spoil}");
    }
    let reports: Vec<_> = fs::read_dir(world.home.join("reports")).unwrap().flatten().collect();
    assert!(reports.is_empty(), "each report is sent once and then removed: {reports:?}");
    let agent = world.events_of("agent.failed");
    assert_eq!(agent, [] as [Value; 0]);
    let forever = world.delegate("shell", forever());
    world.wait_for(&forever, "running");
    world.stop_and_check_nothing_left();
}

#[test]
fn the_same_agent_retries_a_killed_program() {
    let world = World::started("[roles.shell]\nmax = 1");
    let task = world.delegate("shell", &only_once(&format!("{}; exec {ORPHAN}", append(&world.file("pid"), "$$"))));
    world.wait_until("the program runs", || orphans_left(&world) == 1);
    let runner = world.runner_pid("shell-1");
    kill9(world.lines("pid")[0].parse().unwrap());
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("signal 9"), "{shown:#}");
    assert_eq!(world.runner_pid("shell-1"), runner);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_silent_sleeping_program_counts_as_hung() {
    let world = World::started("[roles.shell]\nmax = 1\nstall_timeout = \"1s\"");
    let task = world.delegate("shell", &only_once(&format!("exec {ORPHAN}")));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(causes(&shown), ["lost", "success"]);
    assert!(shown["attempts"][0]["reason"].as_str().unwrap().contains("stall_timeout"), "{shown:#}");
    world.wait_until("no process of the attempt is left", || orphans_left(&world) == 0);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_program_that_computes_or_waits_for_its_subtasks_is_not_hung() {
    let world = World::started(
        "[roles.shell]\nstall_timeout = \"1500ms\"\n[roles.patient]\ndriver = \"shell\"\nstall_timeout = \"1h\"",
    );
    let busy = world.delegate("shell", "timeout 4 sh -c 'while :; do :; done'; echo computed");
    let parent = world.delegate("shell", "orch delegate --role patient --wait 'sleep 4; echo waited'");
    let busy = world.wait_for(&busy, "succeeded");
    let parent = world.wait_for(&parent, "succeeded");
    assert_eq!((causes(&busy), causes(&parent)), (vec!["success"], vec!["success"]));
    world.stop_and_check_nothing_left();
}

#[test]
fn processes_that_a_program_leaves_behind_end_with_its_attempt() {
    let world = World::started("[roles.shell]\nmax = 1");
    let wait = format!("until [ \"$(wc -l < '{}')\" = 3 ]; do sleep 0.05; done", world.file("orphans").display());
    let task = world.delegate("shell", &format!("{}{wait}; echo done", orphans(&world)));
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "done\n");
    assert_eq!(orphans_left(&world), 0, "the end is reported only after everything is gone");
    world.stop_and_check_nothing_left();
}
