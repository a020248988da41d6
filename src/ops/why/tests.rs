//! Sentences from constructed facts. The clock stands at 100 s.

mod ends;

use super::{
    super::tests::{configured, recorded, recorded_agent},
    *,
};
use crate::model::task::Spec;
use crate::{
    admission::{FREE_DISK, FREE_MEMORY},
    model::{
        agent::{Agent, AgentState},
        cause::Cause,
        wait::Needs,
    },
    samples,
    store::observe::Breaker,
};

const NOW: Timestamp = Timestamp(100_000);

fn around(config: &Config) -> Around<'_> {
    let snapshot = Snapshot { now: NOW, ..Snapshot::default() };
    Around {
        config,
        supervised: true,
        outdated: false,
        snapshot,
        free_memory: None,
        free_disk: None,
        events: Vec::new(),
        displaced: Vec::new(),
        way_back: None,
    }
}

fn about(task: Task) -> TaskFacts {
    let detail = TaskDetail::of(task);
    TaskFacts {
        detail,
        parent: None,
        before: Vec::new(),
        children: Vec::new(),
        links: Vec::new(),
        ahead: BTreeMap::new(),
        shared: None,
        lacks: BTreeMap::new(),
        full_plans: BTreeMap::new(),
        deadlock: None,
        short: BTreeMap::new(),
        rivals: Vec::new(),
        run: None,
    }
}

fn tried(number: u32, cause: Option<Cause>, reason: &str) -> Attempt {
    Attempt {
        fence: number.into(),
        ended_at: cause.map(|_| Timestamp(52_000)),
        cause,
        reason: cause.map(|_| reason.to_owned()),
        ..samples::attempt(number, "shell-1", Timestamp(40_000))
    }
}

#[test]
fn a_ready_task_tells_each_obstacle_with_its_remedy() {
    let config = configured();
    let facts = about(recorded(TaskState::Ready));
    let said = |change: &dyn Fn(&mut Around)| {
        let mut around = around(&config);
        change(&mut around);
        let out = task::explain(&around, &facts);
        (out.sentences[0].clone(), out.hints.first().cloned().unwrap_or_default())
    };
    let breaker = Breaker { failures: 3, until: Timestamp(120_000), reason: "exit code 127".into() };
    type Case<'a> = (&'a dyn Fn(&mut Around), &'a str, &'a str);
    let cases: [Case; 11] = [
        (&|_| {}, "No agent of role shell is free; the supervisor starts one.", ""),
        (&|a| a.outdated = true, "sessions.toml has changed since orch start", "orch reload"),
        (&|a| a.supervised = false, "The supervisor is not running", "orch start"),
        (&|a| a.snapshot.requests.stop = Some(true), "orch is being stopped", "orch start"),
        (&|a| a.snapshot.requests.pause = true, "Everything is paused", "orch resume"),
        (&|a| a.snapshot.requests.paused_roles = vec!["shell".into()], "Role shell is paused", "orch resume shell"),
        (&|a| a.snapshot.requests.scale = [("shell".into(), 0)].into(), "scaled to 0", "orch scale shell 1"),
        (
            &|a| drop(a.snapshot.breakers.insert("shell".into(), breaker.clone())),
            "fail right after they start (exit code 127); the next one starts in 20s",
            "orch spawn shell",
        ),
        (&|a| a.free_memory = Some(5), "No new agent is started: 5 bytes of memory are free", FREE_MEMORY),
        (&|a| a.free_disk = Some(5), "No new agent is started: the disk is full: 5 bytes are free", FREE_DISK),
        (&|a| a.snapshot.agents = vec![recorded_agent("shell-1", AgentState::Idle)], "shell-1 is idle", ""),
    ];
    for (change, sentence, hint) in cases {
        let (first, hinted) = said(change);
        assert!(first.contains(sentence), "{first}");
        assert_eq!(hinted, hint, "{first}");
    }
    let waited = task::explain(&around(&config), &facts).sentences.pop();
    assert_eq!(
        waited.as_deref(),
        Some("It has been ready for 1m39s; the next free agent of role shell takes it once nothing keeps it.")
    );
}

#[test]
fn a_role_that_is_gone_is_named() {
    let config = configured();
    let facts = about(Task {
        spec: Spec { role: "gone".into(), ..recorded(TaskState::Ready).spec },
        ..recorded(TaskState::Ready)
    });
    let out = task::explain(&around(&config), &facts);
    assert!(out.sentences[0].contains("no role gone any more"), "{out:?}");
    assert!(out.hints.iter().any(|h| h.contains("[roles.gone]")), "{out:?}");
}

#[test]
fn a_waiting_task_does_not_take_a_place() {
    let config = configured();
    let running = |waiting| Task { agent: Some("shell-1".into()), waiting, ..recorded(TaskState::Running) };
    let said = |waiting| {
        let facts = TaskFacts { rivals: vec![running(waiting)], ..about(recorded(TaskState::Ready)) };
        task::explain(&around(&config), &facts).sentences.join("\n")
    };
    assert!(said(false).contains("The one slot of role shell is taken"), "{}", said(false));
    assert!(!said(true).contains("slot"), "{}", said(true));
}

#[test]
fn a_blocked_task_is_followed_to_where_its_chain_begins() {
    let config = configured();
    let root = Task { reason: Some("log in.".into()), ..recorded(TaskState::Held) };
    let link = Task {
        spec: Spec { after: vec![root.id.clone()], ..recorded(TaskState::Blocked).spec },
        ..recorded(TaskState::Blocked)
    };
    let done = recorded(TaskState::Succeeded);
    let task = Task {
        spec: Spec { after: vec![link.id.clone(), done.id.clone()], ..recorded(TaskState::Blocked).spec },
        ..recorded(TaskState::Blocked)
    };
    let before = vec![link.clone(), done.clone()];
    let facts = TaskFacts { before, links: vec![link.clone(), done, root.clone()], ..about(task) };
    let out = task::explain(&around(&config), &facts);
    assert_eq!(
        out.sentences,
        [format!("1 of the 2 tasks it comes after has not succeeded yet: {} (blocked).", link.id),]
    );
    assert_eq!(
        chained(&out),
        [
            format!("1 {} blocked: comes after {}", link.id, root.id),
            format!("2 {} held: waits for a person: log in", root.id),
        ]
    );
    assert_eq!(out.hints, [format!("orch why {}", root.id)]);
}

/// The chain in short: depth, task, state, why.
fn chained(out: &Explanation) -> Vec<String> {
    out.chain.iter().map(|l| format!("{} {} {}: {}", l.depth, l.id, l.state, l.why)).collect()
}

#[test]
fn a_chain_tells_of_each_link_what_it_waits_for() {
    let config = configured();
    let delayed =
        Task { due_at: Some(Timestamp(160_000)), reason: Some("exit code 1".into()), ..recorded(TaskState::Delayed) };
    let ready = recorded(TaskState::Ready);
    let at_work = Task { agent: Some("shell-1".into()), ..recorded(TaskState::Running) };
    let gone = Task { agent: Some("shell-9".into()), ..recorded(TaskState::Running) };
    let ended = recorded(TaskState::Failed);
    let waiting = Task {
        agent: Some("lead-1".into()),
        waiting: true,
        children: [&at_work, &gone, &ended].map(|t| t.id.clone()).into(),
        ..recorded(TaskState::Running)
    };
    let after = [&delayed, &ready, &waiting].map(|t| t.id.clone());
    let task = Task {
        spec: Spec { after: after.into(), ..recorded(TaskState::Blocked).spec },
        ..recorded(TaskState::Blocked)
    };
    let links = [&delayed, &ready, &waiting, &at_work, &gone, &ended].map(Task::clone);
    let ahead = [(ready.id.clone(), 2)].into();
    let facts = TaskFacts { links: links.into(), ahead, ..about(task) };
    let mut around = around(&config);
    around.snapshot.requests.paused_roles = vec!["shell".into()];
    around.snapshot.agents = vec![recorded_agent("shell-1", AgentState::Busy)];
    let out = task::explain(&around, &facts);
    assert_eq!(
        chained(&out),
        [
            format!(
                "1 {} delayed: due in 1m00s, at 1970-01-01T00:02:40.000Z; its last attempt: exit code 1",
                delayed.id
            ),
            format!(
                "1 {} ready: Role shell is paused: none of its tasks starts. 2 ready tasks of its role go first.",
                ready.id
            ),
            format!("1 {} running: lead-1 is at it, and waits for its subtasks", waiting.id),
            format!("2 {} running: shell-1 has worked on it for 1m39s; last heard 1.0s ago", at_work.id),
            format!("2 {} running: shell-9 had it, and no longer exists", gone.id),
        ]
    );
    let leaves: Vec<String> = [&delayed, &ready, &at_work].iter().map(|t| format!("orch why {}", t.id)).collect();
    assert_eq!(out.hints, leaves);
}

#[test]
fn a_circle_and_an_endless_chain_are_told_once_and_not_for_ever() {
    let config = configured();
    let (mut one, mut two) = (recorded(TaskState::Blocked), recorded(TaskState::Blocked));
    let task = Task {
        spec: Spec { after: vec![one.id.clone(), two.id.clone()], ..recorded(TaskState::Blocked).spec },
        ..recorded(TaskState::Blocked)
    };
    (one.after, two.after) = (vec![two.id.clone(), task.id.clone()], vec![one.id.clone()]);
    let facts = TaskFacts { links: vec![one, two], ..about(task.clone()) };
    let out = task::explain(&around(&config), &facts);
    let told: Vec<_> = out.chain.iter().map(|l| (l.depth, l.why == "explained above")).collect();
    assert_eq!(told, [(1, false), (2, false), (3, true), (1, true)]);

    let mut links = vec![recorded(TaskState::Held)];
    for n in 0..30 {
        links.push(Task {
            spec: Spec { after: vec![links[n].id.clone()], ..recorded(TaskState::Blocked).spec },
            ..recorded(TaskState::Blocked)
        });
    }
    let task = Task { spec: Spec { after: vec![links[30].id.clone()], ..task.spec }, ..task };
    let facts = TaskFacts { links, ..about(task) };
    assert_eq!(task::explain(&around(&config), &facts).chain.len(), chain::DEPTH);
}

#[test]
fn the_evidence_of_the_last_attempt_that_was_lost_is_shown() {
    use crate::model::evidence::{Observer, Rule};
    let config = configured();
    let lost = |rule| Some(Box::new(Evidence::of(rule, Observer::Supervisor, "shell-1")));
    let mut facts = about(Task { agent: Some("shell-2".into()), ..recorded(TaskState::Running) });
    facts.detail.attempts = vec![
        Attempt { evidence: lost(Rule::Lease), ..tried(1, Some(Cause::Lost), "x") },
        Attempt { evidence: lost(Rule::ProcessGone), ..tried(2, Some(Cause::Lost), "x") },
        tried(3, None, ""),
    ];
    let out = task::explain(&around(&config), &facts);
    assert_eq!(out.evidence, lost(Rule::ProcessGone));

    let mut record = recorded_agent("shell-1", AgentState::Failed);
    record.agent.evidence = lost(Rule::StallTimeout);
    let out = agent::explain(&around(&config), &AgentFacts { record, task: None });
    assert_eq!(out.evidence, lost(Rule::StallTimeout));
}

#[test]
fn a_delayed_task_tells_when_and_what_is_used() {
    let config = configured();
    let task = Task {
        due_at: Some(Timestamp(112_000)),
        failures: 2,
        lost: 1,
        cause: Some(Cause::Transient),
        ..recorded(TaskState::Delayed)
    };
    let mut facts = about(task);
    facts.detail.attempts = vec![tried(2, Some(Cause::Transient), "exit code 1")];
    let out = task::explain(&around(&config), &facts);
    assert_eq!(
        out.sentences,
        [
            "Attempt 3 may start in 12s, at 1970-01-01T00:01:52.000Z.",
            "Attempt 2 (shell-1, 12s) ended as transient: exit code 1.",
            "2 of 3 retries used.",
            "1 of 3 lost attempts forgiven.",
        ]
    );
}

#[test]
fn a_running_task_tells_who_since_when_and_what_is_wrong() {
    let config = configured();
    let task = Task { agent: Some("shell-1".into()), cancelling: true, ..recorded(TaskState::Running) };
    let mut facts = about(task);
    facts.detail.attempts = vec![tried(1, None, "")];
    let mut around = around(&config);
    let mut record = recorded_agent("shell-1", AgentState::Busy);
    (record.agent.needs, record.agent.needs_since) = (Some(Needs::Permission), Some(Timestamp(80_000)));
    record.agent.needs_for = Some("run Bash: ls".into());
    record.agent.heartbeat_at = Some(Timestamp(60_000));
    around.snapshot.agents = vec![record];
    let out = task::explain(&around, &facts);
    assert_eq!(
        out.sentences,
        [
            "It is being cancelled: shell-1 was asked to end it.",
            "shell-1 has worked on it for 1m00s (attempt 1).",
            "Its time limit of 1m00s stands still while its program waits for a person; person_timeout sets no bound to that.",
            "Its program has waited for an answer for 20s: it asks to run Bash: ls.",
            "shell-1 last reported 40s ago, longer than its lease of 30s: the supervisor takes the task from it.",
        ]
    );
    assert!(out.hints.contains(&"orch attach shell-1".to_owned()));
    around.snapshot.agents.clear();
    assert!(task::explain(&around, &facts).sentences[3].contains("no longer exists"));
}

#[test]
fn an_end_is_told_with_its_cause_and_every_attempt() {
    let config = configured();
    let ended = |state, cause: Cause| {
        let task = Task {
            ended_at: Some(Timestamp(52_000)),
            cause: Some(cause),
            reason: Some("it ended".into()),
            lost: 4,
            failures: 4,
            ..recorded(state)
        };
        let mut facts = about(task);
        facts.detail.attempts =
            vec![tried(1, Some(Cause::Lost), "agent shell-1 died"), tried(2, Some(cause), "it ended")];
        task::explain(&around(&config), &facts)
    };
    let first = "Attempt 1 (shell-1, 12s) ended as lost: agent shell-1 died.";
    for (state, cause, said) in [
        (TaskState::Failed, Cause::Transient, ["It failed 48s ago: it ended.", "All 3 retries are used.", first]),
        (
            TaskState::Failed,
            Cause::Lost,
            [
                "It failed 48s ago: it ended.",
                "It was lost 4 times, and 3 are forgiven: it may be what ends its agents.",
                first,
            ],
        ),
        (
            TaskState::Failed,
            Cause::Permanent,
            ["It failed 48s ago: it ended.", "A permanent failure is not retried.", first],
        ),
        (
            TaskState::Cancelled,
            Cause::Cancelled,
            ["It was cancelled 48s ago: it ended.", first, "Attempt 2 (shell-1, 12s) ended as cancelled."],
        ),
    ] {
        assert_eq!(ended(state, cause).sentences[..3], said);
    }
    let out = ended(TaskState::Succeeded, Cause::Success);
    assert_eq!(out.sentences, ["shell-1 completed it in 12s, in attempt 2, 48s ago.", first]);
}

#[test]
fn every_state_of_an_agent_is_explained() {
    let config = configured();
    for state in AgentState::ALL {
        let mut record = recorded_agent("shell-1", *state);
        record.agent.reason = Some("the reason".into());
        record.agent.task = (*state == AgentState::Busy).then(TaskId::random);
        let out = agent::explain(&around(&config), &AgentFacts { record, task: None });
        assert!(out.sentences[0].contains("1m39s"), "{out:?}");
        let tells_why = matches!(state, AgentState::Idle | AgentState::Busy) || out.sentences[0].contains("the reason");
        assert!(tells_why, "{out:?}");
    }
}

#[test]
fn a_task_that_waits_for_a_person_takes_a_place_and_whoever_waits_for_that_is_told() {
    let config = configured();
    let asks = Task { agent: Some("shell-1".into()), ..recorded(TaskState::Running) };
    let facts = TaskFacts { rivals: vec![asks.clone()], ..about(recorded(TaskState::Ready)) };
    let mut around = around(&config);
    let agent = recorded_agent("shell-1", AgentState::Busy);
    around.snapshot.agents =
        vec![Record { agent: Agent { needs: Some(Needs::Input), ..agent.agent.clone() }, ..agent }];
    let out = task::explain(&around, &facts);
    let said = format!(
        "The one slot of role shell is taken, by {} (running, shell-1; its program asks for input: see its screen).",
        asks.id
    );
    assert_eq!(out.sentences[0], said);
    assert_eq!(out.hints[0], format!("orch why {}", asks.id));
}

#[test]
fn the_master_that_asks_says_since_when_and_where_to_answer() {
    let config = configured();
    let mut record = recorded_agent("opus-master", AgentState::Idle);
    let agent = &mut record.agent;
    agent.master = true;
    (agent.needs, agent.needs_since) = (Some(Needs::Permission), Some(Timestamp(35_000)));
    let out = agent::explain(&around(&config), &AgentFacts { record, task: None });
    assert_eq!(
        out.sentences[1],
        "Its program has waited for an answer for 1m05s: it asks for permission: see its screen."
    );
    assert_eq!(out.hints, ["orch attach opus-master"]);
}
