//! The workload of a drill: a mixture of small tasks, drawn from the seed and delegated with the real command line.
//!
//! The tasks' programs are shell scripts that append their start and their imminent end to one file. This file shows
//! what ran, independent of orch's records.

use std::time::Duration;

use super::rng::Rng;

/// The script of every task; it is in the world's folder as `task`.
pub(super) const SCRIPT: &str = r#"# What a task of a drill is made of: it notes that it has begun, does its part, and notes how it is about to end.
# Until there is one: the drill may have killed it.
now() { at=; until [ -n "$at" ]; do at=$(date +%s%3N); done; }
note() { printf '%s\n' "$*" >>"$DRILL/executions"; }
now
run="$$-$at"
note "begin $run $ORCH_AGENT $ORCH_CAPABILITY"
ends() { now; note "end $run $at $1 $2"; exit "$1"; }

# Each attempt says what it has used. Where the disk is full, it says nothing.
usage='{"usage": {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.01}}'
{ echo "$usage" >"$ORCH_RESULT.new" && mv "$ORCH_RESULT.new" "$ORCH_RESULT"; } 2>/dev/null || rm -f "$ORCH_RESULT.new"

plain() { echo "ran $run"; ends 0 "ran $run"; }
# What it has started in a session of its own would outlive it for long.
slow() { setsid sleep 600 & sleep "$1"; plain; }
# Leaves processes behind that do not want to end.
litter() {
    (trap '' TERM HUP; sleep 600; sleep 600) & (setsid nohup sleep 600 &) >/dev/null 2>&1
    sleep 0.3
    plain
}
much() { head -c 150000 /dev/zero | tr '\0' x; echo; echo "so much" >&2; ends 0; }
# Fails so many times, then works.
fails() { [ "$ORCH_ATTEMPT" -gt "$1" ] || ends "$2"; plain; }
always() { echo "no" >&2; ends "$1"; }

subtask() {
    child=$(orch delegate --json --role "$1" "$2") || ends 75
    now
    note "ack $at $child"
    child=${child#*\"id\":\"} child=${child%%\"*}
}
# Two subtasks at once: one that is waited for by itself, one within its delegate.
parent() {
    subtask worker '. "$DRILL/task"; slow 0.1'
    orch delegate --role worker --wait '. "$DRILL/task"; plain' >/dev/null || ends 75
    orch wait "$child" >/dev/null || ends 75
    plain
}
# What only a person or another agent may do: each success is a breach.
tries() { if "$@" >/dev/null 2>&1; then printf '%s\n' "$ORCH_AGENT: $*" >>"$DRILL/breaches"; fi; }
hostile() {
    for verb in stop drain pause "pause lead" "resume lead" "scale worker 1" "spawn lead" "kill opus-master"; do
        tries timeout 2 orch $verb
    done
    for socket in $(ls "$ORCH_HOME"/sockets/*.sock | head -3); do
        if [ "$socket" != "$ORCH_SOCKET" ]; then ORCH_SOCKET=$socket tries timeout 2 orch status; fi
    done
    tries redis-cli -s "$ORCH_HOME/redis/redis.sock" -e set breach 1
    plain
}
deep() {
    subtask lead '. "$DRILL/task"; parent'
    orch wait "$child" >/dev/null || ends 75
    plain
}
"#;

/// A plan whose tasks run [`SCRIPT`]; it is in the world's folder as `plan.toml`.
pub(super) const PLAN: &str = r#"name = "drill"
max_parallel = 2
[tasks.first]
role = "worker"
text = '. "$DRILL/task"; plain'
[tasks.fails]
role = "worker"
text = '. "$DRILL/task"; fails 1 75'
[tasks.both]
role = "worker"
after = ["first", "fails"]
text = '. "$DRILL/task"; slow 0.2'
[tasks.never]
role = "worker"
after = ["first"]
text = '. "$DRILL/task"; always 65'
[tasks.instead]
role = "worker"
after = [{ task = "never", when = "failed" }]
text = '. "$DRILL/task"; plain'
[tasks.skipped]
role = "worker"
after = ["both", { task = "never", on_failure = "skip" }]
text = '. "$DRILL/task"; plain'
[tasks.last]
role = "worker"
after = [{ task = "skipped", when = "done" }, "instead"]
text = '. "$DRILL/task"; plain'
"#;
/// The part of a job that submits [`PLAN`].
pub(super) const PLANNED: &str = "plan";

/// The process that [`SCRIPT`] leaves behind in every possible way.
pub(super) const LITTER: &str = "sleep 600";

/// A planned task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    /// The time since the beginning of the drill.
    pub at: Duration,
    pub role: &'static str,
    /// The arguments of [`SCRIPT`].
    pub part: String,
    pub priority: &'static str,
    pub retries: Option<u32>,
    /// The idempotency key with which it is delegated twice at the same time.
    pub key: Option<String>,
    /// The earlier job on which it depends.
    pub after: Option<usize>,
    /// The paths that it writes, and those that it reads.
    pub writes: Option<&'static str>,
    pub reads: Option<&'static str>,
}

/// What jobs lock: each conflicts with some of the others.
const PATHS: [&str; 6] = ["src/a.rs", "src/b.rs", "src/*.rs", "docs", "{src,docs}/**", "."];

impl Job {
    /// Returns the text that is delegated.
    pub fn text(&self) -> String {
        text(&self.part)
    }

    /// Returns the arguments of `orch delegate`; `after` is the task of the earlier job.
    pub fn words(&self, after: Option<&str>) -> Vec<String> {
        let mut words = delegate(self.role, self.priority);
        words.extend(self.retries.iter().flat_map(|n| ["--retries".to_owned(), n.to_string()]));
        words.extend(self.key.iter().flat_map(|key| ["--key".to_owned(), key.clone()]));
        words.extend(self.writes.iter().flat_map(|path| ["--writes".to_owned(), (*path).to_owned()]));
        words.extend(self.reads.iter().flat_map(|path| ["--reads".to_owned(), (*path).to_owned()]));
        words.extend(after.iter().flat_map(|task| ["--after".to_owned(), (*task).to_owned()]));
        words.push(self.text());
        words
    }
}

/// Returns the text of a task whose program runs [`SCRIPT`] with these arguments.
pub(super) fn text(part: &str) -> String {
    format!(". \"$DRILL/task\"; {part}")
}

/// Returns the arguments of an `orch delegate` without the text.
pub(super) fn delegate(role: &str, priority: &str) -> Vec<String> {
    ["delegate", "--json", "--role", role, "--priority", priority].map(str::to_owned).into()
}

/// Returns a drill's tasks, in the order in which they are delegated: some at the beginning, the others over its
/// duration.
pub(super) fn jobs(seed: u64, n: usize, duration: Duration) -> Vec<Job> {
    let mut rng = Rng::new(seed, 2);
    let mut times: Vec<Duration> = (0..n)
        .map(|i| if i < n / 4 { Duration::ZERO } else { rng.ms(0, duration.as_millis() as u64 * 9 / 10) })
        .collect();
    times.sort();
    times.into_iter().enumerate().map(|(i, at)| job(&mut rng, i, at)).collect()
}

fn job(rng: &mut Rng, i: usize, at: Duration) -> Job {
    let (role, part) = match rng.below(100) {
        0..34 => ("worker", "plain".to_owned()),
        34..54 => ("worker", format!("slow 0.{}", 1 + rng.below(8))),
        54..62 => ("worker", "litter".to_owned()),
        62..66 => ("worker", "much".to_owned()),
        66..78 => ("worker", format!("fails {} {}", 1 + rng.below(2), [1, 75][rng.below(2)])),
        78..82 => ("worker", "always 65".to_owned()),
        82..85 => ("worker", "always 75".to_owned()),
        85..88 => ("worker", "fails 1 77".to_owned()),
        88..94 => ("lead", "parent".to_owned()),
        94..97 => ("lead", "deep".to_owned()),
        _ => ("worker", PLANNED.to_owned()),
    };
    let retries = match part.as_str() {
        "always 75" => Some(1),
        // The commands it calls may find Redis unreachable.
        "parent" | "deep" => Some(8),
        _ => None,
    };
    Job {
        at,
        role,
        part,
        priority: ["normal", "normal", "high", "low"][rng.below(4)],
        retries,
        key: rng.chance(12).then(|| format!("key-{i}")),
        after: (i > 0 && rng.chance(15)).then(|| i - 1 - rng.below(i.min(4))),
        writes: rng.chance(20).then(|| PATHS[rng.below(PATHS.len())]),
        reads: rng.chance(10).then(|| PATHS[rng.below(PATHS.len())]),
    }
}

/// Returns tasks at a constant rate, for [`steady`](super::steady).
pub(super) fn even(n: usize, duration: Duration) -> Vec<Job> {
    let job = |i: usize| Job {
        at: duration.mul_f64(i as f64 / n as f64),
        role: "worker",
        part: if i.is_multiple_of(10) { "slow 0.5".to_owned() } else { "plain".to_owned() },
        priority: "normal",
        retries: None,
        key: None,
        after: None,
        writes: None,
        reads: None,
    };
    (0..n).map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_workload_with_every_kind_of_task() {
        let one = jobs(3, 400, Duration::from_secs(20));
        assert_eq!(one, jobs(3, 400, Duration::from_secs(20)));
        for part in [
            "plain",
            "slow",
            "litter",
            "much",
            "fails",
            "always 65",
            "always 75",
            "fails 1 77",
            "parent",
            "deep",
            PLANNED,
        ] {
            assert!(one.iter().any(|job| job.part.starts_with(part)), "{part}");
        }
        assert!(one.iter().any(|j| j.key.is_some()) && one.iter().any(|j| j.after.is_some()));
        assert!(one.iter().any(|j| j.writes.is_some()) && one.iter().any(|j| j.reads.is_some()));
        assert!(
            one.iter().enumerate().all(|(i, j)| j.after.is_none_or(|earlier| earlier < i)),
            "dependencies have no cycles"
        );
        assert!(one.windows(2).all(|w| w[0].at <= w[1].at) && one[399].at < Duration::from_secs(20));
    }

    #[test]
    fn the_plan_is_toml_with_the_task_that_others_wait_for() {
        let plan: toml::Table = PLAN.parse().unwrap();
        let tasks = plan["tasks"].as_table().unwrap();
        assert!(tasks.len() == 7 && tasks.contains_key("last"));
    }

    #[test]
    fn the_script_leaves_the_process_that_is_searched_for() {
        assert!(SCRIPT.matches(LITTER).count() >= 3);
    }

    #[test]
    fn a_hostile_program_writes_down_what_it_has_achieved() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{SCRIPT}\ntries false\ntries true x\ntries sh -c 'exit 3'\n");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]).env("DRILL", folder.path()).env("ORCH_AGENT", "a-1");
        command.status().unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("breaches")).unwrap(), "a-1: true x\n");
    }

    #[test]
    fn the_arguments_are_valid_for_the_command_line() {
        let job = Job { after: Some(0), key: Some("k".into()), ..jobs(1, 2, Duration::from_secs(1))[1].clone() };
        let mut words: Vec<std::ffi::OsString> = vec!["orch".into()];
        words.extend(job.words(Some("t-7k2m9qx4hz")).into_iter().map(Into::into));
        assert!(words.contains(&"--after".into()) && words.contains(&"--key".into()));
        assert!(words.last().unwrap().to_string_lossy().contains("$DRILL/task"));
    }
}
