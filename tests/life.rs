//! An ordinary life: start, tasks, agents that come and go.

mod common;

use common::World;

#[test]
fn a_task_is_delegated_done_and_everything_stops() {
    let world = World::new();
    world.start();
    let task = world.delegate("shell", "echo hello");
    let shown = world.wait_for(&task, "succeeded");
    assert_eq!(shown["result"]["text"], "hello\n");
    world.stop_and_check_nothing_left();
}
