//! Idle agents call no model.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use crate::model_server::{Answer, when};

const AGENTS: usize = 20;
/// How long the agents are observed: long enough to notice a poll every ten seconds. `REST_VARIABLE` sets another time,
/// in seconds.
const REST: Duration = Duration::from_secs(30);
const REST_VARIABLE: &str = "ORCH_AGENTS_IDLE_SECONDS";

#[test]
fn idle_agents_call_no_model() {
    let tables = format!("[roles.sonnet]\ndriver = \"claude\"\nmin = {AGENTS}\nmax = {AGENTS}");
    let rules = vec![when("say hello").answer(Answer::text("hello"))];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", &tables, rules) else { return };
    fleet.wait_until("all agents are idle, and the master is at its prompt", || {
        let idle = fleet.world.agents("sonnet").iter().filter(|agent| agent["state"] == "idle").count();
        idle == AGENTS && !fleet.processes_of("claude").is_empty()
    });
    fleet.done("sonnet", "say hello");
    let asked = fleet.model.asked().len();
    assert_eq!(asked, 1, "the agents call this service");

    let rest =
        std::env::var(REST_VARIABLE).ok().map_or(REST, |text| Duration::from_secs(text.parse().expect("seconds")));
    let began = Instant::now();
    while began.elapsed() < rest {
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(fleet.model.asked().len(), asked, "called while idle: {:#?}", fleet.model.asked().last());
    }
    assert_eq!(fleet.processes_of("claude").len(), 1, "only the master's claude runs");
    fleet.stop();
}
