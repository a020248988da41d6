//! Files and folders that are created in the state folder while no-op tasks run, counted with inotify. Removed ones
//! count, too.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};
use orch::model::{agent::AgentState, task::TaskState};

use crate::{
    Result,
    table::{Goal, Row, Unit},
    world::World,
};

const TASKS: usize = 100;

pub fn measure() -> Result<Vec<Row>> {
    let world = World::new("[roles.noop]\ncommand = [\"/bin/true\"]\nmin = 1\nmax = 1\n")?;
    world.run(&["start"])?;
    world.until("the agent is idle", || Ok(world.agents()?.iter().any(|agent| agent.state == AgentState::Idle)))?;
    // Excludes files that an agent creates for its first task and reuses afterwards.
    run(&world, 1)?;
    let mut watch = Watch::new(&world.dir.join("home"))?;
    run(&world, TASKS)?;
    let made = watch.made()?;
    Ok(vec![Row::new(
        "files and folders made per attempt that prints nothing",
        Unit::Count,
        Goal::AtMost(0.0),
        (made as f64 / TASKS as f64).round(),
        TASKS,
    )])
}

fn run(world: &World, count: usize) -> Result<()> {
    let before = world.count(TaskState::Succeeded)?;
    for _ in 0..count {
        world.delegate("noop", "nothing")?;
    }
    world.until("all tasks are done", || Ok(world.count(TaskState::Succeeded)? == before + count as u64))
}

/// Counts the creations in and below a folder, except Redis's own files.
struct Watch {
    inotify: Inotify,
    folders: HashMap<WatchDescriptor, PathBuf>,
    made: usize,
}

impl Watch {
    fn new(folder: &Path) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut watch = Watch { inotify, folders: HashMap::new(), made: 0 };
        watch.add(folder.to_owned())?;
        Ok(watch)
    }

    fn add(&mut self, folder: PathBuf) -> Result<()> {
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONLYDIR;
        self.folders.insert(self.inotify.add_watch(&folder, flags)?, folder.clone());
        for entry in fs::read_dir(&folder)?.flatten().filter(|entry| entry.path().is_dir()) {
            if entry.file_name() != "redis" {
                self.add(entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns the number of creations since the watch began.
    fn made(&mut self) -> Result<usize> {
        loop {
            let events = match self.inotify.read_events() {
                Err(Errno::EAGAIN) => return Ok(self.made),
                events => events?,
            };
            for event in events {
                self.made += 1;
                let folder = self.folders.get(&event.wd).zip(event.name).map(|(folder, name)| folder.join(name));
                if let Some(folder) = folder.filter(|_| event.mask.contains(AddWatchFlags::IN_ISDIR)) {
                    // The new folder was not watched before, so its entries count.
                    self.made += entries(&folder);
                    self.add(folder)?;
                }
            }
        }
    }
}

/// Returns the number of files and folders below a folder.
fn entries(folder: &Path) -> usize {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    below.map(|entry| 1 + if entry.path().is_dir() { entries(&entry.path()) } else { 0 }).sum()
}
