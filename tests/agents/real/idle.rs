//! Idle agents call no model.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use crate::model_server::{Answer, when};

const AGENTS: usize = 20;
/// How long they rest: in a test, a time in which a poll of every ten seconds would show. Longer by this variable, in
/// seconds.
const REST: Duration = Duration::from_secs(30);
const REST_VARIABLE: &str = "ORCH_AGENTS_IDLE_SECONDS";

#[test]
fn agents_at_rest_ask_no_model_anything() {
    let tables = format!("[roles.sonnet]\ndriver = \"claude\"\nmin = {AGENTS}\nmax = {AGENTS}");
    let rules = vec![when("say hello").answer(Answer::text("hello"))];
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", &tables, rules) else { return };
    fleet.wait_until("all are at rest, and the master is at its prompt", || {
        let idle = fleet.world.agents("sonnet").iter().filter(|agent| agent["state"] == "idle").count();
        idle == AGENTS && !fleet.processes_of("claude").is_empty()
    });
    fleet.done("sonnet", "say hello");
    let asked = fleet.model.asked().len();
    assert_eq!(asked, 1, "the service is the one they ask");

    let rest =
        std::env::var(REST_VARIABLE).ok().map_or(REST, |text| Duration::from_secs(text.parse().expect("seconds")));
    let began = Instant::now();
    while began.elapsed() < rest {
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(fleet.model.asked().len(), asked, "asked at rest: {:#?}", fleet.model.asked().last());
    }
    assert_eq!(fleet.processes_of("claude").len(), 1, "the master's");
    fleet.stop();
}
