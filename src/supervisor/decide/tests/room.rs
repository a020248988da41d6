//! No more agents start than a role's budgets and its account have room for.

use super::*;

#[test]
fn as_many_agents_start_as_there_is_room_for() {
    let mut c = case();
    c.ready("shell", 4);
    c.store.rooms.insert("shell".into(), 2);
    assert_eq!(c.short(), ["spawn shell-1", "spawn shell-2"]);
    // One that is idle takes a part of it.
    c.agent("shell-9", "shell", AgentState::Idle);
    assert_eq!(c.short(), ["spawn shell-1"]);
    c.store.rooms.insert("shell".into(), 0);
    assert_eq!(c.short(), [] as [&str; 0]);
}
