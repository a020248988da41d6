//! The recovery times after faults, computed from the event stream. Pure.
//!
//! A task's backoff is not counted, because it is configured and not caused by orch.

use std::{collections::BTreeMap, time::Duration};

use super::faults::Fault;
use crate::model::{
    event::Event,
    event::EventKind,
    evidence::{Evidence, Rule},
    id::TaskId,
    task::{TaskDetail, TaskState},
    time::Timestamp,
};

/// An agent that hangs is declared dead at most this long after its lease has ended.
pub(super) const GIVEN_UP_WITHIN: Duration = Duration::from_secs(1);
/// A pass of the supervisor is held up by something else than Redis for this long at most.
pub(super) const HELD_UP_WITHIN: Duration = Duration::from_millis(100);

/// By what one sees that all is well again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Well {
    /// Nothing shows it.
    Unknown,
    /// It was seen as it happened.
    Took(Duration),
    /// A supervisor has started.
    Started,
    /// These tasks are ready again, or have ended.
    Again(Vec<TaskId>),
    /// The end of this agent is known.
    Noticed(String),
    /// This task has ended.
    Ended(TaskId),
    /// These tasks are ready again, and this agent, the master, is idle.
    Everybody(Vec<TaskId>, Option<String>),
}

/// An injected fault.
#[derive(Debug, Clone)]
pub(super) struct Injected {
    pub fault: &'static Fault,
    pub at: Timestamp,
    /// The target of the fault.
    pub hit: String,
    /// By what one sees that all is well again.
    pub well: Well,
}

/// The events and tasks of a drill.
pub(super) struct Facts<'a> {
    pub events: &'a [Event],
    pub tasks: BTreeMap<&'a TaskId, &'a TaskDetail>,
}

impl<'a> Facts<'a> {
    pub fn new(events: &'a [Event], tasks: &'a [TaskDetail]) -> Self {
        Facts { events, tasks: tasks.iter().map(|t| (&t.task.id, t)).collect() }
    }

    /// Returns the recovery time of a fault; `None` if it is unknown.
    pub fn recovery(&self, injected: &Injected) -> Option<Duration> {
        let since = injected.at;
        let first = |is_it: &dyn Fn(&Event) -> bool| {
            self.events.iter().find(|e| e.at >= since && is_it(e)).map(|e| e.at.since(since))
        };
        let about = |event: &Event, agent: &str| event.agent.as_deref() == Some(agent) && event.kind.is_about_agent();
        match &injected.well {
            Well::Unknown => None,
            Well::Took(took) => Some(*took),
            Well::Started => first(&|e| e.kind == EventKind::SupervisorStarted),
            Well::Again(tasks) => self.all_again(tasks, since),
            Well::Noticed(agent) => {
                first(&|e| about(e, agent) && matches!(e.to.as_deref(), Some("failed" | "stopped")))
            }
            Well::Ended(task) => first(&|e| e.task.as_ref().is_some_and(|t| t == task.as_str()) && is_end(e)),
            Well::Everybody(tasks, master) => {
                let master = master.as_ref().map(|id| first(&|e| about(e, id) && e.to.as_deref() == Some("idle")));
                let tasks = if tasks.is_empty() { Some(Duration::ZERO) } else { self.all_again(tasks, since) };
                Some(tasks?.max(master.unwrap_or(Some(Duration::ZERO))?))
            }
        }
    }

    fn all_again(&self, tasks: &[TaskId], since: Timestamp) -> Option<Duration> {
        tasks.iter().filter_map(|task| self.again(task, since)).max()
    }

    /// Agents that were declared dead for their silence, and how long that had lasted by then. The time of a break, in which
    /// could not be reported, is not in it.
    pub fn silences(&self) -> impl Iterator<Item = (&Event, Duration)> {
        let silence = |e: &Event| {
            let evidence: Evidence = serde_json::from_value(e.data.clone()?).ok()?;
            evidence.silence_ms.filter(|_| evidence.rule == Rule::Lease).map(Duration::from_millis)
        };
        self.events.iter().filter_map(move |e| Some((e, silence(e)?)))
    }

    /// From the fault to where the task is ready again, less its backoff; to its end, where it has ended instead.
    fn again(&self, task: &TaskId, since: Timestamp) -> Option<Duration> {
        let mut events = self.events.iter().filter(|e| e.at >= since && e.task.as_deref() == Some(task.as_str()));
        let left = events.find(|e| e.from.as_deref() == Some("running"))?;
        if left.to.as_deref() != Some("delayed") {
            return Some(left.at.since(since));
        }
        let ready = events.find(|e| e.to.as_deref() == Some("ready") || is_end(e))?;
        Some(ready.at.since(since).saturating_sub(self.backoff(task, left.at)))
    }

    /// Returns the backoff after the attempt that ended at that time.
    fn backoff(&self, task: &TaskId, ended: Timestamp) -> Duration {
        let attempts = self.tasks.get(task).map(|t| t.attempts.as_slice()).unwrap_or_default();
        let of = attempts.iter().find(|a| a.ended_at == Some(ended));
        of.and_then(|a| Some(a.next_retry_at?.since(ended))).unwrap_or_default()
    }
}

fn is_end(event: &Event) -> bool {
    let state = event.to.as_deref().and_then(|to| to.parse::<TaskState>().ok());
    event.kind.is_about_task() && state.is_some_and(TaskState::is_terminal)
}

/// Returns the percentile of the values by the nearest-rank method; `None` if there are none.
pub(super) fn percentile(values: &mut [Duration], percent: usize) -> Option<Duration> {
    values.sort();
    values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drill::faults::FAULTS;

    fn event(ms: u64, kind: &str, about: (Option<&str>, Option<&str>), from: &str, to: &str) -> Event {
        let kind: EventKind = kind.parse().unwrap();
        Event {
            id: format!("{ms}-0"),
            at: Timestamp(ms),
            kind,
            code: kind.into(),
            task: about.0.map(str::to_owned),
            agent: about.1.map(str::to_owned),
            from: Some(from.into()),
            to: Some(to.into()),
            reason: "r".into(),
            data: None,
        }
    }

    fn after(well: Well, events: &[Event], tasks: &[TaskDetail]) -> Option<u64> {
        let injected = Injected { fault: &FAULTS[0], at: Timestamp(1_000), hit: String::new(), well };
        Facts::new(events, tasks).recovery(&injected).map(|d| d.as_millis() as u64)
    }

    const T: &str = "t-7k2m9qx4hz";

    fn task() -> TaskDetail {
        let attempt = json!({"number": 1, "agent": "worker-1", "fence": 1, "started_at": Timestamp(900), "ended_at": Timestamp(1_100),
            "cause": "lost", "reason": "r", "exit_code": null, "next_retry_at": Timestamp(1_150)});
        serde_json::from_value(json!({"id": T, "role": "worker", "state": "succeeded", "waiting": false, "description": "",
            "priority": "normal", "parent": null, "children": [], "after": [], "context": null, "labels": {}, "artifacts": [],
            "depth": 0, "cwd": null, "key": null, "created_at": Timestamp(1), "ready_at": null, "due_at": null,
            "ended_at": null, "timeout_ms": 1, "retries": 3, "failures": 0, "lost": 1, "lost_max": 3, "agent": null,
            "cancelling": false, "cause": null, "reason": null, "attempts": [attempt], "result": null}))
        .unwrap()
    }

    #[test]
    fn a_lost_task_is_well_when_it_is_ready_again_less_its_backoff() {
        let about = (Some(T), None);
        let events = [
            event(950, "task.running", about, "ready", "running"),
            event(1_100, "task.delayed", about, "running", "delayed"),
            event(1_170, "task.ready", about, "delayed", "ready"),
        ];
        let again = || Well::Again(vec![T.parse().unwrap()]);
        assert_eq!(after(again(), &events, &[task()]), Some(120));
        assert_eq!(after(again(), &events[..2], &[task()]), None, "the task is never ready again");
        let ended = [event(1_040, "task.succeeded", about, "running", "succeeded")];
        assert_eq!(after(again(), &ended, &[]), Some(40));
        assert_eq!(after(Well::Ended(T.parse().unwrap()), &ended, &[]), Some(40));
    }

    #[test]
    fn agents_and_supervisors_are_well_by_their_events() {
        let master = (None, Some("opus-master"));
        let events = [
            event(900, "supervisor.started", (None, None), "", ""),
            event(1_010, "agent.failed", master, "idle", "failed"),
            event(1_200, "supervisor.started", (None, None), "", ""),
            event(1_300, "agent.idle", master, "starting", "idle"),
        ];
        assert_eq!(after(Well::Started, &events, &[]), Some(200));
        assert_eq!(after(Well::Noticed("opus-master".into()), &events, &[]), Some(10));
        assert_eq!(after(Well::Everybody(vec![], Some("opus-master".into())), &events, &[]), Some(300));
        assert_eq!(after(Well::Unknown, &events, &[]), None);
        assert_eq!(after(Well::Took(Duration::from_millis(5)), &[], &[]), Some(5));
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<Duration> = (1..=10).rev().map(Duration::from_millis).collect();
        let ms = |p, v: &mut [Duration]| percentile(v, p).map(|d| d.as_millis());
        assert_eq!((ms(50, &mut values), ms(99, &mut values)), (Some(5), Some(10)));
        assert_eq!((ms(50, &mut values[..1]), ms(50, &mut [])), (Some(1), None));
    }
}
