//! Finds tasks that wait for each other through locks and subtasks ([`crate::admission::deadlock`]), in what the store has.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    admission::{
        deadlock::{Deadlock, Waits, deadlocks},
        locks,
    },
    model::{
        id::TaskId,
        lock::{HolderKind, Lock},
        task::{Task, TaskState},
    },
    store::{self, Store},
};

/// Tasks that wait for locks, and others, that are looked at.
const LOOKED_AT: usize = 200;

/// The tasks that wait for each other, as far as their number allows to look at them. It costs next to nothing while no task
/// waits for a lock.
pub(super) async fn find(store: &Store) -> store::Result<Vec<Deadlock>> {
    let (parked, _) = store.parked(LOOKED_AT).await?;
    if parked.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<TaskId> = parked.into_iter().map(|parked| parked.task).collect();
    let parked = store.tasks(&ids).await?;
    let all = store.locks().await?;
    let waiting = waiting_holders(store, &parked, &all).await?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut waits = BTreeMap::new();
    for task in &parked {
        let (_, above) = store.place_and_family(&task.id).await?;
        let keeping = locks::kept_by_tasks(task, &above, &all);
        waits.insert(
            task.id.clone(),
            Waits::Locks(keeping.map(|(pattern, holder)| (pattern, holder.clone())).collect()),
        );
    }
    let mut next = waiting;
    while !next.is_empty() && waits.len() < 2 * LOOKED_AT {
        let mut further: BTreeSet<TaskId> = BTreeSet::new();
        for task in &next {
            let Some(waits_for) = waits_for(task, store).await? else { continue };
            if let Waits::Subtasks(tasks) | Waits::Tasks(tasks) = &waits_for {
                further.extend(tasks.iter().cloned());
            }
            waits.insert(task.id.clone(), waits_for);
        }
        further.retain(|id| !waits.contains_key(id));
        let further: Vec<TaskId> = further.into_iter().take(LOOKED_AT).collect();
        next = store.tasks(&further).await?;
    }
    Ok(deadlocks(&waits))
}

/// The running tasks that have a lock which one of these needs, and that wait for their subtasks.
async fn waiting_holders(store: &Store, parked: &[Task], all: &[Lock]) -> store::Result<Vec<Task>> {
    let needed = |lock: &&Lock| {
        lock.holder == HolderKind::Task
            && parked.iter().any(|task| locks::wants(task).any(|(m, p)| lock.excludes(m, p)))
    };
    let holders: BTreeSet<TaskId> = all.iter().filter(needed).filter_map(|lock| lock.task.clone()).collect();
    let holders: Vec<TaskId> = holders.into_iter().take(LOOKED_AT).collect();
    let mut holders = store.tasks(&holders).await?;
    holders.retain(|task| task.state == TaskState::Running && task.waiting);
    Ok(holders)
}

/// What a task waits for; `None`: it can go on.
async fn waits_for(task: &Task, store: &Store) -> store::Result<Option<Waits>> {
    let open = async |ids: &[TaskId]| -> store::Result<Vec<TaskId>> {
        let tasks = store.tasks(ids).await?;
        Ok(tasks.into_iter().filter(|task| !task.state.is_terminal() && !task.detached).map(|task| task.id).collect())
    };
    Ok(match task.state {
        TaskState::Running if task.waiting => Some(Waits::Subtasks(open(&task.children).await?)),
        TaskState::Blocked if task.waiting => Some(Waits::Tasks(open(&task.children).await?)),
        TaskState::Blocked => Some(Waits::Tasks(open(&task.after).await?)),
        _ => None,
    })
}
