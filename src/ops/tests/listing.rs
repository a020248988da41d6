//! tasks: bounded, in one order, filtered.

use super::*;
use crate::error::Kind;

async fn list(ops: &Ops, filter: TaskFilter) -> Vec<String> {
    ops.tasks(filter).await.unwrap().tasks.into_iter().map(|task| task.description).collect()
}

#[tokio::test]
async fn tasks_are_listed_newest_first_and_filtered() {
    let world = World::awake().await;
    let ops = world.ops();
    let labelled = |text: &str, label: (&str, &str)| Delegate {
        labels: BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]),
        ..task(text, "shell")
    };
    let agent = world.agent("lead-1", "lead").await;
    let lead = ops.delegate(task("lead", "lead")).await.unwrap().id;
    let claimed = agent.claim(&ops).await;
    let within = world.ops_within(&agent, &claimed);
    let part = within.delegate(task("part", "shell")).await.unwrap().id;
    for (text, label) in [("alpha", ("plan", "one")), ("beta", ("plan", "two")), ("gamma", ("urgent", ""))] {
        ops.delegate(labelled(text, label)).await.unwrap();
    }
    let cancelled = ops.delegate(task("delta", "shell")).await.unwrap().id;
    ops.cancel(&[cancelled]).await.unwrap();

    let all = || TaskFilter::default();
    let newest_first = ["delta", "gamma", "beta", "alpha", "part", "lead"];
    assert_eq!(list(&ops, all()).await, newest_first);
    let bounded = ops.tasks(TaskFilter { limit: Some(2), ..all() }).await.unwrap();
    assert_eq!((bounded.tasks.len(), bounded.more, bounded.total), (2, true, 6));
    let exact = ops.tasks(TaskFilter { limit: Some(6), ..all() }).await.unwrap();
    assert_eq!((exact.tasks.len(), exact.more), (6, false));

    let states = |states: &[StateFilter]| TaskFilter { states: states.to_vec(), ..all() };
    assert_eq!(list(&ops, states(&[StateFilter::Cancelled, StateFilter::Running])).await, ["delta", "lead"]);
    assert_eq!(list(&ops, states(&[StateFilter::Open])).await, newest_first[1..]);
    assert_eq!(list(&ops, states(&[StateFilter::Ended])).await, ["delta"]);
    assert_eq!(list(&ops, states(&[StateFilter::Waiting])).await, [""; 0]);
    within.store().mark_waiting(within.caller().attempt().unwrap(), &[part], LEASE).await.unwrap();
    assert_eq!(list(&ops, states(&[StateFilter::Waiting])).await, ["lead"]);
    assert_eq!(list(&ops, states(&[StateFilter::Asks])).await, [""; 0]);
    let ask = Ask { text: "Which?".into(), ..Ask::default() };
    within.ask_person(&ask).await.unwrap();
    assert_eq!(list(&ops, states(&[StateFilter::Asks, StateFilter::Cancelled])).await, ["delta", "lead"]);

    let label = |name: &str, value: Option<&str>| TaskFilter {
        labels: vec![(name.to_owned(), value.map(str::to_owned))],
        ..all()
    };
    assert_eq!(list(&ops, label("plan", None)).await, ["beta", "alpha"]);
    assert_eq!(list(&ops, label("plan", Some("one"))).await, ["alpha"]);
    assert_eq!(list(&ops, label("urgent", None)).await, ["gamma"]);
    assert_eq!(list(&ops, TaskFilter { grep: Some("^(al|be)".into()), ..all() }).await, ["beta", "alpha"]);
    let first = ops.tasks(TaskFilter { grep: Some("a$".into()), limit: Some(1), ..all() }).await.unwrap();
    assert_eq!((first.tasks[0].description.as_str(), first.more), ("delta", true));
    assert_eq!(list(&ops, TaskFilter { since: Some(Duration::from_secs(3600)), ..all() }).await, newest_first);
    let bad = ops.tasks(TaskFilter { grep: Some("(".into()), ..all() }).await.unwrap_err();
    assert_eq!(bad.kind, Kind::Usage);

    let running = ops.tasks(states(&[StateFilter::Running])).await.unwrap().tasks;
    assert!(running[0].id == lead && running[0].started_at.is_some() && running[0].running_ms.is_some());
}
