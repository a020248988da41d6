//! What needs a person, of what there is to be seen.

use super::{
    super::tests::{configured, recorded, recorded_agent},
    *,
};
use crate::model::task::Spec;
use crate::{
    admission::{FIX_ROLE, FREE_MEMORY},
    model::{
        agent::AgentState,
        attention::in_short,
        question::QuestionKind,
        time::Timestamp,
        wait::Needs,
        wait::{Retry, Retrying},
    },
    store::{
        observe::{Breaker, Load},
        spend::Suspended,
    },
};

fn said(supervised: bool, look: &Look) -> Vec<(String, String)> {
    in_short(&of(&configured(), supervised, look)).into_iter().map(|a| (a.what, a.do_)).collect()
}

#[test]
fn all_is_well_where_there_is_nothing() {
    assert_eq!(said(false, &Look::default()), []);
    let done = Look { counts: [(TaskState::Succeeded, 3)].into(), ..Look::default() };
    assert_eq!(said(false, &done), [], "ended tasks need no supervisor");
}

#[test]
fn a_machine_without_memory_starts_nobody_and_says_so() {
    let look = Look { free_memory: Some(1 << 20), ..Look::default() };
    assert_eq!(said(false, &look), [], "without a supervisor nobody is started anyway");
    let what = "no new agent is started: 1 MiB of memory are free, min_free_memory is 128 MiB";
    assert_eq!(said(true, &look), [(what.to_owned(), FREE_MEMORY.to_owned())]);
}

#[test]
fn each_trouble_is_one_sentence_with_one_command() {
    let mut look = Look { counts: [(TaskState::Ready, 2), (TaskState::Running, 1)].into(), ..Look::default() };
    let mut agent = recorded_agent("shell-1", AgentState::Busy);
    agent.agent.needs = Some(Needs::Login);
    let mut master = recorded_agent("opus-master", AgentState::Idle);
    (master.agent.needs, master.agent.needs_since) = (Some(Needs::Permission), Some(Timestamp(400)));
    look.snapshot.agents = vec![master, agent];
    look.snapshot.now = Timestamp(1_000);
    let breaker = |until| Breaker { failures: 3, until: Timestamp(until), reason: "exit code 127".into() };
    look.snapshot.breakers =
        [("shell".into(), breaker(9_000)), ("lead".into(), breaker(1_000)), ("opus-master".into(), breaker(9_000))]
            .into();
    look.snapshot.load = [("shell".into(), Load { ready: 1, ..Load::default() })].into();
    look.snapshot.requests.scale = [("shell".into(), 0)].into();
    look.snapshot.requests.drain = true;
    let held = |code, until, reason: &str| Suspended { code, until, reason: reason.into(), account: None };
    look.snapshot.suspended = [
        ("lead".into(), held(GateCode::BudgetDay, Some(Timestamp(61_000)), "1.00 USD of 1.00 are used")),
        ("shell".into(), held(GateCode::ProgramMissing, None, "its program sh is not on PATH")),
    ]
    .into();
    look.ready_of_unknown = vec![Task {
        spec: Spec { role: "gone".into(), ..recorded(TaskState::Ready).spec },
        ..recorded(TaskState::Ready)
    }];
    let said = said(false, &look);
    let expected = [
        ("the supervisor is not running, and 3 tasks have not ended", "orch start"),
        (
            "agent opus-master waits: its program asks for permission: see its screen (for 600ms)",
            "orch attach opus-master",
        ),
        ("agent shell-1 waits: its program asks for login", "orch attach shell-1"),
        ("the master does not stay up (exit code 127); the next try is in 8.0s", "orch doctor"),
        (
            "agents of role shell fail right after they start (exit code 127); the next one starts in 8.0s",
            "orch spawn shell",
        ),
        (
            "role lead starts nothing for 1m00s, until 1970-01-01T00:01:01.000Z: 1.00 USD of 1.00 are used",
            "wait: it ends by itself; orch costs",
        ),
        ("role shell can't be started: its program sh is not on PATH", FIX_ROLE),
        ("role shell was scaled to 0, and 1 ready task waits for it", "orch scale shell 1"),
        ("there is no role gone any more, and 1 ready task waits for it", "write [roles.gone] into"),
        ("orch is draining: nothing new is accepted", "orch resume"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for ((what, do_), (expected_what, expected_do)) in said.iter().zip(expected) {
        assert_eq!(what, expected_what);
        assert!(do_.starts_with(expected_do), "{do_}");
    }
}

#[test]
fn what_exactly_is_asked_is_said_and_a_service_that_is_away_for_a_moment_is_not() {
    let mut asking = recorded_agent("shell-1", AgentState::Busy);
    (asking.agent.needs, asking.agent.needs_for) = (Some(Needs::Permission), Some("run Bash: npm publish".into()));
    let mut retrying = recorded_agent("shell-2", AgentState::Busy);
    let retry = Retry { attempt: Some(7), of: Some(10), why: "overloaded (529)".into(), limited_until: None };
    retrying.agent.retrying = Some(Retrying { retry, since: Timestamp(1_000) });
    let mut look = Look::default();
    look.snapshot.agents = vec![asking, retrying];
    look.snapshot.now = Timestamp(60_999);
    let asks = "agent shell-1 waits: its program asks to run Bash: npm publish";
    assert_eq!(said(true, &look), [(asks.to_owned(), "orch attach shell-1".to_owned())]);
    look.snapshot.now = Timestamp(61_000);
    let tries = "agent shell-2 waits: its program tries again 7 of 10: overloaded (529) (for 1m00s)";
    let said = said(true, &look);
    assert!(said.len() == 2 && said[1].0 == tries && said[1].1.contains("orch why shell-2"), "{said:?}");
}

#[test]
fn a_question_that_is_only_counted_is_not_said_again_of_its_agent() {
    let task = recorded(TaskState::Running).id;
    let mut agent = recorded_agent("shell-1", AgentState::Busy);
    (agent.agent.needs, agent.agent.task) = (Some(Needs::Input), Some(task.clone()));
    let mut look = Look { all_asking: vec![task], ..Look::default() };
    look.snapshot.agents = vec![agent];
    let said = said(true, &look);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].0.contains("ask"), "{said:?}");
}

#[test]
fn a_limit_that_roles_share_is_told_once() {
    let held = |account: &str| Suspended {
        code: GateCode::RateLimited,
        until: Some(Timestamp(61_000)),
        reason: "claude: a limit is reached".into(),
        account: Some(account.into()),
    };
    let mut look = Look::default();
    look.snapshot.now = Timestamp(1_000);
    look.snapshot.suspended = ["a", "b", "c", "d", "sonnet"].map(|role| (role.to_owned(), held("claude x"))).into();
    look.snapshot.suspended.insert("other".into(), held("codex x"));
    look.snapshot.load = [("sonnet".into(), Load { ready: 3, ..Load::default() })].into();
    let said = said(true, &look);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].0.starts_with("roles sonnet, a, b and 2 more start nothing for 1m00s, until 1970-"), "{said:?}");
    assert!(said[0].1.ends_with("orch resume sonnet"), "{said:?}");
    assert!(said[1].0.starts_with("role other starts nothing for 1m00s"), "{said:?}");
}

#[test]
fn few_dead_letters_are_named_and_many_are_counted() {
    let failed: Vec<_> = (0..3).map(|_| (recorded(TaskState::Failed), Timestamp(0))).collect();
    let look = |all| Look { counts: [(TaskState::Failed, all)].into(), failed: failed.clone(), ..Look::default() };
    assert_eq!(said(true, &look(3)).len(), 3);
    let many = said(true, &look(40));
    assert_eq!(many.len(), 1);
    let made_up = Look { counts: [(TaskState::Failed, 2)].into(), made_up_for: 2, ..Look::default() };
    assert_eq!(said(true, &made_up), [], "their plans made up for them");
    assert!(many[0].0.starts_with("40 tasks have failed") && many[0].1 == "orch tasks --state failed", "{many:?}");
}

#[test]
fn a_held_task_is_looked_into_and_retried_wherever_its_agent_is() {
    let task = Task { reason: Some("log in".into()), ..recorded(TaskState::Held) };
    let id = task.id.clone();
    let mut look = Look { counts: [(TaskState::Held, 5)].into(), held: vec![(task, Timestamp(0))], ..Look::default() };
    for agents in [vec![], vec![recorded_agent("shell-1", AgentState::Busy)]] {
        look.snapshot.agents = agents;
        let said = said(true, &look);
        let expected = (format!("task {id} is held: log in"), format!("orch why {id}, then: orch retry {id}"));
        assert_eq!(said[0], expected);
        assert_eq!(said[1], ("4 more tasks are held".into(), "orch tasks --state held".into()));
    }
    look.counts = [(TaskState::Held, 2)].into();
    assert_eq!(said(true, &look)[1].0, "1 more task is held");
}

#[test]
fn programs_get_every_question_as_an_object_with_the_commands_that_answer_it() {
    let task = recorded(TaskState::Running).id;
    let question = |number, options: &[&str]| Question {
        number,
        kind: QuestionKind::Question,
        rights: Vec::new(),
        question: format!("Which colour, for {number}?\nIt stays."),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        attempt: 1,
        asked_at: Timestamp(500),
        answer: None,
        approval: None,
        until: None,
        by_default: None,
        answered_at: None,
        answered_by: None,
        closed: None,
    };
    let mut agent = recorded_agent("shell-1", AgentState::Busy);
    agent.agent.task = Some(task.clone());
    let others = (0..6).map(|_| (recorded(TaskState::Held).id, vec![question(1, &[])]));
    let mut look = Look { asking: vec![(task.clone(), vec![question(2, &["red", "dark blue"])])], ..Look::default() };
    look.asking.extend(others);
    look.all_asking = look.asking.iter().map(|(id, _)| id.clone()).collect();
    look.snapshot.agents = vec![agent];
    let all = of(&configured(), true, &look);
    assert_eq!(all.len(), 7, "none is left out");
    let json = serde_json::to_value(&all[0]).unwrap();
    assert_eq!(json["kind"], "question");
    assert_eq!((&json["task"], &json["agent"]), (&task.as_str().into(), &"shell-1".into()));
    assert_eq!((&json["question"], &json["question_id"]), (&2.into(), &format!("{task}#2").into()));
    assert_eq!(json["text"], "Which colour, for 2?\nIt stays.");
    assert_eq!(json["options"], serde_json::json!(["red", "dark blue"]));
    assert_eq!(json["since"], "1970-01-01T00:00:00.500Z");
    let commands = [format!("orch answer {task}#2 red"), format!("orch answer {task}#2 'dark blue'")];
    assert_eq!(json["commands"], serde_json::json!(commands));
    assert_eq!(json["do"], commands.join(", or: "));
    let said = said(true, &look);
    assert_eq!((said.len(), said[3].0.as_str()), (4, "4 more tasks ask something"));
    assert_eq!(said[3].1, "orch questions");
}
