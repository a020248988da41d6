//! Collects the history of a drill: the records in the store, the event stream, and the notes of the tasks' programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    history::{Ack, Execution, History, LivingAgent},
    scene::Scene,
};
use crate::{
    error::Result,
    model::{
        event::Event,
        id::{Capability, TaskId},
        task::TaskDetail,
        time::Timestamp,
    },
    store::{Store, agents::Record},
};

/// The number of events per read.
const EVENTS: usize = 5_000;

/// How often the agents are read until none of them has changed between two reads of the events.
const LOOKS: usize = 50;

/// Returns the whole history, after all work has ended.
///
/// # Errors
/// Returns an error if Redis does not answer.
pub(super) async fn history(scene: &Scene) -> Result<History> {
    let store = &scene.world.store;
    let mut tasks = Vec::new();
    for id in store.task_ids(None).await? {
        tasks.extend(store.task(&id).await?);
    }
    let (events, agents) = events_and_agents(store).await?;
    let noted = Noted::read(&fs::read_to_string(scene.world.path.join("executions")).unwrap_or_default());
    for line in &noted.unreadable {
        scene.violated("every execution can be read", "executions", line.clone());
    }
    for line in fs::read_to_string(scene.world.path.join("breaches")).unwrap_or_default().lines() {
        scene.violated("a program gets no right that it lacks", "breaches", line);
    }
    let mut acknowledged = scene.acks.borrow().clone();
    acknowledged.extend(noted.acks);
    acknowledged.sort_by_key(|ack| ack.at);
    Ok(History {
        acknowledged,
        outputs: Some(outputs(scene, &tasks)),
        tasks,
        agents,
        // The stream begins with the first supervisor of this drill, unless its oldest part was dropped.
        trimmed: events.first().is_none_or(|e| !e.kind.is_about_supervisor()),
        events,
        executions: noted.executions,
        supervisors: scene.lives.borrow().clone(),
        ..History::default()
    })
}

/// Returns the number of accepted tasks: the stored ones, and the acknowledged ones whose records have expired.
pub(super) fn accepted(history: &History) -> usize {
    let known = history.tasks.iter().map(|t| &t.task.id);
    known.chain(history.acknowledged.iter().map(|ack| &ack.id)).collect::<BTreeSet<_>>().len()
}

/// Removes the history of tasks whose records have expired (`keep`).
pub(super) fn remove_expired(history: &mut History) {
    let known: BTreeSet<&TaskId> = history.tasks.iter().map(|t| &t.task.id).collect();
    history.acknowledged.retain(|ack| known.contains(&ack.id));
    history.executions.retain(|execution| known.contains(&execution.task));
    let known: BTreeSet<&str> = known.into_iter().map(TaskId::as_str).collect();
    let is_known = |e: &Event| !e.kind.is_about_task() || e.task.as_deref().is_some_and(|t| known.contains(t));
    history.events.retain(is_known);
}

/// Returns events and agents of the same moment. Idle agents may start and stop at any time; if they change at every
/// read, no agents are returned.
async fn events_and_agents(store: &Store) -> Result<(Vec<Event>, Option<Vec<LivingAgent>>)> {
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..LOOKS {
        while read_more(store, &mut events).await? {}
        let records = store.agents().await?;
        if !read_more(store, &mut events).await? {
            let living = |r: Record| LivingAgent { id: r.agent.id, state: r.agent.state };
            return Ok((events, Some(records.into_iter().map(living).collect())));
        }
    }
    Ok((events, None))
}

async fn read_more(store: &Store, events: &mut Vec<Event>) -> Result<bool> {
    let after = events.last().map_or("-", |e| e.id.as_str()).to_owned();
    let more = store.events_after(&after, EVENTS).await?;
    let is_more = !more.is_empty();
    events.extend(more);
    Ok(is_more)
}

/// Returns the attempts whose output is on disk.
fn outputs(scene: &Scene, tasks: &[TaskDetail]) -> Vec<(TaskId, u32)> {
    let all = tasks.iter().flat_map(|t| t.attempts.iter().map(|a| (t.task.id.clone(), a.number)));
    all.filter(|(task, number)| scene.world.home.run(task, *number).join("output").exists()).collect()
}

/// The notes of the programs in the file of executions.
#[derive(Debug, Default)]
struct Noted {
    executions: Vec<Execution>,
    acks: Vec<Ack>,
    unreadable: Vec<String>,
}

impl Noted {
    fn read(text: &str) -> Noted {
        let mut noted = Noted::default();
        // Keyed by run: the program's pid and start time.
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for line in text.lines() {
            if noted.read_line(line, &mut open).is_none() {
                noted.unreadable.push(line.to_owned());
            }
        }
        noted
    }

    fn read_line(&mut self, line: &str, open: &mut BTreeMap<String, usize>) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "begin" => {
                let run = words.next()?.to_owned();
                let started_at = Timestamp(run.split_once('-')?.1.parse().ok()?);
                let agent = words.next()?.to_owned();
                let Capability { task, attempt, fence, .. } = words.next()?.parse().ok()?;
                open.insert(run, self.executions.len());
                self.executions.push(Execution {
                    task,
                    attempt,
                    agent,
                    fence: Some(fence),
                    started_at,
                    ended_at: None,
                    exit_code: None,
                    text: None,
                });
            }
            "end" => {
                let execution = &mut self.executions[*open.get(words.next()?)?];
                execution.ended_at = Some(Timestamp(words.next()?.parse().ok()?));
                execution.exit_code = Some(words.next()?.parse().ok()?);
                let text = words.collect::<Vec<_>>().join(" ");
                execution.text = (!text.is_empty()).then_some(text);
            }
            "ack" => {
                #[derive(serde::Deserialize)]
                struct Answer {
                    id: TaskId,
                }
                let at = Timestamp(words.next()?.parse().ok()?);
                let json: Vec<&str> = words.collect();
                let Answer { id } = serde_json::from_str(&json.join(" ")).ok()?;
                self.acks.push(Ack { at, id, key: None });
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_execution_is_read_with_its_end_if_any() {
        let noted = Noted::read(
            "begin 7-1000 worker-1 t-7k2m9qx4hz.1.5.abc\nbegin 8-1001 worker-2 t-7k2m9qx4hz.2.6.abd\n\
             ack 1002 {\"id\":\"t-3v8n1c5ydw\",\"state\":\"ready\",\"created\":true}\nend 8-1001 1010 75 ran it\nrubbish\nend 9-1 2 0\n",
        );
        let ends: Vec<_> = noted.executions.iter().map(|e| (e.attempt, e.fence, e.ended_at, e.exit_code)).collect();
        assert_eq!(noted.executions[1].text.as_deref(), Some("ran it"));
        assert_eq!(ends, [(1, Some(5), None, None), (2, Some(6), Some(Timestamp(1010)), Some(75))]);
        assert_eq!(noted.acks.iter().map(|a| a.at).collect::<Vec<_>>(), [Timestamp(1002)]);
        assert_eq!(noted.unreadable, ["rubbish", "end 9-1 2 0"], "an end without a beginning is unreadable");
    }
}
