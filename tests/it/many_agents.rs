//! Many agents at once.

use std::{thread, time::Duration};

use crate::common::{World, gate};

#[test]
fn sixty_agents_do_a_hundred_and_twenty_tasks_and_leave_nothing() {
    let world = World::builder()
        .supervisor("max_agents", "60")
        .supervisor("heartbeat", "\"2s\"")
        .supervisor("lease", "\"30s\"")
        .tables("[roles.shell]\nmax = 60")
        .build();
    world.start();
    let script = format!("{}; echo $ORCH_AGENT", gate(&world.file("go")));
    let tasks: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..30).map(|_| world.delegate("shell", &script)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let limit = Duration::from_secs(60);
    world.wait_until_within(limit, "all sixty are busy", || world.status()["tasks"]["running"] == 60);
    world.touch("go");
    world.wait_until_within(limit, "all tasks are done", || world.status()["tasks"]["succeeded"] == 120);
    for task in &tasks {
        assert_eq!(world.show(task)["attempts"].as_array().unwrap().len(), 1);
    }
    world.stop_and_check_nothing_left();
}
