//! Tasks that record each of their runs, so that a lost or repeated run is found.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{World, append};

/// The tasks that were accepted in a world.
#[derive(Default)]
pub struct Work {
    pub tasks: Vec<String>,
}

impl Work {
    /// Returns a script that records its attempt and then runs `then`.
    pub fn script(world: &World, then: &str) -> String {
        format!("{}; {then}; echo done", append(&world.file("ran"), "$ORCH_TASK $ORCH_ATTEMPT"))
    }

    /// Delegates a task to role shell.
    #[track_caller]
    pub fn delegate(&mut self, world: &World, then: &str) -> String {
        let task = world.delegate("shell", &Work::script(world, then));
        self.tasks.push(task.clone());
        task
    }

    /// Delegates a task repeatedly with the same key, until it is accepted.
    #[track_caller]
    pub fn delegate_until_accepted(&mut self, world: &World, key: &str, then: &str) -> String {
        let script = Work::script(world, then);
        let mut accepted = Value::Null;
        world.wait_until("the task is accepted", || {
            let answer = world.orch(&["delegate", "--role", "shell", "--key", key, "--json", &script]);
            if answer.code == 0 {
                accepted = answer.json()["id"].clone();
            }
            answer.code == 0
        });
        let task = accepted.as_str().expect("id").to_owned();
        self.tasks.push(task.clone());
        task
    }

    /// Returns how often a task ran.
    pub fn runs_of(world: &World, task: &str) -> usize {
        world.lines("ran").iter().filter(|line| line.starts_with(task)).count()
    }

    /// Waits until a task runs.
    #[track_caller]
    pub fn wait_until_it_runs(world: &World, task: &str) {
        world.wait_until("the task runs", || Work::runs_of(world, task) > 0);
    }

    /// Waits until all tasks have succeeded, and checks that each did so at its first attempt.
    #[track_caller]
    pub fn all_succeed_at_once(&self, world: &World) {
        for task in &self.tasks {
            world.wait_for(task, "succeeded");
        }
        self.ended_once(world);
        for task in &self.tasks {
            assert_eq!(Work::attempts(world, task), 1, "{:#}", world.show(task));
        }
        assert_eq!(world.events_of("agent.failed"), [] as [Value; 0]);
    }

    /// Asserts that each task has exactly one successful attempt, that no attempt ran twice, that every other attempt
    /// is lost, and that no file is left.
    #[track_caller]
    pub fn ended_once(&self, world: &World) {
        let ran = world.lines("ran");
        assert_eq!(BTreeSet::from_iter(&ran).len(), ran.len(), "an attempt ran twice: {ran:#?}");
        let succeeded = world.events_of("task.succeeded");
        for task in &self.tasks {
            let shown = world.show(task);
            let attempts = shown["attempts"].as_array().expect("attempts");
            let (last, others) = attempts.split_last().expect("an attempt");
            let lost = others.iter().all(|a| a["cause"] == "lost");
            assert!(last["cause"] == "success" && lost, "{shown:#}");
            assert_eq!(shown["result"]["text"], "done\n");
            assert!((1..=attempts.len()).contains(&Work::runs_of(world, task)), "{shown:#}");
            assert_eq!(succeeded.iter().filter(|e| e["task"] == task.as_str()).count(), 1, "{task}");
        }
        for folder in ["reports", "launch"] {
            let left: Vec<_> = fs::read_dir(world.home.join(folder)).expect(folder).flatten().collect();
            assert!(left.is_empty(), "in {folder}: {left:?}");
        }
    }

    /// Returns the number of attempts of a task.
    pub fn attempts(world: &World, task: &str) -> usize {
        world.show(task)["attempts"].as_array().map_or(0, Vec::len)
    }
}
