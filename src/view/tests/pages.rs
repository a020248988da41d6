//! Whole pages: status, a task, an agent, an explanation, the doctor.

use super::*;
use crate::{
    model::{
        cause::Cause,
        evidence::{Evidence, Observer, Rule},
        task::{Attempt, TaskDetail, TaskResult, Usage},
    },
    ops::types::{Check, Link, Started, Why},
    samples,
};

#[test]
fn status_at_80_columns() {
    let page = status::page(&busy_status(), ATTACH, &view(Some(80)));
    fits(&page, 80);
    same(
        &page,
        "
shop-1a2b3c4d  supervisor running · pid 4242 · up 2h05m
  redis ok (managed 7.0.15)
tasks  0 ready · 1 held · 2 running · 12 succeeded

AGENT               ROLE       STATE        TASK            FOR  HEARTBEAT  DONE
opus-master         opus       idle                       3m20s       1.2s     4
sonnet-2            sonnet     needs login  t-0000000002  3m20s       1.2s     4
sonnet-1            sonnet     busy         t-0000000001  3m20s       1.2s     4
backend-reviewer-1  backend-…  waiting      t-0000000003  3m20s       1.2s     4

needs you:
  task t-0000000002 is held: claude asks to log in
    orch attach sonnet-2
",
    );
}

#[test]
fn status_at_40_columns() {
    let page = status::page(&busy_status(), ATTACH, &view(Some(40)));
    fits(&page, 40);
    same(
        &page,
        "
shop-1a2b3c4d  supervisor running
  pid 4242 · up 2h05m
  redis ok (managed 7.0.15)
tasks  0 ready · 1 held · 2 running
  12 succeeded

AGENT          STATE        TASK
opus-master    idle
sonnet-2       needs login  t-0000000002
sonnet-1       busy         t-0000000001
backend-revi…  waiting      t-0000000003

needs you:
  task t-0000000002 is held: claude asks
  to log in
    orch attach sonnet-2
",
    );
}

#[test]
fn attention_comes_before_many_agents_on_a_page_that_is_cut() {
    let mut status = busy_status();
    status.agents = (1..200).map(|n| an_agent(&format!("shell-{n}"), "shell", AgentState::Idle)).collect();
    let page = status::watched(&status, ATTACH, &view(Some(80)));
    assert!(page.lines().take(8).any(|l| l.contains("orch attach sonnet-2")), "{page}");
    assert_eq!(page.lines().count(), status::page(&status, ATTACH, &view(Some(80))).lines().count());
}

#[test]
fn a_stopped_supervisor_is_shown_with_the_command_that_starts_it() {
    let page = status::page(&stopped_status(), ATTACH, &view(Some(80)));
    same(
        &page,
        "
shop-1a2b3c4d  supervisor stopped · redis stopped (managed)

next:
  orch start   start what is stopped
",
    );
    let mut told = stopped_status();
    told.attention.push(Attention::by(AttentionKind::Supervisor, "nothing runs", "orch start"));
    assert_eq!(status::page(&told, ATTACH, &view(None)).matches("orch start").count(), 1);
}

#[test]
fn what_could_not_be_read_is_left_out() {
    let mut status = busy_status();
    status.redis = RedisStatus { state: "unreachable".into(), mode: "managed".into(), version: None };
    status.supervisor.accepting = false;
    status.tasks.values_mut().for_each(|n| *n = 0);
    let page = status::page(&status, ATTACH, &view(None));
    assert!(!page.contains("tasks") && !page.contains("draining") && !page.contains("orch delegate"), "{page}");
}

#[test]
fn pause_and_drain_are_in_the_first_line() {
    let mut status = busy_status();
    status.supervisor.paused_roles = vec!["shell".into()];
    status.supervisor.accepting = false;
    let page = status::page(&status, ATTACH, &view(None));
    let first = page.lines().next().unwrap();
    assert!(first.contains("paused roles: shell") && first.contains("draining: accepts nothing new"), "{first}");
}

#[test]
fn without_redis_what_only_redis_knows_is_left_out() {
    let mut status = busy_status();
    (status.redis.state, status.supervisor.accepting) = ("unreachable".into(), false);
    status.tasks.values_mut().for_each(|n| *n = 0);
    let page = status::page(&status, ATTACH, &view(None));
    assert!(!page.contains("draining") && !page.contains("orch delegate"), "{page}");
}

#[test]
fn an_empty_project_is_shown_with_the_first_commands() {
    let mut status = busy_status();
    status.tasks.values_mut().for_each(|n| *n = 0);
    status.attention.clear();
    status.agents.truncate(1);
    same(
        &status::page(&status, ATTACH, &view(Some(80))),
        "
shop-1a2b3c4d  supervisor running · pid 4242 · up 2h05m
  redis ok (managed 7.0.15)
tasks  0 ready · 0 running

AGENT        ROLE  STATE    FOR  HEARTBEAT  DONE
opus-master  opus  idle   3m20s       1.2s     4

next:
  orch delegate --role shell 'echo hello'   submit a task
  tmux attach -t opus-master                see the master
",
    );
    same(
        &status::first_steps(ATTACH, &view(Some(40))),
        "
next:
  orch delegate --role shell 'echo hello'
  tmux attach -t opus-master
",
    );
}

#[test]
fn a_start_shows_what_runs_and_what_to_type() {
    let reached_rights = vec!["role web may not run any command".to_owned()];
    let (status, session) = (busy_status(), "opus-master".to_owned());
    let other_projects = vec!["shop-1a2b3c has its master in the session shop-1a2b3c-master (/work/shop)".into()];
    let started = Started {
        already: true,
        status,
        session,
        reached_rights,
        runs_by_itself: Vec::new(),
        other_projects,
        not_passed: vec!["LEGACY".into()],
    };
    let page = lifecycle::started(&started, ATTACH, &view(None));
    assert!(page.starts_with("running already\n"), "{page}");
    assert!(page.contains("supervisor running") && page.contains(ATTACH), "{page}");
    assert!(page.contains("without a person's approval:\n  role web may not run any command\n"), "{page}");
}

fn detail() -> TaskDetail {
    let lost = Attempt {
        fence: 17,
        ended_at: Some(ago(100)),
        cause: Some(Cause::Lost),
        reason: Some("agent sonnet-1 died: signal 9".into()),
        ..samples::attempt(1, "sonnet-1", ago(300))
    };
    let last = Attempt {
        number: 2,
        cause: Some(Cause::Success),
        reason: Some("done".into()),
        exit_code: Some(0),
        ..lost.clone()
    };
    let mut task = a_task(1, TaskState::Succeeded, "Write the tests.\nAll of them.\x1b]0;title\x07");
    task.children = vec![id(2), id(3)];
    task.labels.insert("team".into(), "core".into());
    task.context = Some(serde_json::json!({"file": "a.rs"}));
    task.ended_at = Some(ago(100));
    task.lost = 1;
    let result = TaskResult {
        text: (0..14).map(|n| format!("line {n}\n")).collect(),
        exit_code: Some(0),
        usage: Some(Usage { input_tokens: 1_200, output_tokens: 340, cost_usd: 0.1234, ..Usage::default() }),
        duration_ms: 12_345,
        path: "/state/shop/runs/t-0000000001/2".into(),
        ..TaskResult::default()
    };
    TaskDetail { attempts: vec![lost, last], result: Some(result), ..TaskDetail::of(task) }
}

#[test]
fn a_task_with_everything_recorded() {
    same(
        &task::page(&detail(), &view(Some(80))),
        "
t-0000000001  succeeded
text        Write the tests.
            All of them.
role        sonnet
priority    normal
subtasks    t-0000000002 t-0000000003
context     {\"file\":\"a.rs\"}
labels      team=core
created     2024-11-20 07:25:45Z (16m39s ago)
ended       2024-11-20 07:40:44Z
limits      30m00s per attempt; 0 of 3 failures, 1 of 3 losses used

ATTEMPT  AGENT     STARTED    TOOK  CAUSE    EXIT  REASON
      1  sonnet-1  07:37:24  3m20s  lost           agent sonnet-1 died: signal 9
      2  sonnet-1  07:37:24  3m20s  success     0  done

result:
  line 0
  line 1
  line 2
  line 3
  line 4
  line 5
  line 6
  line 7
  line 8
  line 9
  line 10
  line 11
  (2 more lines: orch result t-0000000001)
took        12s
exit code   0
usage       1200 tokens in, 340 out, 0.12 USD
files       /state/shop/runs/t-0000000001/2
",
    );
}

#[test]
fn a_task_that_runs_again_does_not_show_the_end_of_the_attempt_before() {
    let mut detail = detail();
    detail.task.state = TaskState::Running;
    detail.task.cause = Some(Cause::Lost);
    detail.task.reason = Some("its agent died".into());
    let page = task::page(&detail, &view(Some(80)));
    assert!(!page.contains("its agent died") && !page.contains("result:"), "{page}");
    assert!(page.contains("signal 9"), "the table of attempts tells it: {page}");
    detail.task.state = TaskState::Delayed;
    detail.result = Some(TaskResult::default());
    let page = task::page(&detail, &view(Some(80)));
    assert!(page.contains("its agent died") && page.contains("result: none\n"), "{page}");
}

#[test]
fn an_agent_with_everything_recorded() {
    same(
        &agent::page(&busy_status().agents[1], &view(Some(80))),
        "
sonnet-1  busy
role        sonnet
session     sonnet-1
pid         4711
since       2024-11-20 07:39:04Z (3m20s ago)
task        t-0000000001 (attempt 1)
heartbeat   1.2s ago
memory      210M
started     2024-11-20 06:42:24Z (1h00m ago)
tasks done  4
",
    );
}

#[test]
fn an_explanation_is_broken_between_words() {
    let why = Why {
        id: id(1).to_string(),
        state: "held".into(),
        sentences: vec!["It waits for a person: claude asks to log in.".into(), "Attempt 1 ended 3m ago.".into()],
        hints: vec!["orch attach sonnet-1".into(), format!("orch retry {}", id(1))],
        chain: Vec::new(),
        evidence: None,
        evidence_attempt: None,
        routing: None,
        events: Vec::new(),
    };
    let page = why::page(&why, &view(Some(40)));
    fits(&page, 40);
    same(
        &page,
        "
t-0000000001  held
  It waits for a person: claude asks to
  log in.
  Attempt 1 ended 3m ago.
next:
  orch attach sonnet-1
  orch retry t-0000000001
",
    );
}

#[test]
fn a_chain_and_evidence_are_aligned() {
    let evidence = Evidence {
        state: Some(AgentState::Busy),
        report_on_disk: Some(false),
        ..Evidence::of(Rule::ProcessGone, Observer::Supervisor, "sonnet-1")
    };
    let link = |depth, n, why: &str| Link { depth, id: id(n), state: TaskState::Blocked, why: why.into() };
    let why = Why {
        id: id(1).to_string(),
        state: "blocked".into(),
        sentences: vec!["It comes after two.".into()],
        hints: Vec::new(),
        chain: vec![link(1, 2, "comes after another one"), link(2, 3, "explained above")],
        evidence: Some(Box::new(evidence)),
        evidence_attempt: Some(2),
        routing: None,
        events: Vec::new(),
    };
    let page = why::page(&why, &view(Some(50)));
    fits(&page, 50);
    same(
        &page,
        "
t-0000000001  blocked
  It comes after two.
waits for:
  t-0000000002  blocked: comes after another one
    t-0000000003  blocked: explained above
evidence of the end of attempt 2 (sonnet-1):
  rule     process_gone: its runner's process was
           gone
  seen by  the supervisor, when it was busy
  report   its runner had left none on disk
",
    );
}

#[test]
fn checks_are_shown_with_how_to_fix_them() {
    let check = |name: &str, state, found: &str, fix: Option<&str>| Check {
        name: name.into(),
        state,
        found: found.into(),
        fix: fix.map(String::from),
    };
    let checks = [
        check("tmux", "ok", "3.3a, from /usr/bin/tmux", Some("never shown")),
        check(
            "redis-server",
            "error",
            "it is not on PATH, nor anywhere else we looked",
            Some("apt install redis-server"),
        ),
        check("limits", "warning", "256 open files", Some("ulimit -n 4096")),
    ];
    let page = doctor::checks(&checks, &view(Some(40)));
    fits(&page, 40);
    same(
        &page,
        "
✓ tmux          3.3a, from /usr/bin/tmux
✗ redis-server  it is not on PATH, nor
                anywhere else we looked
    → apt install redis-server
! limits        256 open files
    → ulimit -n 4096
",
    );
}

#[test]
fn colours_are_shown_only_where_they_are_wanted() {
    let status = busy_status();
    let bare = status::page(&status, ATTACH, &view(Some(80)));
    let coloured = status::page(&status, ATTACH, &View { colour: true, ..view(Some(80)) });
    assert!(!bare.contains('\x1b'));
    assert_ne!(coloured, bare);
    assert_eq!(crate::model::text::plain(coloured.as_bytes()), bare);
}
