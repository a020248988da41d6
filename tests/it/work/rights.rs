//! Rights between roles: what a program without a shell gets done by orch, and what a person reads and decides.

use serde_json::{Value, json};

use super::text;
use crate::common::World;

/// The agent programs whose roles may not run any command unless their configuration says so.
const PROGRAMS: [&str; 6] = ["claude", "codex", "gemini", "qwen", "copilot", "aider"];

/// A world with one role per program, each program a stand-in that runs this script as its task.
fn world(script: &str, tables: &str) -> World {
    let roles: String = PROGRAMS.iter().map(|program| format!("[roles.{program}]\ndriver = \"{program}\"\n")).collect();
    let world = World::builder().tables(&format!("{roles}{tables}")).build();
    for program in PROGRAMS {
        // A master's program or a look for its version gets no task.
        world.program(program, &format!("[ -n \"$ORCH_TASK\" ] || exit 0\n{script}"));
    }
    world.start();
    world
}

/// Waits until the task has as many subtasks, and returns them.
fn subtasks(world: &World, task: &str, count: usize) -> Vec<Value> {
    let children = || world.show(task)["children"].as_array().cloned().unwrap_or_default();
    world.wait_until("the subtasks are accepted", || children().len() == count);
    children().iter().map(|id| world.show(&text(id))).collect()
}

#[test]
fn a_program_without_shell_rights_reaches_no_shell() {
    // Directly, through a role like its own, by the same key again, by a retry, by an answer of its own, by messages and hooks.
    let world = world(
        r#"if [ -e "$HOME/all-$ORCH_ROLE" ]; then sleep 1000; fi
        touch "$HOME/all-$ORCH_ROLE"
        id=$(orch delegate --role shell "touch $HOME/pwned-$ORCH_ROLE")
        orch delegate --role shell --key "$ORCH_ROLE" "touch $HOME/pwned-$ORCH_ROLE"
        orch delegate --role lead "touch $HOME/pwned-$ORCH_ROLE"
        orch approve "$id" && touch "$HOME/cheated"
        orch approve "$id#1" && touch "$HOME/cheated"
        orch retry "$id" && touch "$HOME/cheated"
        orch scale shell 3 && touch "$HOME/cheated"
        # By a message that would be a command where it is read, and by a hook that speaks for another program.
        command="touch $HOME/pwned-$ORCH_ROLE"
        for to in opus-master shell-1 "$id"; do orch send "$to" "!$command"; orch send "$to" "; $command"; done
        for program in claude codex; do
            for event in UserPromptSubmit PreToolUse PermissionRequest; do
                hook="{\"hook_event_name\":\"$event\",\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"$command\"},\"prompt\":\"!$command\"}"
                echo "$hook" | orch hook $program
                echo "$hook" >> "$(dirname "$ORCH_RESULT")/hooks.jsonl"
            done
        done
        touch "$HOME/done-$ORCH_ROLE"
        sleep 1000"#,
        "[roles.lead]\ndriver = \"command\"\ncommand = [\"sh\"]\n",
    );
    for program in PROGRAMS {
        let task = world.delegate(program, "get a shell");
        for subtask in subtasks(&world, &task, 3) {
            assert_eq!((&subtask["state"], &subtask["code"]), (&json!("held"), &json!("approval_needed")), "{program}");
            assert_eq!(subtask["questions"][0]["rights"], json!(["run any command"]), "{program}");
        }
        world.wait_until("the program has tried all", || world.file(&format!("done-{program}")).exists());
        world.orch(&["cancel", &task]).ok();
        world.wait_for(&task, "cancelled");
    }
    // A shell that runs has not run any of it.
    let last = world.delegate("shell", "echo free");
    world.wait_for(&last, "succeeded");
    let made: Vec<&str> = PROGRAMS.iter().copied().filter(|p| world.file(&format!("pwned-{p}")).exists()).collect();
    assert_eq!(made, Vec::<&str>::new(), "nothing of it ran");
    assert!(!world.file("cheated").exists(), "a program decides no question");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_person_reads_what_would_run_before_it_runs() {
    let world = world(
        r#"orch delegate --role shell "echo one
echo two > $HOME/made"; sleep 1000"#,
        "",
    );
    let task = world.delegate("claude", "do something");
    let held = text(&subtasks(&world, &task, 1)[0]["id"]);
    let status = world.orch(&["status"]).ok();
    for shown in [
        format!("task {held}#1 asks: May role shell do this task?"),
        format!("asked by: claude-1 within {task} (role claude)"),
        "| echo one".to_owned(),
        "| echo two > ".to_owned(),
        format!("orch approve {held}#1"),
    ] {
        assert!(status.contains(&shown), "{shown}: {status}");
    }
    let refused = world.orch(&["answer", &held, "yes"]).ended(2);
    assert!(refused.stderr.contains("takes no other answer"), "{refused:#?}");
    let refused = world.orch(&["retry", &held]).ended(1);
    assert!(refused.stderr.contains("no person has approved"), "{refused:#?}");
    assert!(!world.file("made").exists());
    world.orch(&["approve", &format!("{held}#1")]).ok();
    world.wait_for(&held, "succeeded");
    assert_eq!(world.lines("made"), ["two"]);

    world.orch(&["cancel", &task]).ok();
    let again = world.delegate("claude", "do something");
    let held = text(&subtasks(&world, &again, 1)[0]["id"]);
    world.orch(&["deny", &held, "not twice"]).ok();
    let denied = world.show(&held);
    assert_eq!((&denied["state"], &denied["code"]), (&json!("cancelled"), &json!("approval_denied")));
    assert!(text(&world.show(&again)["messages"][0]["text"]).contains("denied: not twice"));
    world.stop_and_check_nothing_left();
}

#[test]
fn a_subtask_that_leaves_its_callers_folder_waits_for_a_person() {
    let world = world(
        r#"orch delegate --role gemini --cwd / "look around"; orch delegate --role gemini --cwd . "look here"; sleep 1000"#,
        "[roles.reader]\ndriver = \"gemini\"\n",
    );
    let task = world.delegate("reader", "look");
    let [out, inside] = &subtasks(&world, &task, 2)[..] else { panic!("two subtasks") };
    assert_eq!((&out["state"], &out["questions"][0]["rights"]), (&json!("held"), &json!(["work in /"])));
    assert_eq!(inside["questions"], json!([]), "{inside:#}");
    world.stop_and_check_nothing_left();
}

/// A link on the way to a working folder must not lead a task elsewhere after it was accepted.
#[test]
fn a_task_works_in_the_folder_that_was_named_or_not_at_all() {
    let world = World::started("[roles.shell]\nmax = 1\n[roles.shell.retry]\nretries = 0");
    let (real, other, link) = (world.project.join("real"), world.file("other"), world.project.join("link"));
    for folder in [&real, &other] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::os::unix::fs::symlink(&real, &link).expect("a link");
    world.orch(&["pause"]).ok();
    let delegated = |folder: &std::path::Path| {
        let folder = folder.to_str().expect("UTF-8");
        super::text(&world.orch_json(&["delegate", "--role", "shell", "--cwd", folder, "touch here"])["id"])
    };
    let (by_link, by_folder) = (delegated(&link), delegated(&real));
    std::fs::remove_file(&link).expect("the link");
    std::os::unix::fs::symlink(&other, &link).expect("another link");
    world.orch(&["resume"]).ok();
    world.wait_for(&by_link, "succeeded");
    world.wait_for(&by_folder, "succeeded");
    assert!(real.join("here").exists() && !other.join("here").exists());

    world.orch(&["pause"]).ok();
    let swapped = delegated(&real);
    std::fs::remove_dir_all(&real).expect("the folder");
    std::os::unix::fs::symlink(&other, &real).expect("a link in its place");
    world.orch(&["resume"]).ok();
    let task = world.wait_for(&swapped, "failed");
    assert!(super::text(&task["reason"]).contains("leads to another place"), "{task:#}");
    assert!(!other.join("here").exists());
    world.stop_and_check_nothing_left();
}
