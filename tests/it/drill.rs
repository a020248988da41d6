//! `orch drill`: short drills pass, and a drill in which a guarantee is broken fails.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Output, Process, Running, Signal, kill9, signal, start};

/// Where a test's drills make their worlds: what they leave is seen.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::Builder::new().prefix("orch-e2e-").tempdir_in("/tmp").expect("a folder"))
    }

    /// As a person may call it who is at work with another orch, within tmux, in an agent's task.
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

    /// The folders of its worlds.
    fn worlds(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.0.path()).expect("the place").flatten().map(|entry| entry.path());
        all.filter(|path| path.is_dir()).collect()
    }

    fn check_nothing_left(&self) {
        assert_eq!(self.worlds(), Vec::<PathBuf>::new());
        let left = orch::os::of_folder(self.0.path()).expect("processes");
        assert!(left.is_empty(), "{:?}", left.iter().map(|p| orch::os::command_line(p.pid)).collect::<Vec<_>>());
    }

    /// The state folder of the one drill that runs, once it has programs that have run.
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
        assert!(began.elapsed() < Duration::from_secs(30), "it did not come to this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A small one; further words win.
fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--tasks", "12", "--agents", "4", "--duration", "2s"], words].concat()
}

fn passes(faults: &str, seed: &str) -> Value {
    let place = Place::new();
    let report = place.run(&small(&["--json", "--seed", seed, "--faults", faults])).ended(0).json();
    assert_eq!(report["violations"], Value::Array(vec![]), "{report:#}");
    assert!(report["accepted"].as_u64() >= Some(12) && report["executions"].as_u64() > Some(0), "{report:#}");
    assert!(report["folder"].is_null() && report["timeline"].is_null());
    place.check_nothing_left();
    report
}

fn injected(report: &Value) -> u64 {
    let faults = report["faults"].as_array().expect("faults");
    faults.iter().filter_map(|fault| fault["injected"].as_u64()).sum()
}

#[test]
fn nothing_is_lost_where_processes_are_killed() {
    let report = passes("kill-supervisor,kill-runner,kill-program,kill-redis,kill-all", "11");
    assert!(injected(&report) >= 3, "{report:#}");
    let supervisor = report["faults"].as_array().unwrap().iter().find(|f| f["fault"] == "kill-supervisor").unwrap();
    assert!(supervisor["p50_ms"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn nothing_is_lost_where_processes_stand_still() {
    assert!(injected(&passes("stop", "12")) >= 2);
}

#[test]
fn nothing_is_lost_where_redis_and_tmux_have_trouble() {
    assert!(injected(&passes("redis,tmux", "13")) >= 2);
}

#[test]
fn a_tmux_server_that_stands_still_delays_no_decision() {
    let report = passes("tmux-stopped", "13");
    assert!(injected(&report) >= 1, "{report:#}");
    assert!(report["passes"]["max_held_up_ms"].as_u64().unwrap() <= 100, "{report:#}");
}

#[test]
fn people_may_do_what_they_like() {
    assert!(injected(&passes("people", "14")) >= 2);
}

#[test]
fn without_faults_nobody_is_lost_or_left_unanswered() {
    let report = passes("none", "15");
    assert_eq!((&report["attempts_lost"], &report["unanswered"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(report["faults"], Value::Array(vec![]));
}

#[test]
fn a_program_that_ran_twice_is_seen_and_the_story_is_kept() {
    let place = Place::new();
    let mut drill = start(place.drill(&small(&["--seed", "16", "--faults", "none"])));
    let executions = place.world_at_work(&mut drill).join("executions");
    let begin = lines(&executions).into_iter().find(|line| line.starts_with("begin ")).expect("an execution");
    let again = format!("{}\n", begin.replacen("begin ", "begin 1", 1));
    let mut file = std::fs::OpenOptions::new().append(true).open(&executions).expect("executions");
    std::io::Write::write_all(&mut file, again.as_bytes()).expect("a line");

    let said = drill.end().ended(1).stdout;
    assert!(said.contains("an attempt runs once") && said.contains("orch drill --seed 16 --faults none"), "{said}");
    let timeline = said.lines().find_map(|line| line.strip_prefix("timeline: ")).expect("a timeline");
    let told = std::fs::read_to_string(timeline).expect("the timeline");
    for part in ["VIOLATION an attempt runs once", "task.succeeded", "supervisor.started"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert_eq!(place.worlds().len(), 1, "the folder is kept");
    assert_eq!(orch::os::of_folder(place.0.path()).expect("processes"), []);
}

#[test]
fn a_supervisor_that_ends_without_the_drills_doing_is_seen() {
    let place = Place::new();
    let mut drill = start(place.drill(&small(&["--seed", "17", "--faults", "none"])));
    let world = place.world_at_work(&mut drill);
    let holder = orch::os::read_lock_holder(&world.join("home/supervisor.lock")).expect("a supervisor");
    kill9(holder.pid);
    let said = drill.end().ended(1).stdout;
    assert!(said.contains("nothing dies by itself"), "{said}");
}

#[test]
fn a_process_that_is_left_is_seen_and_ended() {
    let place = Place::new();
    let mut drill = start(place.drill(&small(&["--seed", "19", "--faults", "none"])));
    let world = place.world_at_work(&mut drill);
    let mut left = Command::new("sleep").arg("601").current_dir(&world).spawn().expect("sleep");
    let said = drill.end().ended(1).stdout;
    assert!(said.contains(&format!("orch stop leaves nothing behind: process {}: sleep 601", left.id())), "{said}");
    assert!(!left.wait().expect("its end").success());
}

#[test]
fn whoever_interrupts_it_finds_nothing_left() {
    let place = Place::new();
    let mut drill = start(place.drill(&["--seed", "18"]));
    place.world_at_work(&mut drill);
    let pid = Process::of(drill.pid()).expect("the drill").pid;
    signal(pid, Signal::SIGINT);
    assert!(drill.end().ended(1).stderr.contains("interrupted"));
    place.check_nothing_left();
}

#[test]
fn all_faults_are_listed_with_what_they_do() {
    let place = Place::new();
    let list = place.run(&["--list"]).ok();
    let json = place.run(&["--list", "--json"]).ended(0).json();
    for fault in json.as_array().expect("a list") {
        let (name, what) = (fault["fault"].as_str().expect("name"), fault["what"].as_str().expect("what"));
        assert!(list.lines().any(|line| line.starts_with(name) && line.contains(what)), "{name}: {list}");
    }
    assert!(json.as_array().is_some_and(|all| all.len() >= 19));
    let mut narrow = place.drill(&["--list"]);
    narrow.env("COLUMNS", "40");
    let narrow = start(narrow).end().ok();
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    assert!(narrow.contains("session") && !narrow.contains('…'), "nothing is cut off:\n{narrow}");
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let place = Place::new();
    for (words, part) in [
        (vec!["--faults", "kil"], "did you mean 'kill'"),
        (vec!["--faults", ""], "there is no fault"),
        (vec!["--tasks", "0"], "1 to"),
        (vec!["--agents", "many"], "1 to"),
        (vec!["--duration", "5"], "unit"),
        (vec!["--duration", "1ms"], "at least"),
        (vec!["--seed", "x"], "--seed"),
        (vec!["--rate", "0"], "0 tasks a second"),
        (vec!["now"], "now"),
    ] {
        let said = place.run(&words).ended(2).stderr;
        assert!(said.contains(part), "{words:?}: {said}");
    }
    place.check_nothing_left();
}

#[test]
fn without_tmux_it_says_so_and_leaves_nothing() {
    let place = Place::new();
    let mut drill = place.drill(&[]);
    drill.env("PATH", "/nonexistent");
    let said = start(drill).end().ended(4).stderr;
    assert!(said.contains("tmux"), "{said}");
    place.check_nothing_left();
}
