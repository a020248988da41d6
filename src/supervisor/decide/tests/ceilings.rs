//! What no disturbance resets: silence while Redis answers, and the time limit of a task.

use std::time::Instant;

use super::*;

/// Passes every `apart`, each right after a disturbance; returns what the last one decides.
fn passes(c: &mut Case, n: u32, apart: Duration, change: impl Fn(&mut Case, u32)) -> Vec<String> {
    let began = Instant::now();
    c.undisturbed = Duration::from_millis(1);
    for pass in 0..=n {
        c.store.now = Timestamp(NOW + u64::try_from((apart * pass).as_millis()).unwrap());
        change(c, pass);
        c.ceilings.count(began + apart * pass, &c.store);
    }
    c.short()
}

#[test]
fn interruptions_one_after_another_do_not_keep_a_hung_agent_for_ever() {
    let mut c = case();
    c.store.agents.clear();
    c.agent("shell-1", "shell", AgentState::Busy);
    c.life("shell-1", Life::Alive('T'));
    let second = Duration::from_secs(1);
    c.config.master.role = "none".into();
    assert_eq!(passes(&mut c, 90, second, |_, _| ()), [] as [&str; 0]);
    let hung = "reap shell-1 failed: hung: no heartbeat for 1m31s during which Redis answered; its runner is stopped (SIGSTOP)";
    c.ceilings.count(Instant::now() + second * 91, &c.store);
    assert_eq!(c.short(), [hung]);
}

#[test]
fn a_heartbeat_between_interruptions_resets_the_count() {
    let mut c = case();
    let beats = |c: &mut Case, pass: u32| {
        for record in &mut c.store.agents {
            record.agent.heartbeat_at = Some(Timestamp(NOW + u64::from(pass / 20)));
        }
    };
    assert_eq!(passes(&mut c, 1000, Duration::from_secs(1), beats), [] as [&str; 0]);
}

#[test]
fn time_in_which_redis_did_not_answer_hardly_counts() {
    let mut c = case();
    assert_eq!(passes(&mut c, 80, Duration::from_secs(3600), |_, _| ()), [] as [&str; 0]);
}

#[test]
fn a_runner_that_never_reports_is_given_up_in_spite_of_interruptions() {
    let mut c = case();
    c.store.agents.clear();
    c.config.master.role = "none".into();
    c.agent("shell-1", "shell", AgentState::Starting).heartbeat_at = None;
    assert_eq!(passes(&mut c, 90, Duration::from_secs(1), |_, _| ()), [] as [&str; 0]);
    let reaped = passes(&mut c, 91, Duration::from_secs(1), |_, _| ());
    assert_eq!(reaped, ["reap shell-1 failed: hung: its runner did not report within 3m01s of service"]);
}

/// Heartbeats come, and the attempt does not end.
fn beats(c: &mut Case, pass: u32) {
    for record in &mut c.store.agents {
        record.agent.heartbeat_at = Some(Timestamp(NOW + u64::from(pass)));
    }
}

#[test]
fn a_task_past_its_time_limit_is_ended_when_its_runner_does_not() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Busy);
    c.store.agents[1].deadline = Some(Timestamp(NOW + 10_000));
    let second = Duration::from_secs(1);
    // Ten seconds to go, the grace of three, and thirty for the runner.
    assert_eq!(passes(&mut c, 43, second, beats), [] as [&str; 0]);
    c.ceilings = Ceilings::default();
    let reap = "reap shell-1 failed: hung: its runner did not end the attempt, which is 34s past the task's time limit";
    assert_eq!(passes(&mut c, 44, second, beats), [reap]);
    c.store.agents[1].agent.state = AgentState::Idle;
    assert_eq!(c.short(), [] as [&str; 0]);
}

#[test]
fn the_sleep_of_the_machine_is_not_taken_from_the_time_of_a_task() {
    let mut c = case();
    c.agent("shell-1", "shell", AgentState::Busy);
    c.store.agents[1].deadline = Some(Timestamp(NOW + 10_000));
    let sleeps = |c: &mut Case, pass: u32| {
        beats(c, pass);
        if pass == 1 {
            c.ceilings.slept(Duration::from_secs(3600));
        }
    };
    assert_eq!(passes(&mut c, 100, Duration::from_secs(1), sleeps), [] as [&str; 0]);
}
