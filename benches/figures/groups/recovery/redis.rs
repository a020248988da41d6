//! The time from `kill -9` of a redis-server with many tasks until a task is accepted again. The reference is the time
//! that the same server needs to answer when it is started by hand on the same files.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch::{
    model::{
        id::TaskId,
        task::{Priority, Spec},
    },
    redis_server::find_program,
    store::{Store, tasks::NewTask},
};

use crate::{
    Result, clock,
    table::{Goal, Row, Unit},
    world::World,
};

const ROLE: &str = "idler";
/// The number of concurrent calls; Redis syncs them together.
const AT_ONCE: usize = 500;

pub fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (tasks, goal) in [(10_000, 1000.0), (100_000, 3000.0)] {
        rows.extend(accepted_again(tasks, goal)?);
    }
    Ok(rows)
}

fn accepted_again(tasks: usize, goal: f64) -> Result<[Row; 2]> {
    let world = World::new(&format!("[roles.{ROLE}]\ncommand = [\"cat\", \"{{prompt}}\"]\n"))?;
    world.run(&["start"])?;
    world.run(&["pause"])?;
    let began = Instant::now();
    for n in 0..tasks / AT_ONCE {
        let batch: Vec<NewTask> = (0..AT_ONCE).map(|m| task(n * AT_ONCE + m)).collect();
        world.wait(try_join_all(batch.iter().map(|task| world.store.delegate(task))))?;
    }
    let filled = began.elapsed();
    let server = world.dir.join("home/redis");
    let copy = world.dir.join("copy");
    let pid: i32 = fs::read_to_string(server.join("server.lock"))?.trim().parse()?;
    let killed = Instant::now();
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    // A call that fails after some seconds is repeated.
    world.until_by("a task is accepted again", Duration::from_millis(1), || {
        Ok(world.delegate(ROLE, "the first one after it").is_ok())
    })?;
    let took = clock::in_ms(killed.elapsed());
    world.run(&["stop"])?;
    copy_all(&server.join("appendonlydir"), &copy.join("appendonlydir"))?;
    let bare = by_hand(&world, &copy)?;
    let name = format!("Redis killed with {tasks} tasks: a task is accepted again");
    Ok([
        Row::new(name, Unit::Ms, Goal::AtMost(goal), took, 1)
            .with_reference(bare, "redis-server on these files, by hand"),
        Row::new(format!("{tasks} tasks delegated"), Unit::Ms, Goal::None, clock::in_ms(filled), 1),
    ])
}

fn task(n: usize) -> NewTask {
    NewTask {
        id: TaskId::random(),
        text: format!("task {n}: look at the module, find what is wrong with it, and write down what you have found"),
        context: None,
        parent: None,
        fingerprint: None,
        escalation: None,
        max_depth: 3,
        max_children: 50,
        max_queued: u32::MAX,
        max_wait: orch::model::task::MAX_WAIT,
        inherits_priority: false,
        who: "a person".into(),
        spec: Spec {
            role: ROLE.into(),
            priority: Priority::Normal,
            timeout_ms: 60_000,
            retries: 3,
            lost_max: 3,
            ..Spec::default()
        },
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Returns the time until the server has loaded its file and answers, in ms.
fn by_hand(world: &World, dir: &Path) -> Result<f64> {
    let (program, socket) = (find_program()?, dir.join("s"));
    let began = Instant::now();
    let mut redis = Command::new(&program.path)
        .arg0(program.argv0)
        .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--unixsocket"])
        .arg(&socket)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let store = Store::at_socket(&socket, None, "bench", Duration::ZERO)?;
    let answered = world.until_by("redis-server has loaded its file", Duration::from_millis(1), || {
        Ok(world.wait(store.task_counts()).is_ok())
    });
    let took = clock::in_ms(began.elapsed());
    redis.kill()?;
    redis.wait()?;
    answered?;
    Ok(took)
}
