//! `orch drill`: short drills pass, and a drill in which a guarantee is broken fails.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Output, Process, Running, Signal, kill9, signal, start};

/// The temporary folder in which a test's drills create their worlds. Whatever they leave is found there.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("orch-e2e-").tempdir_in("/tmp").expect("a folder"))
    }

    /// `orch drill` with the environment of a user inside tmux, of another orch, and of an agent's task: it must ignore
    /// all.
    fn drill(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orch"));
        command.arg("drill").args(words).current_dir(self.0.path()).env("TMPDIR", self.0.path());
        command.env("TMUX", "/nonexistent/tmux,1,0").env("ORCH_HOME", "/nonexistent/home");
        command.env("ORCH_TASK", "t-7k2m9qx4hz").env("ORCH_CAPABILITY", "none").env("ORCH_AGENT", "a-1");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        start(self.drill(words)).end()
    }

    /// Returns the folders of the worlds in it.
    fn worlds(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.0.path()).expect("the folder").flatten().map(|entry| entry.path());
        all.filter(|path| path.is_dir()).collect()
    }

    fn check_nothing_left(&self) {
        assert_eq!(self.worlds(), Vec::<PathBuf>::new());
        let left = orch::os::of_folder(self.0.path()).expect("processes");
        assert!(left.is_empty(), "{:?}", left.iter().map(|p| orch::os::command_line(p.pid)).collect::<Vec<_>>());
    }

    /// Waits until the programs of the running drill have run, and returns the drill's state folder.
    fn world_at_work(&self, drill: &mut Running) -> PathBuf {
        let mut found = None;
        until("its tasks run", || {
            assert!(!drill.has_ended(), "the drill has ended before anything ran");
            let world = self.worlds().first().map(|root| root.join("w"));
            found = world.filter(|world| lines(&world.join("executions")).len() >= 2);
            found.is_some()
        });
        found.expect("a world")
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "timed out: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Returns the arguments of a small drill; `words` override its defaults.
fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--tasks", "12", "--agents", "4", "--duration", "2s"], words].concat()
}

fn passes(faults: &str, seed: &str) -> Value {
    let folder = Folder::new();
    let report = folder.run(&small(&["--json", "--seed", seed, "--faults", faults])).ended(0).json();
    assert_eq!(report["violations"], Value::Array(vec![]), "{report:#}");
    assert!(report["accepted"].as_u64() >= Some(12) && report["executions"].as_u64() > Some(0), "{report:#}");
    assert!(report["folder"].is_null() && report["timeline"].is_null());
    folder.check_nothing_left();
    report
}

fn injected(report: &Value) -> u64 {
    let faults = report["faults"].as_array().expect("faults");
    faults.iter().filter_map(|fault| fault["injected"].as_u64()).sum()
}

#[test]
fn nothing_is_lost_when_processes_are_killed() {
    let report = passes("kill-supervisor,kill-runner,kill-program,kill-redis,kill-all", "11");
    assert!(injected(&report) >= 3, "{report:#}");
    let supervisor = report["faults"].as_array().unwrap().iter().find(|f| f["fault"] == "kill-supervisor").unwrap();
    assert!(supervisor["p50_ms"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn nothing_is_lost_when_processes_are_stopped() {
    assert!(injected(&passes("stop", "12")) >= 2);
}

#[test]
fn nothing_is_lost_when_redis_and_tmux_fail() {
    assert!(injected(&passes("redis,tmux", "13")) >= 2);
}

#[test]
fn a_stopped_tmux_server_delays_no_decision() {
    let report = passes("tmux-stopped", "13");
    assert!(injected(&report) >= 1, "{report:#}");
    assert!(report["passes"]["max_held_up_ms"].as_u64().unwrap() <= 100, "{report:#}");
}

#[test]
fn nothing_is_lost_when_the_disk_is_full() {
    let least = u64::from(nix::unistd::geteuid().is_root());
    assert!(injected(&passes("disk", "21")) >= least);
}

#[test]
fn nothing_is_lost_when_people_interfere() {
    assert!(injected(&passes("people", "14")) >= 2);
}

#[test]
fn without_faults_no_attempt_is_lost_and_no_request_unanswered() {
    let report = passes("none", "15");
    assert_eq!((&report["attempts_lost"], &report["unanswered"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(report["faults"], Value::Array(vec![]));
}

#[test]
fn a_program_that_ran_twice_is_detected_and_the_timeline_is_kept() {
    let folder = Folder::new();
    let mut drill = start(folder.drill(&small(&["--seed", "16", "--faults", "none"])));
    let executions = folder.world_at_work(&mut drill).join("executions");
    let begin = lines(&executions).into_iter().find(|line| line.starts_with("begin ")).expect("an execution");
    let again = format!("{}\n", begin.replacen("begin ", "begin 1", 1));
    let mut file = std::fs::OpenOptions::new().append(true).open(&executions).expect("executions");
    std::io::Write::write_all(&mut file, again.as_bytes()).expect("a line");

    let output = drill.end().ended(1).stdout;
    assert!(
        output.contains("an attempt runs once") && output.contains("orch drill --seed 16 --faults none"),
        "{output}"
    );
    let timeline = output.lines().find_map(|line| line.strip_prefix("timeline: ")).expect("a timeline");
    let text = std::fs::read_to_string(timeline).expect("the timeline");
    for part in ["VIOLATION an attempt runs once", "task.succeeded", "supervisor.started"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(folder.worlds().len(), 1, "the folder is kept");
    assert_eq!(orch::os::of_folder(folder.0.path()).expect("processes"), []);
}

#[test]
fn an_unexpected_end_of_the_supervisor_is_detected() {
    let folder = Folder::new();
    let mut drill = start(folder.drill(&small(&["--seed", "17", "--faults", "none"])));
    let world = folder.world_at_work(&mut drill);
    let holder = orch::os::read_lock_holder(&world.join("home/supervisor.lock")).expect("a supervisor");
    kill9(holder.pid);
    let output = drill.end().ended(1).stdout;
    assert!(output.contains("no supervisor ends unexpectedly"), "{output}");
}

#[test]
fn a_leftover_process_is_detected_and_killed() {
    let folder = Folder::new();
    let mut drill = start(folder.drill(&small(&["--seed", "19", "--faults", "none"])));
    let world = folder.world_at_work(&mut drill);
    let mut left = Command::new("sleep").arg("601").current_dir(&world).spawn().expect("sleep");
    let output = drill.end().ended(1).stdout;
    assert!(output.contains(&format!("orch stop leaves nothing behind: process {}: sleep 601", left.id())), "{output}");
    assert!(!left.wait().expect("its end").success());
}

#[test]
fn an_interrupted_drill_leaves_nothing() {
    let folder = Folder::new();
    let mut drill = start(folder.drill(&["--seed", "18"]));
    folder.world_at_work(&mut drill);
    let pid = Process::of(drill.pid()).expect("the drill").pid;
    signal(pid, Signal::SIGINT);
    assert!(drill.end().ended(1).stderr.contains("interrupted"));
    folder.check_nothing_left();
}

#[test]
fn every_fault_is_listed_with_its_description() {
    let folder = Folder::new();
    let list = folder.run(&["--list"]).ok();
    let json = folder.run(&["--list", "--json"]).ended(0).json();
    for fault in json.as_array().expect("a list") {
        let (name, what) = (fault["fault"].as_str().expect("name"), fault["what"].as_str().expect("what"));
        assert!(list.lines().any(|line| line.starts_with(name) && line.contains(what)), "{name}: {list}");
    }
    assert!(json.as_array().is_some_and(|all| all.len() >= 19));
    let mut narrow = folder.drill(&["--list"]);
    narrow.env("COLUMNS", "40");
    let narrow = start(narrow).end().ok();
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    assert!(narrow.contains("session") && !narrow.contains('…'), "nothing is cut off:\n{narrow}");
}

#[test]
fn invalid_arguments_are_a_usage_error() {
    let folder = Folder::new();
    for (words, part) in [
        (vec!["--faults", "kil"], "did you mean 'kill'"),
        (vec!["--faults", ""], "there is no fault"),
        (vec!["--tasks", "0"], "1 to"),
        (vec!["--agents", "many"], "1 to"),
        (vec!["--duration", "5"], "unit"),
        (vec!["--duration", "1ms"], "at least"),
        (vec!["--seed", "x"], "--seed"),
        (vec!["--rate", "0"], "more than 0"),
        (vec!["now"], "now"),
    ] {
        let output = folder.run(&words).ended(2).stderr;
        assert!(output.contains(part), "{words:?}: {output}");
    }
    folder.check_nothing_left();
}

#[test]
fn without_tmux_it_reports_that_and_leaves_nothing() {
    let folder = Folder::new();
    let mut drill = folder.drill(&[]);
    drill.env("PATH", "/nonexistent");
    let output = start(drill).end().ended(4).stderr;
    assert!(output.contains("tmux"), "{output}");
    folder.check_nothing_left();
}
