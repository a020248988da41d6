//! A machine that has no memory for further agents.

use super::*;

#[test]
fn without_memory_nobody_is_started_but_the_master() {
    let mut c = case();
    c.short_of_memory = true;
    c.ready("shell", 3);
    c.config.roles.get_mut("opus").unwrap().min = 1;
    c.store.requests.spawn.push(("shell".into(), "spawn:shell:1".into()));
    assert_eq!(c.short(), [] as [&str; 0], "and no request is dropped: it is only held back");
    c.store.agents.clear();
    assert_eq!(c.short(), ["spawn opus-master"]);
}

#[test]
fn without_memory_idle_agents_leave_as_always_and_the_others_stay() {
    let mut c = case();
    c.short_of_memory = true;
    c.ready("sonnet", 1);
    c.agent("shell-1", "shell", AgentState::Busy);
    c.agent("shell-2", "shell", AgentState::Idle).since = Timestamp(NOW - 3_600_000);
    assert_eq!(c.short(), ["stop shell-2: idle for 1h00m (idle_timeout)"]);
}
