//! why: the events of which an explanation is made.

use super::*;
use crate::model::event::{Event, EventKind};

async fn of_task(ops: &Ops, id: &TaskId) -> Vec<Event> {
    ops.why(&Target::Task(id.clone())).await.unwrap().events
}

#[tokio::test]
async fn the_events_of_a_task_are_found_also_where_an_earlier_release_has_accepted_it() {
    let world = World::awake().await;
    let ops = world.ops();
    let agent = world.agent("shell-1", "shell").await;
    let id = ops.delegate(task("one", "shell")).await.unwrap().id;
    let other = ops.delegate(task("two", "shell")).await.unwrap().id;
    let claimed = agent.claim(&ops).await;
    agent.finish(&ops, &claimed, Cause::Success, "done").await;
    let listed = of_task(&ops, &id).await;
    let kinds: Vec<&str> = listed.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["task.ready", "task.running", "agent.busy", "task.succeeded", "agent.idle"]);
    let of_agent = ops.why(&Target::Agent("shell-1".into())).await.unwrap().events;
    let kinds: Vec<&str> = of_agent.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["agent.starting", "agent.idle", "task.running", "agent.busy", "task.succeeded", "agent.idle"]);

    ops.store().forget_trail(&id).await;
    // More than are read at a time.
    for n in 0..700 {
        ops.store().note(EventKind::RoleReleased, &n.to_string()).await.unwrap();
    }
    assert_eq!(of_task(&ops, &id).await, listed);
    assert_eq!(of_task(&ops, &other).await.len(), 1);
}
