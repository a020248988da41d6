//! The built-in master's prompt as a person uses it: keys are typed into a real pane, and its screen is read.

use crate::common::{World, append, feed, forever, gate, start};

const MASTER: &str = "opus-master";

/// Types into the master's pane. What is no key's name is typed as it stands.
fn keys(world: &World, keys: &[&str]) {
    world.tmux(&[&["send-keys", "-t", &format!("={MASTER}:")], keys].concat()).ok();
}

fn typed(world: &World, text: &str) {
    keys(world, &["-l", "--", text]);
}

fn line(world: &World, text: &str) {
    typed(world, text);
    keys(world, &["Enter"]);
}

/// Waits until the pane shows this.
#[track_caller]
fn shows(world: &World, text: &str) {
    let mut pane = String::new();
    let shown = std::panic::Location::caller();
    world.wait_until(&format!("the pane shows {text:?} (line {})", shown.line()), || {
        pane = world.pane(MASTER);
        pane.contains(text)
    });
}

/// The pane's last line that is not blank.
fn last_line(world: &World) -> String {
    world.pane(MASTER).lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
}

#[track_caller]
fn prompt(world: &World) {
    world.wait_until("an empty prompt stands", || last_line(world).trim_end() == "orch>");
}

/// What was delegated, the oldest first.
fn texts(world: &World) -> Vec<String> {
    let mut tasks = world.orch_json(&["tasks"]).as_array().cloned().unwrap_or_default();
    tasks.reverse();
    tasks.iter().map(|task| task["description"].as_str().unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn ends(world: &World, n: u64) {
    world.wait_until(&format!("{n} tasks have succeeded"), || world.status()["tasks"]["succeeded"] == n);
}

#[test]
fn a_line_is_a_task_and_each_of_its_steps_is_reported() {
    let world = World::started("[roles.sonnet]\ndriver = \"shell\"");
    prompt(&world);
    line(&world, "@sonnet echo from-$((40 + 2))");
    shows(&world, "accepted for sonnet");
    shows(&world, "running on sonnet-1");
    shows(&world, "succeeded in");
    shows(&world, "  from-42");
    line(&world, "echo to the default role: $ORCH_ROLE");
    shows(&world, "to the default role: shell");
    line(&world, "@shell echo what is wrong >&2; exit 65");
    shows(&world, "failed: exit code 65 (permanent): what is wrong");
    shows(&world, "/why t-");

    for (mistake, answer) in [
        ("@sonet look", "did you mean @sonnet?"),
        ("@nobody look", "there is no role 'nobody'"),
        ("/stauts", "did you mean /status?"),
        ("/show", "write it as /show ID"),
        ("/show t-7k2m9qx4hz", "there is no task t-7k2m9qx4hz"),
    ] {
        line(&world, mistake);
        shows(&world, answer);
    }
    assert_eq!(texts(&world).len(), 3, "mistakes are no tasks");

    for (command, answer) in [
        ("/status", "2 succeeded · 1 failed"),
        ("/tasks", "echo to the default role"),
        ("/agents", "sonnet-1     sonnet  idle"),
        ("/help", "Tab completes"),
    ] {
        line(&world, command);
        shows(&world, answer);
    }
    prompt(&world);
}

#[test]
fn a_task_is_shown_and_cancelled_by_its_id() {
    let world = World::started("");
    line(&world, &format!("echo begun; {}", forever()));
    shows(&world, "running on shell-1");
    let id = world.orch_json(&["tasks"])[0]["id"].as_str().unwrap().to_owned();
    world.wait_until("it has printed", || world.orch(&["logs", "--task", &id]).stdout.contains("begun"));
    line(&world, &format!("/logs {id}"));
    shows(&world, "begun\n");
    line(&world, &format!("/why {id}"));
    shows(&world, "shell-1 has worked on it");
    line(&world, &format!("/cancel {id}"));
    shows(&world, "cancelled: asked for by a person (the console, pid ");
    world.wait_for(&id, "cancelled");
    line(&world, &format!("/show {id}"));
    prompt(&world);
}

#[test]
fn a_line_can_be_edited_cleared_and_recalled() {
    let world = World::started("");
    prompt(&world);
    typed(&world, "touch wrong");
    shows(&world, "orch> touch wrong");
    keys(&world, &["C-c"]);
    prompt(&world);
    typed(&world, "ho right");
    keys(&world, &["C-a"]);
    typed(&world, "ec");
    keys(&world, &["Enter"]);
    ends(&world, 1);
    prompt(&world);
    keys(&world, &["Up", "Enter"]);
    ends(&world, 2);
    assert_eq!(texts(&world), ["echo right", "echo right"]);
    assert!(!world.project.join("wrong").exists());

    // Ctrl-D leaves: the session, its runner and the tasks stay, and a prompt stands again, with its history.
    let (runner, before) = (world.runner_pid(MASTER), world.pane(MASTER).matches("Commands: /help").count());
    keys(&world, &["C-d"]);
    world.wait_until("a new prompt stands", || {
        world.pane(MASTER).matches("Commands: /help").count() > before && last_line(&world).trim_end() == "orch>"
    });
    assert_eq!(world.runner_pid(MASTER), runner);
    keys(&world, &["Up", "Enter"]);
    ends(&world, 3);
    line(&world, "/quit");
    world.wait_until("and again", || world.pane(MASTER).matches("Commands: /help").count() > before + 1);
    assert_eq!(texts(&world), ["echo right"; 3]);
    assert!(world.events_of("agent.failed").is_empty());
}

#[test]
fn lines_typed_ahead_become_tasks_in_order() {
    let world = World::started("[roles.shell]\nmax = 1");
    prompt(&world);
    let ran = world.file("ran");
    let lines: String = (1..=12).map(|n| format!("{}\r", append(&ran, &n.to_string()))).collect();
    typed(&world, &lines);
    ends(&world, 12);
    assert_eq!(world.lines("ran"), (1..=12).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_pasted_text_of_several_lines_is_one_task() {
    let world = World::started("[roles.cat]\ncommand = [\"cat\"]");
    prompt(&world);
    let pasted = "@cat first line\n  second; with 'quotes' and \"more\" #(x) {prompt}\n\nlast ü 🦀";
    let mut load = world.command("tmux");
    load.arg("-S").arg(&world.socket).args(["load-buffer", "-b", "pasted", "-"]);
    feed(load, pasted.as_bytes()).ok();
    world.tmux(&["paste-buffer", "-p", "-r", "-d", "-b", "pasted", "-t", &format!("={MASTER}:")]).ok();
    shows(&world, "last ü 🦀");
    assert!(texts(&world).is_empty(), "nothing is sent before Enter");
    keys(&world, &["Enter"]);
    ends(&world, 1);
    assert_eq!(texts(&world), [pasted.trim_start_matches("@cat ")]);
    let id = world.orch_json(&["tasks"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.show(&id)["result"]["text"], pasted.trim_start_matches("@cat "));
}

#[test]
fn answers_do_not_disturb_the_line_that_is_being_typed() {
    let world = World::started("");
    prompt(&world);
    for n in 1..=3 {
        line(&world, &format!("{}; echo answer {n}", gate(&world.file(&format!("go{n}")))));
        world.wait_until("it runs", || world.status()["tasks"]["running"] == n);
    }
    prompt(&world);
    typed(&world, "echo half a ");
    for n in 1..=3 {
        world.touch(&format!("go{n}"));
        shows(&world, &format!("  answer {n}"));
        world.wait_until("the line is whole", || last_line(&world).starts_with("orch> echo half a"));
        typed(&world, &n.to_string());
    }
    keys(&world, &["Enter"]);
    ends(&world, 4);
    assert_eq!(texts(&world)[3], "echo half a 123");
}

#[test]
fn forty_columns_are_enough() {
    let world = World::started("");
    world.tmux(&["resize-window", "-t", &format!("={MASTER}:"), "-x", "40", "-y", "24"]).ok();
    prompt(&world);
    line(&world, "exit 65");
    shows(&world, "/why t-");
    for command in ["/status", "/tasks", "/agents", "/nonsense"] {
        line(&world, command);
        prompt(&world);
    }
    shows(&world, "there is no command '/nonsense'");
    // Joined, what the terminal itself had to break is longer than it is wide. Help has a table of its own.
    let joined = world.tmux(&["capture-pane", "-p", "-J", "-S", "-", "-t", &format!("={MASTER}:")]).ok();
    for line in joined.lines().skip_while(|line| !line.contains("exit 65")) {
        assert!(line.trim_end().chars().count() <= 40, "{line:?} in\n{joined}");
    }
}

#[test]
fn attach_needs_a_terminal() {
    let world = World::started("");
    let refused = world.orch(&["attach"]).ended(2);
    assert!(refused.stderr.contains("attach needs a terminal"), "{refused:#?}");
    let unknown = world.orch(&["attach", "nobody-1"]).ended(2);
    assert!(unknown.stderr.contains("nobody-1"), "{unknown:#?}");
}

#[test]
fn a_person_attaches_detaches_and_attaches_again() {
    let world = World::started("");
    let socket = world.file("person.sock");
    let person = |words: &[&str]| {
        let mut tmux = world.command("tmux");
        tmux.arg("-f").arg("/dev/null").arg("-S").arg(&socket).args(words);
        start(tmux).end()
    };
    let shell = format!("PATH='{}':$PATH PS1='mine$ ' exec sh", world.home.join("bin").display());
    person(&["new-session", "-d", "-s", "desk", "-x", "100", "-y", "30", &shell]).ok();
    let screen = || person(&["capture-pane", "-p", "-t", "=desk:"]).stdout;
    let line = |text: &str| person(&["send-keys", "-t", "=desk:", text, "Enter"]).ok();
    for round in 1..=2 {
        line("orch attach");
        world.wait_until("the console's prompt is on the person's terminal", || screen().contains("orch>"));
        assert_eq!(world.tmux(&["list-clients", "-F", "#{session_name}"]).ok(), "opus-master\n");
        line(&format!("echo round {round}"));
        ends(&world, round);
        world.wait_until("the answer is shown", || screen().contains(&format!("  round {round}")));
        person(&["send-keys", "-t", "=desk:", "C-d"]).ok();
        world.wait_until("the person is out", || world.tmux(&["list-clients"]).stdout.is_empty());
        world.wait_until("in their own shell", || screen().trim_end().ends_with("mine$"));
        assert!(world.sessions().contains(&MASTER.to_owned()));
        person(&["send-keys", "-t", "=desk:", "clear", "Enter"]).ok();
    }
    person(&["kill-server"]).ok();
    world.stop_and_check_nothing_left();
}

#[test]
fn without_a_terminal_each_line_is_a_task_and_the_console_waits_for_all() {
    let world = World::started("");
    let said = feed(world.orch_command(&["console"]), b"echo one\n@shell echo two\n\n/tasks\n").ok();
    assert!(said.contains("  one\n") && said.contains("  two\n") && said.contains("succeeded"), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
    let wrong = feed(world.orch_command(&["console"]), b"@nobody x\necho three\n").ended(2);
    assert!(wrong.stdout.contains("there is no role 'nobody'") && wrong.stdout.contains("  three\n"), "{wrong:#?}");
    assert_eq!(texts(&world).len(), 3);
}
