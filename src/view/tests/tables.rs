//! Tables: what goes first where there is no room.

use super::*;

fn tasks() -> Vec<Task> {
    let mut delayed = a_task(3, TaskState::Delayed, "third\nof two lines");
    delayed.due_at = Some(Timestamp(NOW.0 + 4_000));
    let mut running = a_task(1, TaskState::Running, "Write the tests of the parser, all of them, and some more");
    running.agent = Some("sonnet-1".into());
    let failed = Task { parent: Some(id(1)), ..a_task(2, TaskState::Failed, "a child") };
    let wide = Task { parent: Some(id(1)), ..a_task(4, TaskState::Succeeded, &"日本語".repeat(9)) };
    let below = Task { parent: Some(id(2)), ..a_task(5, TaskState::Ready, "hostile\x1b[2J\ttext") };
    vec![delayed, running, failed, wide, below]
}

#[test]
fn tasks_at_80_columns_the_newest_first() {
    let page = task::list(&tasks(), false, &view(Some(80)));
    fits(&page, 80);
    same(
        &page,
        "
TASK          STATE            AGE  ROLE    AGENT     TEXT
t-0000000005  ready         16m35s  sonnet            hostile text
t-0000000004  succeeded     16m36s  sonnet            日本語日本語日本語日本語…
t-0000000003  delayed 4.0s  16m37s  sonnet            third…
t-0000000002  failed        16m38s  sonnet            a child
t-0000000001  running       16m39s  sonnet  sonnet-1  Write the tests of the pa…
",
    );
}

#[test]
fn tasks_at_40_columns() {
    let page = task::list(&tasks(), false, &view(Some(40)));
    fits(&page, 40);
    same(
        &page,
        "
TASK          STATE      TEXT
t-0000000005  ready      hostile text
t-0000000004  succeeded  日本語日本語日…
t-0000000003  delayed …  third…
t-0000000002  failed     a child
t-0000000001  running    Write the test…
",
    );
}

#[test]
fn in_a_pipe_nothing_is_cut() {
    let page = task::list(&tasks(), false, &view(None));
    assert!(page.contains("all of them, and some more\n"), "{page}");
    assert!(page.contains(&"日本語".repeat(9)), "{page}");
    assert_eq!(page.lines().count(), 6);
}

#[test]
fn a_tree_has_children_under_their_parents() {
    let page = task::list(&tasks(), true, &view(Some(80)));
    fits(&page, 80);
    same(
        &page,
        "
TASK                STATE            AGE  ROLE    AGENT     TEXT
t-0000000003        delayed 4.0s  16m37s  sonnet            third…
t-0000000001        running       16m39s  sonnet  sonnet-1  Write the tests of …
├─ t-0000000002     failed        16m38s  sonnet            a child
│  └─ t-0000000005  ready         16m35s  sonnet            hostile text
└─ t-0000000004     succeeded     16m36s  sonnet            日本語日本語日本語…
",
    );
    fits(&task::list(&tasks(), true, &view(Some(40))), 40);
}

#[test]
fn a_tree_shows_each_level_below_a_last_child() {
    let child_of = |parent, n| Task { parent: Some(id(parent)), ..a_task(n, TaskState::Ready, "x") };
    let chain = [a_task(1, TaskState::Ready, "x"), child_of(1, 2), child_of(2, 3)];
    let page = task::list(&chain, true, &view(None));
    let branches: Vec<&str> = page.lines().skip(1).filter_map(|line| line.split("t-").next()).collect();
    assert_eq!(branches, ["", "└─ ", "   └─ "]);
}

#[test]
fn a_task_whose_parent_is_not_listed_is_a_root() {
    let page = task::list(&tasks()[3..4], true, &view(None));
    assert!(page.lines().nth(1).unwrap().starts_with("t-0000000004"), "{page}");
}

#[test]
fn agents_keep_what_they_do_longest() {
    let agents = busy_status().agents;
    for width in 40..120 {
        let page = agent::list(&agents, &view(Some(width)));
        fits(&page, width);
        assert!(page.contains("needs login  t-0000000002"), "{page}");
    }
}

#[test]
fn an_agent_that_asks_its_user_is_marked_at_any_width() {
    let asks = |agent| Agent { needs: Some(Needs::Permission), needs_since: Some(ago(65)), ..agent };
    let master = Agent { master: true, ..an_agent("opus-master", "opus", AgentState::Idle) };
    let busy = Agent { task: Some(id(1)), ..an_agent("sonnet-1", "sonnet", AgentState::Busy) };
    let of = |of: &str, agent| Agent { needs_for: Some(of.into()), ..agent };
    let agents = [asks(master), of("run Bash: npm publish --tag next", asks(busy))];
    same(
        &agent::list(&agents, &view(Some(80))),
        "
AGENT        ROLE    STATE             TASK            FOR  HEARTBEAT  DONE
opus-master  opus    needs permission                1m05s       1.2s     4
sonnet-1     sonnet  needs permission  t-0000000001  1m05s       1.2s     4
  opus-master asks for permission: see its screen
  sonnet-1 asks to run Bash: npm publish --tag next
",
    );
    same(
        &agent::list(&agents, &view(Some(40))),
        "
AGENT        STATE          TASK
opus-master  needs permis…
sonnet-1     needs permis…  t-0000000001
  opus-master asks for permission: see
  its screen
  sonnet-1 asks to run Bash: npm publish
  --tag next
",
    );
    for width in 40..120 {
        let page = agent::list(&agents, &view(Some(width)));
        fits(&page, width);
        assert_eq!(page.matches("needs perm").count(), 2, "{page}");
    }
}

#[test]
fn an_agent_that_retries_is_marked_in_every_list() {
    let retry =
        Retry { attempt: Some(3), of: Some(10), why: "its service can't be reached".into(), limited_until: None };
    let retrying = Some(Retrying { retry, since: ago(20) });
    let busy = Agent { retrying, task: Some(id(1)), ..an_agent("sonnet-1", "sonnet", AgentState::Busy) };
    let page = "
AGENT     ROLE    STATE          TASK          FOR  HEARTBEAT  DONE  MEMORY
sonnet-1  sonnet  retrying 3/10  t-0000000001  20s       1.2s     4    210M
  sonnet-1 tries again 3 of 10: its service can't be reached
";
    same(&agent::list(std::slice::from_ref(&busy), &view(Some(80))), page);
    same(&agent::list_beside_attention(std::slice::from_ref(&busy), &view(Some(80))), page);
    let shown = agent::page(&busy, &view(Some(80)));
    assert!(shown.contains("tries again 3 of 10: its service can't be reached (for 20s)"), "{shown}");
}

#[test]
fn an_empty_list_is_a_sentence() {
    assert_eq!(task::list(&[], false, &view(Some(80))), "no such tasks\n");
}

#[test]
fn messages_that_an_agent_has_not_read_are_named_in_every_list() {
    let at_work =
        |since| Agent { unread: 2, unread_since: Some(ago(since)), ..an_agent("sonnet-1", "sonnet", AgentState::Busy) };
    let late = [at_work(65)];
    for page in [agent::list(&late, &view(Some(80))), agent::list_beside_attention(&late, &view(Some(80)))] {
        assert!(page.contains("sonnet-1: 2 messages are not read yet, sent 1m05s ago"), "{page}");
    }
    assert!(agent::page(&late[0], &view(Some(80))).contains("2 messages are not read yet"));
    assert!(!agent::list(&[at_work(3)], &view(Some(80))).contains("not read yet"), "it will be in a moment");
}
