//! Locks while something else breaks.

use serde_json::json;

use crate::common::{Process, Signal, World, append, gate, kill9, signal};

fn writing(world: &World, pattern: &str, text: &str) -> String {
    world.orch(&["delegate", "--role", "shell", "--writes", pattern, text]).ok().trim().to_owned()
}

fn locked(world: &World) -> Vec<String> {
    let locks = world.orch_json(&["locks"]);
    let pattern = |lock: &serde_json::Value| lock["pattern"].as_str().expect("a pattern").to_owned();
    locks["locks"].as_array().expect("a list").iter().map(pattern).collect()
}

#[test]
fn a_runner_that_is_stopped_beyond_its_lease_loses_its_locks_and_changes_nothing_afterwards() {
    let world = World::builder()
        .supervisor("lease", "\"2s\"")
        .tables("[roles.shell]\nmax = 2\n[roles.shell.retry]\nlost = 3")
        .build();
    world.start();
    let (ran, go) = (world.file("ran"), world.file("go"));
    // Its second attempt goes through.
    let hold = format!("{}; [ $ORCH_ATTEMPT = 2 ] || {{ {}; sleep 600; }}", append(&ran, "first"), gate(&go));
    let first = writing(&world, "src", &hold);
    world.wait_for(&first, "running");
    world.wait_until("it works", || world.lines("ran") == ["first"]);
    let second = writing(&world, "src/a.rs", &append(&ran, "second"));
    world.wait_until("the second waits", || world.orch_json(&["locks"])["waiting_count"] == 1);
    let (runner, tmux) = (world.runner_pid("shell-1"), world.tmux_server_pid());
    // tmux continues its stopped children immediately.
    signal(tmux, Signal::SIGSTOP);
    signal(runner, Signal::SIGSTOP);
    // Its lease ends, its agent is ended, and the lock is free for the other one.
    world.wait_until("the attempt is lost", || world.show(&first)["lost"] == 1);
    world.wait_until("the stopped runner has ended", || Process::of(runner).is_none());
    signal(tmux, Signal::SIGCONT);
    world.wait_for(&second, "succeeded");
    let shown = world.wait_for(&first, "succeeded");
    assert_eq!(shown["attempts"][0]["cause"], "lost", "{shown:#}");
    let mut ran = world.lines("ran");
    ran.sort();
    assert_eq!(ran, ["first", "first", "second"]);
    assert_eq!(locked(&world), Vec::<String>::new());
    world.stop_and_check_nothing_left();
}

#[test]
fn a_persons_lock_of_everything_outlives_supervisor_and_redis_until_it_is_released() {
    let world = World::started("[roles.shell]\nmax = 2");
    world.orch(&["lock", ".", "--reason", "another branch"]).ok();
    let kept = writing(&world, "docs/a.md", "true");
    for broken in ["nothing", "supervisor", "Redis"] {
        match broken {
            "supervisor" => {
                kill9(world.supervisor_pid());
                world.start();
            }
            "Redis" => kill9(world.redis_pid()),
            _ => {}
        }
        let free = world.delegate("shell", "true");
        world.wait_for(&free, "succeeded");
        assert_eq!((locked(&world), &world.show(&kept)["state"]), (vec![".".to_owned()], &json!("ready")), "{broken}");
        let of_lock =
            |one: &serde_json::Value| one["kind"] == "lock" && one["what"].as_str().unwrap().contains("another branch");
        world.wait_until("status says what keeps it", || {
            world.status()["attention"].as_array().is_some_and(|all| all.iter().any(of_lock))
        });
    }
    world.orch(&["unlock", "."]).ok();
    world.wait_for(&kept, "succeeded");
    world.stop_and_check_nothing_left();
}
