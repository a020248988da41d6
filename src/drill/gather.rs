//! What everybody wrote down, collected: the store, the event stream, and what the tasks' programs noted themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::{Ack, Execution, History, LastSeen},
    scene::Scene,
};
use crate::{
    error::Result,
    model::{
        event::Event,
        id::{Capability, TaskId},
        time::Timestamp,
    },
};

/// Read at a time.
const EVENTS: usize = 5_000;

/// The whole history, at rest.
///
/// # Errors
/// Redis does not answer.
pub(super) async fn history(scene: &Scene) -> Result<History> {
    let store = &scene.world.store;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or("-", |e| e.id.as_str()).to_owned();
        let more = store.events_after(&after, EVENTS).await?;
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let mut tasks = Vec::new();
    for id in store.task_ids(None).await? {
        tasks.extend(store.task(&id).await?);
    }
    let ids: BTreeSet<&String> = events.iter().filter_map(|e| e.agent.as_ref()).collect();
    let mut agents = Vec::new();
    for id in ids {
        let seen = store.agent(id).await?;
        agents.extend(seen.map(|record| LastSeen { id: id.clone(), state: record.agent.state }));
    }
    let noted = Noted::read(&std::fs::read_to_string(scene.world.path.join("executions")).unwrap_or_default());
    for line in &noted.unreadable {
        scene.violated("every execution can be read", "executions", line.clone());
    }
    let mut acknowledged = scene.acks.borrow().clone();
    acknowledged.extend(noted.acks);
    acknowledged.sort_by_key(|ack| ack.at);
    // The stream begins with the supervisor that this drill has started, unless its oldest part was dropped.
    let trimmed = events.first().is_none_or(|e| !e.kind.starts_with("supervisor."));
    let supervisors = scene.lives.borrow().clone();
    Ok(History {
        acknowledged,
        tasks,
        agents,
        events,
        executions: noted.executions,
        supervisors,
        trimmed,
        ..History::default()
    })
}

/// What the programs wrote into the file of executions.
#[derive(Debug, Default)]
struct Noted {
    executions: Vec<Execution>,
    acks: Vec<Ack>,
    unreadable: Vec<String>,
}

impl Noted {
    fn read(text: &str) -> Noted {
        let mut noted = Noted::default();
        // By run: the program's pid and the time at which it began.
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
            }
            "ack" => {
                #[derive(serde::Deserialize)]
                struct Answer {
                    id: TaskId,
                    created: bool,
                }
                let at = Timestamp(words.next()?.parse().ok()?);
                let json: Vec<&str> = words.collect();
                let Answer { id, created } = serde_json::from_str(&json.join(" ")).ok()?;
                self.acks.push(Ack { at, id, key: None, created });
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
    fn each_execution_is_read_with_its_end_where_it_has_one() {
        let noted = Noted::read(
            "begin 7-1000 worker-1 t-7k2m9qx4hz.1.5.abc\nbegin 8-1001 worker-2 t-7k2m9qx4hz.2.6.abd\n\
             ack 1002 {\"id\":\"t-3v8n1c5ydw\",\"state\":\"ready\",\"created\":true}\nend 8-1001 1010 75\nrubbish\nend 9-1 2 0\n",
        );
        let ends: Vec<_> = noted.executions.iter().map(|e| (e.attempt, e.fence, e.ended_at, e.exit_code)).collect();
        assert_eq!(ends, [(1, Some(5), None, None), (2, Some(6), Some(Timestamp(1010)), Some(75))]);
        assert_eq!((noted.acks.len(), noted.acks[0].created), (1, true));
        assert_eq!(noted.unreadable, ["rubbish", "end 9-1 2 0"], "an end without its beginning is one, too");
    }
}
